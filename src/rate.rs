//! How often something may happen: a token bucket in eight bytes (the generic
//! cell rate algorithm, ITU-T I.371), a pure function of time.

use std::time::Duration;

/// What all may do.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    per_second: u64,
    burst: u64,
}

/// What one has done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Meter {
    /// Nanoseconds, on the caller's clock, until which all is used up.
    used: u64,
}

impl Rate {
    /// So many per second on average, and so many at once. At least one each.
    pub fn new(per_second: u64, burst: u64) -> Self {
        let mut rate = Self { per_second: per_second.max(1), burst: 0 };
        rate.burst = rate.cost(burst.max(1));
        rate
    }

    /// The nanoseconds that so many are worth.
    fn cost(self, units: u64) -> u64 {
        // Above 18 GB at once, too much whatever the rate.
        units.saturating_mul(1_000_000_000) / self.per_second
    }
}

impl Meter {
    /// Takes note of some; false when they are too many.
    pub fn count(&mut self, units: u64, now: Duration, rate: Rate) -> bool {
        let now = nanos(now);
        self.used = self.used.max(now).saturating_add(rate.cost(units));
        self.used - now <= rate.burst
    }

    /// Takes note of one, unless it is one too many: who keeps asking gets in
    /// as often as anybody else.
    pub fn admit(&mut self, now: Duration, rate: Rate) -> bool {
        let before = *self;
        let admitted = self.count(1, now, rate);
        if !admitted {
            *self = before;
        }
        admitted
    }

    /// How much is used up: of two, the one with less has done less lately.
    pub fn used(self) -> u64 {
        self.used
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_once_and_then_the_average_holds() {
        let rate = Rate::new(10, 5);
        let mut meter = Meter::default();
        let at = Duration::from_millis;
        assert!(meter.count(5, at(0), rate));
        assert!(meter.count(1, at(100), rate));
        assert!(!meter.count(1, at(110), rate));
        assert!(meter.count(5, at(2_000), rate));
    }

    #[test]
    fn who_is_refused_one_has_used_nothing() {
        let rate = Rate::new(10, 2);
        let mut meter = Meter::default();
        let at = Duration::from_millis;
        assert!(meter.admit(at(0), rate) && meter.admit(at(0), rate));
        assert!((0..100).all(|_| !meter.admit(at(50), rate)));
        assert!(meter.admit(at(100), rate) && !meter.admit(at(100), rate));
    }

    #[test]
    fn small_parts_of_a_high_rate_count() {
        let rate = Rate::new(1 << 20, 1 << 10);
        let mut meter = Meter::default();
        let passed = (0..2_000).take_while(|_| meter.count(1, Duration::ZERO, rate)).count();
        // What is rounded down is less than one part in nine hundred.
        assert!((1_024..1_030).contains(&passed), "{passed}");
        assert!(!Meter::default().count(u64::MAX, Duration::ZERO, rate));
    }
}
