//! The reorder buffer: events leave it in the order of their stream, none twice,
//! and a hole holds back the events behind it until it is filled or known to be
//! empty. Free of I/O.

use std::collections::BTreeMap;

use crate::{broker::Stored, event::EVENT_BYTES};

/// Bytes of events that may wait behind a hole. Further events are read again
/// later.
const HELD_BYTES: usize = 16 * 1024 * 1024;

/// Puts the events of a stream in order.
#[derive(Debug, Default)]
pub(crate) struct ReorderBuffer {
    /// The sequence that is expected; 0 while that is not known.
    next: u64,
    /// Events that came too early.
    held: BTreeMap<u64, Stored>,
    bytes: usize,
    /// Everything up to here was stored at some time.
    known: u64,
}

impl ReorderBuffer {
    /// The last sequence that was handed out, or passed over.
    pub(crate) fn head(&self) -> u64 {
        self.next.saturating_sub(1)
    }

    /// Begins at `next`, and hands out the events in order from there. Events
    /// that were held and come before are dropped.
    pub(crate) fn begin(&mut self, next: u64, mut out: impl FnMut(Stored)) {
        self.next = next;
        self.held = self.held.split_off(&next);
        self.bytes = self.held.values().map(size).sum();
        self.known = next.saturating_sub(1);
        self.release(&mut out);
    }

    /// Notes that events are stored up to here.
    pub(crate) fn know(&mut self, last: u64) {
        self.known = self.known.max(last);
    }

    /// The first range that is missing.
    pub(crate) fn hole(&self) -> Option<(u64, u64)> {
        if self.next == 0 {
            return None;
        }
        let last = match self.held.first_key_value() {
            Some((seq, _)) => seq - 1,
            None => self.known,
        };
        (last >= self.next).then_some((self.next, last))
    }

    /// Takes in what the tail brought, and hands out what is in order.
    pub(crate) fn take(&mut self, stored: Stored, mut out: impl FnMut(Stored)) {
        if self.next == 0 || stored.seq > self.next {
            self.hold(stored);
        } else if stored.seq == self.next {
            self.next += 1;
            out(stored);
            self.release(&mut out);
        }
    }

    /// Takes in what was read from the stream: nothing is stored between what
    /// was expected and this.
    pub(crate) fn fill(&mut self, stored: Stored, mut out: impl FnMut(Stored)) {
        if let Some(before) = stored.seq.checked_sub(1) {
            self.pass(before, &mut out);
        }
        self.take(stored, out);
    }

    /// Nothing else is stored up to here.
    pub(crate) fn pass(&mut self, through: u64, mut out: impl FnMut(Stored)) {
        while self.next <= through {
            let held = self.held.first_key_value().map_or(u64::MAX, |(seq, _)| *seq);
            self.next = held.min(through + 1);
            self.release(&mut out);
        }
    }

    fn release(&mut self, out: &mut impl FnMut(Stored)) {
        while let Some(entry) = self.held.first_entry() {
            match *entry.key() {
                seq if seq > self.next => break,
                seq => {
                    let stored = entry.remove();
                    self.bytes -= size(&stored);
                    if seq == self.next {
                        self.next += 1;
                        out(stored);
                    }
                }
            }
        }
    }

    fn hold(&mut self, stored: Stored) {
        // Then it is at least known that there is something.
        if self.next > 0 {
            self.know(stored.seq);
        }
        if self.bytes < HELD_BYTES {
            self.bytes += size(&stored);
            let before = self.held.insert(stored.seq, stored);
            self.bytes -= before.as_ref().map_or(0, size);
        }
    }
}

