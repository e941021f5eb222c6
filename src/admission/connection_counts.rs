//! Counts of connections by address, or by user, and for how long one more has been
//! refused. Free of what the keys stand for, and of clocks.

use std::{collections::HashMap, time::Duration};

use crate::sync::{Mutex, MutexGuard};

/// Shards with a lock each, so that connections that come and go at the same
/// time rarely wait for each other.
const SHARDS: usize = 64;

/// Counts by key, each up to the same limit. A key that has none is not there,
/// so there are never more keys than connections.
#[derive(Debug)]
pub(crate) struct ConnectionCounts {
    /// 0: nothing is counted.
    most: u32,
    shards: [Mutex<HashMap<u64, Count>>; SHARDS],
}

/// The connections of one key.
#[derive(Debug, Default)]
struct Count {
    open: u32,
    /// One more has been refused since then, and the last time then: milliseconds,
    /// from 1; 0 for never.
    refused: (u32, u32),
}

impl ConnectionCounts {
    /// Counts with at most `most` connections per key; 0: no limit.
    pub(crate) fn new(most: u32) -> Self {
        Self { most, shards: std::array::from_fn(|_| Mutex::default()) }
    }

    pub(crate) fn is_counted(&self) -> bool {
        self.most > 0
    }

    /// One more, if there is room.
    pub(crate) fn enter(&self, key: u64) -> bool {
        let mut shard = self.shard(key);
        let count = shard.entry(key).or_default();
        let room = count.open < self.most;
        count.open += u32::from(room);
        room
    }

    /// One less.
    pub(crate) fn leave(&self, key: u64) {
        let mut shard = self.shard(key);
        let left = shard.get_mut(&key).map_or(0, |count| {
            (count.open, count.refused) = (count.open - 1, (0, 0));
            count.open
        });
        if left == 0 {
            shard.remove(&key);
        }
    }

    /// One more was refused. Whether that may pass: a dead connection is found out
    /// within `proof`, so when nobody has left although one more has been refused
    /// for so long, all of them live.
    pub(crate) fn may_pass(&self, key: u64, now: Duration, proof: Duration) -> bool {
        let mut shard = self.shard(key);
        let Some(count) = shard.get_mut(&key) else { return true };
        let now = (now.as_millis() as u32).max(1);
        let since = |then: u32| Duration::from_millis(now.wrapping_sub(then).into());
        let (first, last) = count.refused;
        // Some may have died since the last time, if that is long ago.
        let goes_on = first != 0 && since(last) < proof;
        count.refused = (if goes_on { first } else { now }, now);
        since(count.refused.0) < proof
    }

    fn shard(&self, key: u64) -> MutexGuard<'_, HashMap<u64, Count>> {
        self.shards[key as usize % SHARDS].lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_a_limit_of_its_own_and_goes_with_its_last() {
        let crowd = ConnectionCounts::new(2);
        assert!(crowd.enter(1) && crowd.enter(1) && !crowd.enter(1));
        assert!(crowd.enter(1 + SHARDS as u64), "another key in the same part");
        crowd.leave(1);
        assert!(crowd.enter(1) && !crowd.enter(1));
        for key in [1, 1, 1 + SHARDS as u64] {
            crowd.leave(key);
        }
        assert!(crowd.shards.iter().all(|shard| shard.lock().is_empty()));
    }

    #[test]
    fn a_refusal_may_pass_until_all_who_are_there_must_live() {
        let (crowd, proof) = (ConnectionCounts::new(1), Duration::from_secs(10));
        let may_pass = |seconds: u64| crowd.may_pass(1, Duration::from_secs(seconds), proof);
        assert!(may_pass(1) && crowd.shards.iter().all(|shard| shard.lock().is_empty()), "it has left meanwhile");
        assert!(crowd.enter(1));
        assert!([1, 5, 10].into_iter().all(may_pass));
        assert!(!may_pass(11) && !may_pass(16));
        // Nobody asked for so long that one may have died.
        assert!(may_pass(26) && may_pass(31) && !may_pass(36));
        // One was dead: now another one is there.
        crowd.leave(1);
        assert!(crowd.enter(1) && may_pass(37) && may_pass(42) && !may_pass(47));
    }
}
