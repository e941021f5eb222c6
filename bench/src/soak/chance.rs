//! The actions of a guest, their times and durations, by chance: the same for
//! the same seed.

use std::time::Duration;

use super::subjects::{GROUPS, SUBJECTS, VALUES};

/// Between two things that a client does, on average, seconds.
const ACTION: f64 = 8.0;

/// Seconds for which tokens hold, from and to; clients are warned 5 s ahead.
const TOKEN: (u64, u64) = (15, 90);

/// However hasty everything is: the warning has to come before the end.
const LEAST_TOKEN: f64 = 7.0;

/// How a guest lives.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Temper {
    /// Stays for minutes.
    Steady,
    /// Stays for seconds.
    Hasty,
    /// Wants much, and stops reading now and then.
    Slow,
}

/// How a connection is to end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Way {
    Polite,
    Cut,
    /// It brings no new token.
    Expiry,
}

/// The dice of one guest.
#[derive(Debug)]
pub(super) struct Chance {
    pub(super) random: fastrand::Rng,
    pub(super) temper: Temper,
    /// Some subjects are denied to guests of this role.
    pub(super) restricted: bool,
    haste: f64,
}

impl Chance {
    pub(super) fn new(number: usize, seed: u64, haste: f64) -> Self {
        let temper = match number % 25 {
            0 => Temper::Slow,
            1..=12 => Temper::Hasty,
            _ => Temper::Steady,
        };
        Self { random: fastrand::Rng::with_seed(seed), temper, restricted: number.is_multiple_of(8), haste }
    }

    pub(super) fn way(&mut self) -> Way {
        match self.random.u8(..) {
            0..=25 => Way::Expiry,
            26..=140 => Way::Cut,
            _ => Way::Polite,
        }
    }

    /// For how long a connection is to stay.
    pub(super) fn stay(&mut self) -> Duration {
        self.around(match self.temper {
            Temper::Steady => 180.0,
            Temper::Hasty => 18.0,
            Temper::Slow => 60.0,
        })
    }

    /// How long to stay away; now and then until the window in memory has passed.
    pub(super) fn pause(&mut self) -> Duration {
        let mean = if self.random.u8(..) < 12 { 40.0 } else { 2.0 };
        self.around(mean)
    }

    /// Until the first connection.
    pub(super) fn arrival(&mut self) -> Duration {
        Duration::from_secs_f64(20.0 / self.haste).mul_f64(self.random.f64())
    }

    /// Until the next thing that it does.
    pub(super) fn action(&mut self) -> Duration {
        self.around(ACTION)
    }

    /// For how long it reads nothing.
    pub(super) fn stall(&mut self) -> Duration {
        Duration::from_secs_f64(0.3 + 6.0 * self.random.f64())
    }

    /// Seconds for which a token holds.
    pub(super) fn token(&mut self) -> u64 {
        (self.random.u64(TOKEN.0..TOKEN.1) as f64 / self.haste).max(LEAST_TOKEN) as u64
    }

    /// A pattern: literal or wildcard, live, durable or latest, and such as overlap.
    pub(super) fn wish(&mut self) -> String {
        if self.temper == Temper::Slow {
            return if self.random.bool() { "soak.d.>" } else { "soak.l.>" }.into();
        }
        // A group that is denied as a whole would be refused.
        let group = self.random.usize(usize::from(self.restricted)..GROUPS);
        let subject = self.random.usize(..SUBJECTS);
        match self.random.u8(..12) {
            0..=3 => format!("soak.d.{group}.{subject}"),
            4 => format!("soak.d.{group}.*"),
            5..=7 => format!("soak.l.{group}.{subject}"),
            8 => format!("soak.l.{group}.*"),
            9 => format!("soak.v.{}", self.random.usize(..VALUES)),
            10 => "soak.v.*".into(),
            _ => format!("soak.*.{}.*", self.random.usize(..GROUPS)),
        }
    }

    /// A span whose mean is `seconds`; often less, seldom much more.
    fn around(&mut self, seconds: f64) -> Duration {
        let span = -seconds / self.haste * (1.0 - self.random.f64()).ln();
        Duration::from_secs_f64(span.min(5.0 * seconds))
    }
}
