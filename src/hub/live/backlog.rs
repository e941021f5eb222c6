//! Events that wait for the fan-out of one pattern. Bounded in bytes: a pattern
//! whose members take longer than its events last loses events, as NATS core
//! would lose them, and no other pattern does.

use std::{collections::VecDeque, sync::Arc};

use crate::event::Message;

/// Events sent together: what waits together leaves as one message. As many as
/// a word has bits (`delivery.rs`).
const BATCH: usize = u64::BITS as usize;

/// Bytes of events sent together, beyond one event: a client's queue is bounded
/// in bytes, and takes one message more than that.
const BATCH_BYTES: usize = 64 * 1024;

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
        let count = together(first.iter().chain(second));
        let events: Vec<_> = self.events.drain(..count).collect();
        self.bytes -= events.iter().map(|event| event.cost()).sum::<usize>();
        events
    }
}

/// Cuts what arrived together into what may be sent together.
pub(crate) fn batches(mut events: &[Arc<Message>]) -> impl Iterator<Item = &[Arc<Message>]> {
    std::iter::from_fn(move || {
        let (batch, rest) = events.split_at(together(events.iter()));
        events = rest;
        (!batch.is_empty()).then_some(batch)
    })
}

/// How many of these may be sent together: at least one, if there is any.
fn together<'a>(events: impl Iterator<Item = &'a Arc<Message>>) -> usize {
    let mut bytes = 0;
    events
        .take(BATCH)
        .enumerate()
        .take_while(|(index, event)| {
            bytes += event.cost();
            *index == 0 || bytes <= BATCH_BYTES
        })
        .count()
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

    /// What an event of this test takes besides its data.
    const BESIDE: usize = EVENT_BYTES + 1;

    fn sizes(events: &[Arc<Message>]) -> Vec<usize> {
        events.iter().map(|event| event.envelope.data.len()).collect()
    }

    proptest! {
        #[test]
        fn all_leave_in_order_in_bounded_batches(lengths in prop::collection::vec(0..40_000_usize, 0..300)) {
            let events: Vec<_> = lengths.iter().map(|length| event(*length)).collect();
            let cut: Vec<Vec<usize>> = batches(&events).map(sizes).collect();
            let mut backlog = Backlog::default();
            prop_assert_eq!(backlog.add(events, usize::MAX), 0);
            let taken: Vec<_> =
                std::iter::repeat_with(|| backlog.take()).take_while(|batch| !batch.is_empty()).map(|batch| sizes(&batch)).collect();
            prop_assert_eq!(&cut, &taken);
            prop_assert_eq!(taken.concat(), lengths);
            prop_assert_eq!(backlog.bytes, 0);
            for batch in &cut {
                prop_assert!(batch.len() <= BATCH && (batch.len() == 1 || batch.iter().map(|data| data + BESIDE).sum::<usize>() <= BATCH_BYTES));
            }
            for pair in cut.windows(2) {
                let fits = pair[0].len() < BATCH && pair[0].iter().map(|data| data + BESIDE).sum::<usize>() + pair[1][0] + BESIDE <= BATCH_BYTES;
                prop_assert!(!fits, "what could leave together does");
            }
        }
    }

    #[test]
    fn what_exceeds_the_bound_is_dropped_and_counted() {
        let mut backlog = Backlog::default();
        assert_eq!(backlog.add(vec![event(1_000), event(1), event(1)], 1_000), 2);
        assert_eq!(sizes(&backlog.take()), [1_000]);
        assert_eq!(backlog.add(vec![event(1)], 1_000), 0);
        // What an event takes besides its data counts too.
        let mut backlog = Backlog::default();
        assert_eq!(backlog.add(vec![event(10); 5], 2 * (BESIDE + 10)), 3);
    }
}
