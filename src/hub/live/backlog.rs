//! Events that wait for the fan-out of one pattern. Bounded in bytes: a pattern
//! whose members take longer than its events last loses events, as NATS core
//! would lose them, and no other pattern does.

use std::{collections::VecDeque, sync::Arc};

use crate::event::{Message, PageSize};

/// Events in the order of their arrival.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    events: VecDeque<Arc<Message>>,
    bytes: usize,
}

impl Backlog {
    /// Adds events up to the bound; returns how many were dropped.
    pub(crate) fn add(&mut self, events: impl IntoIterator<Item = Arc<Message>>, most_bytes: usize) -> usize {
        let mut dropped = 0;
        for event in events {
            if self.bytes >= most_bytes {
                dropped += 1;
            } else {
                self.bytes += event.cost();
                self.events.push_back(event);
            }
        }
        dropped
    }

    /// Takes what is to be sent together; empty when nothing waits.
    pub(crate) fn take(&mut self) -> Vec<Arc<Message>> {
        let (first, second) = self.events.as_slices();
        let count = PageSize::BATCH.fits(first.iter().chain(second).map(|event| event.cost()));
        let events: Vec<_> = self.events.drain(..count).collect();
        self.bytes -= events.iter().map(|event| event.cost()).sum::<usize>();
        events
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{event::EVENT_BYTES, proto::Envelope, subject::Subject};

    fn event(bytes: usize) -> Arc<Message> {
        let envelope = Envelope { data: vec![0; bytes].into(), ..Envelope::default() };
        Arc::new(Message::new(Subject::parse("a").expect("a subject"), envelope))
    }

    /// The memory of an event of this test besides its data.
    const BESIDE: usize = EVENT_BYTES + 1;

    fn sizes(events: &[Arc<Message>]) -> Vec<usize> {
        events.iter().map(|event| event.envelope.data.len()).collect()
    }

    proptest! {
        #[test]
        fn what_waits_leaves_as_it_would_if_it_had_arrived_together(lengths in prop::collection::vec(0..40_000_usize, 0..300)) {
            let events: Vec<_> = lengths.iter().map(|length| event(*length)).collect();
            let cut: Vec<Vec<usize>> = PageSize::BATCH.split(&events).map(sizes).collect();
            let mut backlog = Backlog::default();
            prop_assert_eq!(backlog.add(events, usize::MAX), 0);
            let batches = std::iter::repeat_with(|| backlog.take()).take_while(|batch| !batch.is_empty());
            let taken: Vec<_> = batches.map(|batch| sizes(&batch)).collect();
            prop_assert_eq!(&cut, &taken);
            prop_assert_eq!(taken.concat(), lengths);
            prop_assert_eq!(backlog.bytes, 0);
        }
    }

    #[test]
    fn what_exceeds_the_bound_is_dropped_and_counted() {
        let mut backlog = Backlog::default();
        assert_eq!(backlog.add(vec![event(1_000), event(1), event(1)], 1_000), 2);
        assert_eq!(sizes(&backlog.take()), [1_000]);
        assert_eq!(backlog.add(vec![event(1)], 1_000), 0);
        // The memory of an event besides its data counts too.
        let mut backlog = Backlog::default();
        assert_eq!(backlog.add(vec![event(10); 5], 2 * (BESIDE + 10)), 3);
    }
}
