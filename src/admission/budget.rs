//! Bytes that are held for many, each with a share. Free of what the keys stand for.

use std::{collections::HashMap, time::Duration};

use metrics::Gauge;
use tokio::{sync::Notify, time::timeout};

use crate::sync::Mutex;

/// How long anybody waits for bytes to become free: several answers that are
/// made at the same time set more aside than they come to.
const PATIENCE: Duration = Duration::from_secs(1);

/// Of all bytes one user may hold the eighth part.
const USER: u64 = 8;

/// Of all bytes one address may hold the fourth part: it may have many users.
const ADDRESS: u64 = 4;

/// Bytes up to a number in all, and up to a share of it for each.
#[derive(Debug)]
pub(crate) struct Budget {
    most: u64,
    held: Mutex<HeldBytes>,
    freed: Notify,
    /// Shows what is held.
    gauge: Gauge,
}

#[derive(Debug, Default)]
struct HeldBytes {
    total: u64,
    /// A key that holds nothing has no entry, so there are never more entries
    /// than connections.
    by_key: HashMap<u64, u64>,
}

/// For whom bytes are held; 0: for nobody in particular.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holder {
    pub(crate) user: u64,
    pub(crate) address: u64,
}

/// The budget that is exhausted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exhausted {
    /// Of all.
    Total,
    /// Of somebody's share.
    Share,
}

impl Holder {
    fn shares(self) -> impl Iterator<Item = (u64, u64)> {
        [(self.user, USER), (self.address, ADDRESS)].into_iter().filter(|(key, _)| *key != 0)
    }
}

impl Budget {
    /// So many in all.
    pub(crate) fn new(most: u64, gauge: Gauge) -> Self {
        Self { most, held: Mutex::default(), freed: Notify::new(), gauge }
    }

    /// How many there are in all.
    pub(crate) fn most(&self) -> u64 {
        self.most
    }

    /// Holds `bytes` more, as soon as there is room. A holder that holds
    /// nothing gets any number, however small its share: one answer always
    /// fits.
    pub(crate) async fn take(&self, holder: Holder, bytes: u64) -> Result<(), Exhausted> {
        let mut why = Exhausted::Total;
        let taken = async {
            loop {
                let freed = self.freed.notified();
                match self.try_take(holder, bytes) {
                    Ok(()) => return,
                    Err(exhausted) => why = exhausted,
                }
                freed.await;
            }
        };
        let in_time = timeout(PATIENCE, taken).await;
        in_time.map_err(|_| why)
    }

    fn try_take(&self, holder: Holder, bytes: u64) -> Result<(), Exhausted> {
        let mut held = self.held.lock();
        let fits = |held: u64, most: u64| held == 0 || held.saturating_add(bytes) <= most;
        if !fits(held.total, self.most) {
            return Err(Exhausted::Total);
        }
        let of = |key: u64| held.by_key.get(&key).copied().unwrap_or_default();
        if holder.shares().any(|(key, part)| !fits(of(key), self.most / part)) {
            return Err(Exhausted::Share);
        }
        self.add(&mut held, holder, bytes);
        Ok(())
    }

    /// Holds some more, room or not.
    pub(crate) fn force(&self, holder: Holder, bytes: u64) {
        self.add(&mut self.held.lock(), holder, bytes);
    }

    fn add(&self, held: &mut HeldBytes, holder: Holder, bytes: u64) {
        if bytes == 0 {
            return;
        }
        held.total += bytes;
        for (key, _) in holder.shares() {
            *held.by_key.entry(key).or_default() += bytes;
        }
        self.gauge.set(held.total as f64);
    }

    /// Holds some less.
    pub(crate) fn give_back(&self, holder: Holder, bytes: u64) {
        if bytes == 0 {
            return;
        }
        let mut held = self.held.lock();
        held.total -= bytes;
        for (key, _) in holder.shares() {
            let left = held.by_key.get_mut(&key).map_or(0, |count| {
                *count -= bytes;
                *count
            });
            if left == 0 {
                held.by_key.remove(&key);
            }
        }
        self.gauge.set(held.total as f64);
        drop(held);
        self.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Holder = Holder { user: 1, address: 9 };
    const OTHER: Holder = Holder { user: 2, address: 9 };
    const NOBODY: Holder = Holder { user: 0, address: 8 };

    #[test]
    fn users_and_addresses_have_a_share_and_go_with_their_last_byte() {
        let budget = Budget::new(800, Gauge::noop());
        assert_eq!(budget.try_take(ONE, 60), Ok(()));
        assert_eq!(budget.try_take(ONE, 50), Err(Exhausted::Share));
        assert_eq!(budget.try_take(ONE, 40), Ok(()));
        assert_eq!(budget.try_take(OTHER, 100), Ok(()));
        // Their address has all it may.
        assert_eq!(budget.try_take(Holder { user: 3, address: 9 }, 1), Err(Exhausted::Share));
        assert_eq!(budget.try_take(NOBODY, 200), Ok(()));
        assert_eq!(budget.try_take(Holder { user: 4, address: 0 }, 401), Err(Exhausted::Total));
        budget.force(NOBODY, 10);
        for (holder, bytes) in [(ONE, 100), (OTHER, 100), (NOBODY, 210)] {
            budget.give_back(holder, bytes);
        }
        let held = budget.held.lock();
        assert_eq!((held.total, held.by_key.len()), (0, 0));
    }

    #[test]
    fn one_answer_fits_however_large_it_is() {
        let budget = Budget::new(800, Gauge::noop());
        assert_eq!(budget.try_take(ONE, 5_000), Ok(()));
        assert_eq!(budget.try_take(NOBODY, 1), Err(Exhausted::Total));
        budget.give_back(ONE, 4_900);
        assert_eq!(budget.try_take(NOBODY, 600), Ok(()));
    }

    #[tokio::test]
    async fn who_finds_no_room_waits_for_a_moment() {
        let budget = std::sync::Arc::new(Budget::new(800, Gauge::noop()));
        budget.force(ONE, 100);
        assert_eq!(budget.take(ONE, 50).await, Err(Exhausted::Share));
        let waiting = tokio::spawn({
            let budget = budget.clone();
            async move { budget.take(ONE, 50).await }
        });
        tokio::task::yield_now().await;
        budget.give_back(ONE, 50);
        assert_eq!(waiting.await.expect("it runs"), Ok(()));
    }
}