/// Bytes that it takes in memory.
pub(crate) fn size(stored: &Stored) -> usize {
    stored.event.as_ref().map_or(EVENT_BYTES, |event| event.cost())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stored(seq: u64) -> Stored {
        Stored::new(seq, None)
    }

    #[test]
    fn what_comes_before_the_beginning_is_known_waits_for_it() {
        let mut reorder_buffer = ReorderBuffer::default();
        let mut out = Vec::new();
        for seq in [7, 9, 8] {
            reorder_buffer.take(stored(seq), |stored| out.push(stored.seq));
        }
        assert!(out.is_empty() && reorder_buffer.hole().is_none());
        reorder_buffer.begin(6, |stored| out.push(stored.seq));
        assert_eq!(reorder_buffer.hole(), Some((6, 6)));
        reorder_buffer.fill(stored(6), |stored| out.push(stored.seq));
        assert_eq!((out, reorder_buffer.head(), reorder_buffer.hole()), (vec![6, 7, 8, 9], 9, None));
    }

    /// Otherwise it would wait for the event after it, which may never come.
    #[test]
    fn what_has_come_already_when_the_beginning_is_known_leaves_at_once() {
        let mut reorder_buffer = ReorderBuffer::default();
        let mut out = Vec::new();
        for seq in [5, 6, 7, 9] {
            reorder_buffer.take(stored(seq), |stored| out.push(stored.seq));
        }
        reorder_buffer.begin(6, |stored| out.push(stored.seq));
        assert_eq!((out, reorder_buffer.head(), reorder_buffer.hole()), (vec![6, 7], 7, Some((8, 8))));
    }

    /// It may be from before the stream was created anew.
    #[test]
    fn what_comes_before_the_beginning_is_known_says_nothing_of_the_end() {
        let mut reorder_buffer = ReorderBuffer::default();
        reorder_buffer.take(stored(9), |_| panic!("nothing is expected"));
        assert_eq!(reorder_buffer.known, 0);
        reorder_buffer.begin(3, |_| panic!("nothing is expected"));
        reorder_buffer.take(stored(5), |_| panic!("it waits"));
        assert_eq!(reorder_buffer.known, 5);
    }

    #[test]
    fn a_last_event_that_is_known_of_and_missing_is_a_hole() {
        let mut reorder_buffer = ReorderBuffer::default();
        reorder_buffer.begin(3, |_| panic!("nothing is there"));
        assert_eq!(reorder_buffer.hole(), None);
        reorder_buffer.know(4);
        assert_eq!(reorder_buffer.hole(), Some((3, 4)));
        reorder_buffer.pass(4, |_| panic!("nothing is there"));
        assert_eq!((reorder_buffer.head(), reorder_buffer.hole()), (4, None));
    }

    proptest! {
        /// Events arrive in any order, some of them again: once the holes are
        /// filled, each has left once and in order.
        #[test]
        fn everything_leaves_once_and_in_order(
            early in prop::collection::vec(1..40_u64, 0..10),
            arrivals in prop::collection::vec(1..40_u64, 0..80),
            deleted_through in prop::collection::btree_set(1..40_u64, 0..10),
        ) {
            let mut reorder_buffer = ReorderBuffer::default();
            let mut out = Vec::new();
            for seq in early.into_iter().filter(|seq| !deleted_through.contains(seq)) {
                reorder_buffer.take(stored(seq), |stored| out.push(stored.seq));
            }
            reorder_buffer.begin(1, |stored| out.push(stored.seq));
            reorder_buffer.know(40);
            for seq in arrivals.into_iter().filter(|seq| !deleted_through.contains(seq)) {
                reorder_buffer.take(stored(seq), |stored| out.push(stored.seq));
            }
            while let Some((from, to)) = reorder_buffer.hole() {
                match (from..=to).find(|seq| !deleted_through.contains(seq)) {
                    Some(seq) => reorder_buffer.fill(stored(seq), |stored| out.push(stored.seq)),
                    None => reorder_buffer.pass(to, |stored| out.push(stored.seq)),
                }
            }
            let expected: Vec<u64> = (1..=40).filter(|seq| !deleted_through.contains(seq)).collect();
            prop_assert_eq!(out, expected);
            prop_assert_eq!(reorder_buffer.bytes, 0);
        }
    }
}
