//! How many frames a client may send: a token bucket in eight bytes (the
//! generic cell rate algorithm, ITU-T I.371), a pure function of time.

use std::time::Duration;

/// What all clients may do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    interval: Duration,
    burst: Duration,
}

/// What one client has done.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Meter {
    /// Microseconds, on the caller's clock, until which all is used up.
    used: u64,
}

impl Rate {
    /// So many frames per second on average, and so many at once.
    pub(crate) fn new(per_second: u32, burst: u32) -> Self {
        let interval = Duration::from_secs(1) / per_second;
        Self { interval, burst: interval * burst }
    }
}

impl Meter {
    /// Takes note of some frames; false when they are too many.
    pub(crate) fn count(&mut self, frames: u32, now: Duration, rate: Rate) -> bool {
        let now = now.as_micros() as u64;
        self.used = self.used.max(now) + (rate.interval * frames).as_micros() as u64;
        self.used - now <= rate.burst.as_micros() as u64
    }
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
}
