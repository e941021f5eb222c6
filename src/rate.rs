//! A rate limit: a token bucket in eight bytes (the generic
//! cell rate algorithm, ITU-T I.371), a pure function of time.

use std::time::Duration;

/// The rate of a limit, and its burst.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    per_second: u64,
    burst: u64,
}

/// The state of one token bucket.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokenBucket {
    /// Nanoseconds, on the caller's clock, until which all is used up.
    used: u64,
}

impl Rate {
    /// `per_second` on average, and `burst` at once; at least one each.
    pub fn new(per_second: u64, burst: u64) -> Self {
        let mut rate = Self { per_second: per_second.max(1), burst: 0 };
        rate.burst = rate.cost(burst.max(1));
        rate
    }

    /// The nanoseconds that `units` are worth.
    fn cost(self, units: u64) -> u64 {
        // Above 18 GB at once, too much whatever the rate.
        units.saturating_mul(1_000_000_000) / self.per_second
    }
}

impl TokenBucket {
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

    /// Takes note of some, unless they are too many; more than all at once count
    /// as that, or they would never pass.
    ///
    /// # Errors
    /// How long until they are not too many.
    pub fn take(&mut self, units: u64, now: Duration, rate: Rate) -> Result<(), Duration> {
        let now = nanos(now);
        let used = self.used.max(now).saturating_add(rate.cost(units).min(rate.burst));
        let over = (used - now).saturating_sub(rate.burst);
        if over > 0 {
            return Err(Duration::from_nanos(over));
        }
        self.used = used;
        Ok(())
    }

    /// Counts units that are used in any case. Returns how long to wait until
    /// half of the burst is free again: callers that wait leave room for those
    /// who [do not](Self::take).
    pub fn charge(&mut self, units: u64, now: Duration, rate: Rate) -> Duration {
        let now = nanos(now);
        self.used = self.used.max(now).saturating_add(rate.cost(units));
        Duration::from_nanos((self.used - now).saturating_sub(rate.burst / 2))
    }

    /// Forgets some that were taken note of and did not happen.
    pub fn give_back(&mut self, units: u64, rate: Rate) {
        self.used = self.used.saturating_sub(rate.cost(units).min(rate.burst));
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
        let mut meter = TokenBucket::default();
        let at = Duration::from_millis;
        assert!(meter.count(5, at(0), rate));
        assert!(meter.count(1, at(100), rate));
        assert!(!meter.count(1, at(110), rate));
        assert!(meter.count(5, at(2_000), rate));
    }

    #[test]
    fn who_is_refused_one_has_used_nothing() {
        let rate = Rate::new(10, 2);
        let mut meter = TokenBucket::default();
        let at = Duration::from_millis;
        assert!(meter.admit(at(0), rate) && meter.admit(at(0), rate));
        assert!((0..100).all(|_| !meter.admit(at(50), rate)));
        assert!(meter.admit(at(100), rate) && !meter.admit(at(100), rate));
    }

    #[test]
    fn who_is_refused_several_is_told_when_they_pass() {
        let rate = Rate::new(10, 20);
        let mut meter = TokenBucket::default();
        let at = Duration::from_millis;
        assert_eq!(meter.take(15, at(0), rate), Ok(()));
        assert_eq!(meter.take(10, at(0), rate), Err(at(500)));
        assert_eq!(meter.take(5, at(0), rate), Ok(()), "what was refused has used nothing");
        assert_eq!(meter.take(10, at(1_000), rate), Ok(()));
        meter.give_back(10, rate);
        assert_eq!(meter.take(10, at(1_000), rate), Ok(()));
        // More than all at once is all at once.
        assert_eq!(meter.take(1_000, at(9_000), rate), Ok(()));
        assert_eq!(meter.take(1, at(9_000), rate), Err(at(100)));
    }

    #[test]
    fn who_waits_leaves_half_of_the_burst_to_those_who_do_not() {
        let rate = Rate::new(10, 20);
        let mut meter = TokenBucket::default();
        let at = Duration::from_millis;
        assert_eq!(meter.charge(10, at(0), rate), at(0));
        assert_eq!(meter.charge(30, at(0), rate), at(3_000));
        assert!(meter.take(1, at(0), rate).is_err());
        assert_eq!(meter.take(10, at(3_000), rate), Ok(()));
    }

    #[test]
    fn small_parts_of_a_high_rate_count() {
        let rate = Rate::new(1 << 20, 1 << 10);
        let mut meter = TokenBucket::default();
        let passed = (0..2_000).take_while(|_| meter.count(1, Duration::ZERO, rate)).count();
        // The rounding takes less than one part in nine hundred.
        assert!((1_024..1_030).contains(&passed), "{passed}");
        assert!(!TokenBucket::default().count(u64::MAX, Duration::ZERO, rate));
    }
}
