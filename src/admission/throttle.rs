//! How often each of any number of keys may do something, in a table that does
//! not grow. Free of what the keys stand for.

use std::time::Duration;

use crate::{
    rate::{Rate, TokenBucket},
    sync::Mutex,
};

/// Keys whose meters share a lock, and compete for its places.
const WAYS: usize = 8;

/// With its places the table remembers 32,768 keys in half a megabyte. An
/// attacker with more addresses is limited by the rates of the whole node.
// In a model, where a lock takes longer to make than to take, two.
const SETS: usize = if cfg!(feature = "model") { 2 } else { 4_096 };

/// A rate for each key.
///
/// A key that finds its set full takes the place of the one that has used
/// least. That one has its burst again when it comes back: what is forgotten
/// under attack is forgotten in favour of those who have done little.
#[derive(Debug)]
pub(crate) struct Throttle {
    /// None: as often as they like.
    rate: Option<Rate>,
    sets: Box<[Mutex<[Slot; WAYS]>]>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// 0: free.
    key: u64,
    meter: TokenBucket,
}

impl Throttle {
    /// `per_second` for each key, and `burst` at once; 0 per second: no limit.
    pub(crate) fn new(per_second: u64, burst: u64) -> Self {
        let rate = (per_second > 0).then(|| Rate::new(per_second, burst));
        let sets = if rate.is_some() { SETS } else { 0 };
        Self { rate, sets: (0..sets).map(|_| Mutex::default()).collect() }
    }

    /// Whether the key may, once more.
    pub(crate) fn admit(&self, key: u64, now: Duration) -> bool {
        self.with(key, |meter, rate| meter.admit(now, rate)).unwrap_or(true)
    }

    /// Takes `units` at once for a key.
    ///
    /// # Errors
    /// How long until it may.
    pub(crate) fn take(&self, key: u64, units: u64, now: Duration) -> Result<(), Duration> {
        self.with(key, |meter, rate| meter.take(units, now, rate)).unwrap_or(Ok(()))
    }

    /// Counts what happens in any case; how long the key should wait before more.
    pub(crate) fn charge(&self, key: u64, units: u64, now: Duration) -> Duration {
        self.with(key, |meter, rate| meter.charge(units, now, rate)).unwrap_or_default()
    }

    /// Returns units that were [taken](Self::take) and not used.
    pub(crate) fn give_back(&self, key: u64, units: u64) {
        let _ = self.with(key, |meter, rate| meter.give_back(units, rate));
    }

    /// Runs `act` on the meter of a key, unless the throttle has no limit.
    fn with<R>(&self, key: u64, act: impl FnOnce(&mut TokenBucket, Rate) -> R) -> Option<R> {
        let rate = self.rate?;
        let mut set = self.sets[key as usize % SETS].lock();
        if let Some(slot) = set.iter_mut().find(|slot| slot.key == key) {
            return Some(act(&mut slot.meter, rate));
        }
        let mut slot = Slot { key, meter: TokenBucket::default() };
        let done = act(&mut slot.meter, rate);
        if let Some(least) = set.iter_mut().min_by_key(|slot| slot.meter.used()) {
            *least = slot;
        }
        Some(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_often_is_remembered_however_many_others_come() {
        let throttle = Throttle::new(1, 3);
        let now = Duration::from_secs(10);
        assert!((0..3).all(|_| throttle.admit(1, now)) && !throttle.admit(1, now));
        // All into the same set.
        for other in 1..100 {
            assert!(throttle.admit(1 + other * SETS as u64, now));
            assert!(!throttle.admit(1, now));
        }
        assert!(throttle.admit(1, now + Duration::from_secs(1)));
    }

    #[test]
    fn no_rate_is_no_limit_and_no_table() {
        let throttle = Throttle::new(0, 0);
        assert!((0..1_000).all(|_| throttle.admit(7, Duration::ZERO)));
        assert!(throttle.sets.is_empty());
        assert_eq!(
            (throttle.take(7, 1 << 40, Duration::ZERO), throttle.charge(7, 9, Duration::ZERO)),
            (Ok(()), Duration::ZERO)
        );
    }

    #[test]
    fn several_are_taken_together_or_not_at_all() {
        let throttle = Throttle::new(10, 20);
        let now = Duration::from_secs(10);
        assert_eq!(throttle.take(1, 15, now), Ok(()));
        assert_eq!(throttle.take(1, 10, now), Err(Duration::from_millis(500)));
        assert_eq!(throttle.take(2, 10, now), Ok(()), "another key");
        throttle.give_back(1, 15);
        assert_eq!(throttle.take(1, 20, now), Ok(()));
    }
}
