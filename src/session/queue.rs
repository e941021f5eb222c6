//! Requests of one connection that have no turn yet, in order, bounded in number and
//! bytes. Free of their meaning.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Bytes that may wait for each connection, whatever waits for others: a page's
/// own, where nobody sends files.
const OWN_BYTES: usize = 256 * 1024;

/// Bytes that all queues of a node together may hold beyond their own share: a
/// few may be as long as a burst, and none can take the memory of the node.
const SHARED_BYTES: usize = 64 * 1024 * 1024;

/// Room that the queues of a node share.
#[derive(Debug)]
pub(crate) struct QueueRoom(AtomicUsize);

impl Default for QueueRoom {
    fn default() -> Self {
        Self(AtomicUsize::new(SHARED_BYTES))
    }
}

/// Requests that wait, in order.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    waiting: VecDeque<(usize, T)>,
    bytes: usize,
    services: Arc<QueueRoom>,
}

impl<T> Queue<T> {
    pub(crate) fn new(services: Arc<QueueRoom>) -> Self {
        Self { waiting: VecDeque::new(), bytes: 0, services }
    }

    /// Adds an item of `bytes`; false when the queue would then hold more items or
    /// bytes than it may, or the queues of the node have no room left.
    #[must_use]
    pub(crate) fn push(&mut self, item: T, bytes: usize, (items_most, bytes_most): (usize, usize)) -> bool {
        let after = self.bytes.saturating_add(bytes);
        if self.waiting.len() >= items_most
            || after > bytes_most
            || !self.services.take(beyond(after) - beyond(self.bytes))
        {
            return false;
        }
        self.bytes = after;
        self.waiting.push_back((bytes, item));
        true
    }

    /// The request that has waited longest.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let (bytes, item) = self.waiting.pop_front()?;
        let after = self.bytes - bytes;
        self.services.give(beyond(self.bytes) - beyond(after));
        self.bytes = after;
        Some(item)
    }

    /// Removes all requests that `matches` names.
    pub(crate) fn remove(&mut self, matches: impl Fn(&T) -> bool) {
        let before = self.bytes;
        self.waiting.retain(|(bytes, item)| {
            let stays = !matches(item);
            self.bytes -= if stays { 0 } else { *bytes };
            stays
        });
        self.services.give(beyond(before) - beyond(self.bytes));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// The part of some bytes that is beyond a queue's own share.
fn beyond(bytes: usize) -> usize {
    bytes.saturating_sub(OWN_BYTES)
}

impl QueueRoom {
    fn take(&self, bytes: usize) -> bool {
        let less = |left: usize| left.checked_sub(bytes);
        bytes == 0 || self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    fn give(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl<T> Drop for Queue<T> {
    fn drop(&mut self) {
        self.services.give(beyond(self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: (usize, usize) = (1_000, 4 * 1024 * 1024);

    #[test]
    fn a_queue_is_in_order_and_has_room_for_so_many_things_and_bytes() {
        let mut queue = Queue::new(Arc::default());
        assert!(queue.push(1, 10, (2, 25)) && !queue.push(0, 16, (2, 25)) && queue.push(2, 15, (2, 25)));
        assert!(!queue.push(3, 0, (2, 25)), "a third thing");
        assert_eq!((queue.pop(), queue.is_empty()), (Some(1), false));
        assert!(queue.push(3, 10, (2, 25)));
        assert_eq!((queue.pop(), queue.pop(), queue.pop(), queue.is_empty()), (Some(2), Some(3), None, true));
    }

    #[test]
    fn long_queues_share_a_room_and_a_short_one_needs_none_of_it() {
        let services = Arc::<QueueRoom>::default();
        let long = 4 * 1024 * 1024;
        let mut queues: Vec<Queue<u8>> = Vec::new();
        loop {
            let mut queue = Queue::new(services.clone());
            if !queue.push(1, long, MOST) {
                break;
            }
            queues.push(queue);
        }
        assert_eq!(queues.len(), SHARED_BYTES / (long - OWN_BYTES));
        let mut short = Queue::new(services.clone());
        assert!(short.push(1, OWN_BYTES, MOST), "its own share is its own");
        while short.push(1, 64 * 1024, MOST) {}
        drop(short);
        drop(queues.pop());
        let mut other = Queue::new(services.clone());
        assert!(other.push(1, long, MOST), "what was given back");
        while other.pop().is_some() {}
        drop((queues, other));
        assert_eq!(services.0.load(Ordering::Relaxed), SHARED_BYTES);
    }
}
