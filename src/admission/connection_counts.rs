//! Counts of connections by address, or by user. Free of what the keys stand for.

use std::collections::HashMap;

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
    shards: [Mutex<HashMap<u64, u32>>; SHARDS],
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
        let room = *count < self.most;
        *count += u32::from(room);
        room
    }

    /// One less.
    pub(crate) fn leave(&self, key: u64) {
        let mut shard = self.shard(key);
        let left = shard.get_mut(&key).map_or(0, |count| {
            *count -= 1;
            *count
        });
        if left == 0 {
            shard.remove(&key);
        }
    }

    fn shard(&self, key: u64) -> MutexGuard<'_, HashMap<u64, u32>> {
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
}
