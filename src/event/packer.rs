//! How many events make one message: as many as fit, and all of an atomic batch, as far as that has a bound of its own.

use std::{ops::ControlFlow, sync::Arc};

use crate::event::{
    message::Message,
    page_size::{PageRoom, PageSize},
};

/// Counts the events of one message.
#[derive(Debug)]
pub struct Packer {
    room: PageRoom,
    /// The most of one batch that comes together.
    batch: PageSize,
    taken: usize,
    /// Of the batch at the end: its first event here, and the room that it has left.
    run: (usize, PageRoom),
    /// It holds more than its size, because of a batch.
    full: bool,
}

/// The end of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The events that it has.
    pub events: usize,
    /// Whether they are a part of a batch that goes on.
    pub parted: bool,
}

impl Packer {
    /// A message of a size, which only an atomic batch of at most another size exceeds.
    #[inline]
    pub fn new(size: PageSize, batch: PageSize) -> Self {
        Self { room: size.room(), batch, taken: 0, run: (0, batch.room()), full: false }
    }

    /// Takes the event behind `before`, or says where the message ends.
    #[inline]
    pub fn take(&mut self, before: Option<&Arc<Message>>, event: &Message) -> ControlFlow<Cut> {
        let cost = event.cost();
        if event.batch.is_some() {
            return self.take_marked(before.is_some_and(|before| before.goes_on(event)), cost);
        }
        if self.full || !self.room.take(cost) {
            return self.cut(self.taken, false);
        }
        self.taken += 1;
        ControlFlow::Continue(())
    }

    fn take_marked(&mut self, goes_on: bool, cost: usize) -> ControlFlow<Cut> {
        if !goes_on {
            if self.full {
                return self.cut(self.taken, false);
            }
            self.run = (self.taken, self.batch.room());
        }
        let (begun, room) = &mut self.run;
        let (begun, fits_batch) = (*begun, room.take(cost));
        if goes_on && !fits_batch {
            return if begun == 0 { self.cut(self.taken, true) } else { self.cut(begun, false) };
        }
        if self.full || !self.room.take(cost) {
            if begun > 0 || !goes_on {
                return self.cut(if goes_on { begun } else { self.taken }, false);
            }
            self.full = true;
        }
        self.taken += 1;
        ControlFlow::Continue(())
    }

    fn cut(&self, events: usize, parted: bool) -> ControlFlow<Cut> {
        ControlFlow::Break(Cut { events, parted })
    }
}

impl PageSize {
    /// Cuts events into messages of this size, in their order, which only an atomic batch of at most the size `batch`
    /// exceeds: it stays whole.
    pub fn split_whole(self, batch: Self, mut events: &[Arc<Message>]) -> impl Iterator<Item = &[Arc<Message>]> {
        std::iter::from_fn(move || {
            let (mut packer, mut before, mut count) = (Packer::new(self, batch), None, events.len());
            for event in events {
                if let ControlFlow::Break(cut) = packer.take(before, event) {
                    count = cut.events;
                    break;
                }
                before = Some(event);
            }
            let (message, rest) = events.split_at(count);
            events = rest;
            (!message.is_empty()).then_some(message)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{event::BatchMark, proto::Envelope, subject::Subject};

    /// Events in groups: each group of more than one is a batch.
    fn events(groups: &[(usize, usize)]) -> Vec<Arc<Message>> {
        let mut events = Vec::new();
        for (number, (length, bytes)) in groups.iter().enumerate() {
            for index in 1..=*length {
                let envelope = Envelope { data: vec![0; *bytes].into(), ..Envelope::default() };
                let mark = BatchMark {
                    id: number.to_string().into(),
                    index: index as u32,
                    commits: index == *length,
                    parted: false,
                };
                let message = Message::new(Subject::parse("a").expect("a subject"), envelope);
                events.push(Arc::new(Message { batch: (*length > 1).then(|| mark.into()), ..message }));
            }
        }
        events
    }

    fn cost(events: &[Arc<Message>]) -> usize {
        events.iter().map(|event| event.cost()).sum()
    }

    proptest! {
        #[test]
        fn batches_stay_whole_up_to_their_bound_and_all_else_is_bounded(
            groups in prop::collection::vec((prop_oneof![3 => Just(1), 2 => 2..40_usize], 0..4_000_usize), 0..40),
            size in (1..10_usize, 0..20_000_usize).prop_map(|(events, bytes)| PageSize { events, bytes }),
            batch in (10..30_usize, 20_000..60_000_usize).prop_map(|(events, bytes)| PageSize { events, bytes }),
        ) {
            let all = events(&groups);
            let messages: Vec<_> = size.split_whole(batch, &all).collect();
            prop_assert_eq!(messages.iter().map(|message| message.len()).sum::<usize>(), all.len());
            for pair in messages.windows(2) {
                let (before, next) = (pair[0], &pair[1][0]);
                if before[before.len() - 1].goes_on(next) {
                    // Only a batch that is above its bound is cut: it fills its part, and has that for itself.
                    prop_assert!(before.windows(2).all(|pair| pair[0].goes_on(&pair[1])));
                    prop_assert!(before.len() == batch.events || cost(before) + next.cost() > batch.bytes);
                }
            }
            for message in messages {
                let whole = message.windows(2).all(|pair| pair[0].goes_on(&pair[1]));
                let most = if whole { batch } else { size };
                prop_assert!(message.len() <= most.events.max(1));
                prop_assert!(message.len() == 1 || cost(message) <= most.bytes);
            }
        }
    }

    #[test]
    fn a_batch_that_fits_goes_along_with_others_and_a_larger_one_is_alone() {
        let size = PageSize { events: 4, bytes: 100_000 };
        let lengths = |groups: &[(usize, usize)]| -> Vec<usize> {
            let batch = PageSize { events: 8, bytes: 100_000 };
            size.split_whole(batch, &events(groups)).map(<[_]>::len).collect()
        };
        assert_eq!(lengths(&[(1, 0), (3, 0), (1, 0)]), [4, 1]);
        assert_eq!(lengths(&[(1, 0), (1, 0), (3, 0), (1, 0)]), [2, 4]);
        assert_eq!(lengths(&[(1, 0), (6, 0), (1, 0), (1, 0)]), [1, 6, 2]);
        assert_eq!(lengths(&[(1, 0), (20, 0), (1, 0)]), [1, 8, 8, 4, 1], "in parts, above its bound");
    }
}
