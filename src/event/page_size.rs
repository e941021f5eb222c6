//! The size of a part of many events, which are read or sent together: so many events and bytes of them, and always
//! one event, however large that is. One rule for batches, replays, pages of a window and of the embedded streams.

use std::sync::Arc;

use crate::event::message::Message;

/// The most that a part holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSize {
    /// Events.
    pub events: usize,
    /// Bytes of them, by [`Message::cost`]; the first event may exceed that.
    pub bytes: usize,
}

/// The room that is left in a part.
#[derive(Clone, Copy, Debug)]
pub struct PageRoom {
    left: PageSize,
    is_empty: bool,
}

impl PageSize {
    /// Events that are sent together, as one message. Those that a member wants are a set of bits, so there are no more
    /// than a word has. The bytes keep a browser from waiting long for the first of them, and a client's queue near its
    /// bound, which it exceeds by one message.
    pub const BATCH: Self = Self { events: u64::BITS as usize, bytes: 64 * 1024 };

    /// A part that holds nothing yet.
    #[inline]
    pub fn room(self) -> PageRoom {
        PageRoom { left: self, is_empty: true }
    }

    /// How many events of these costs fit: at least one, if there is any.
    #[inline]
    pub fn fits(self, costs: impl IntoIterator<Item = usize>) -> usize {
        let mut room = self.room();
        costs.into_iter().take_while(|cost| room.take(*cost)).count()
    }

    /// Cuts events into parts of this size, in their order.
    pub fn split(self, mut events: &[Arc<Message>]) -> impl Iterator<Item = &[Arc<Message>]> {
        std::iter::from_fn(move || {
            let (part, rest) = events.split_at(self.fits(events.iter().map(|event| event.cost())));
            events = rest;
            (!part.is_empty()).then_some(part)
        })
    }
}

impl PageRoom {
    /// Takes an event of that cost, if it fits. The first one always does.
    #[inline]
    pub fn take(&mut self, cost: usize) -> bool {
        let fits = self.is_empty || (self.left.events > 0 && cost <= self.left.bytes);
        if fits {
            let PageSize { events, bytes } = self.left;
            self.left = PageSize { events: events.saturating_sub(1), bytes: bytes.saturating_sub(cost) };
            self.is_empty = false;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{event::EVENT_BYTES, proto::Envelope, subject::Subject};

    #[test]
    fn a_part_holds_what_fits_and_at_least_one_event() {
        let size = |events, bytes| PageSize { events, bytes };
        let rows: [(&str, PageSize, &[usize], usize); 9] = [
            ("nothing", size(3, 10), &[], 0),
            ("all of them", size(3, 10), &[1, 2, 3], 3),
            ("as many as may be", size(3, 10), &[1, 1, 1, 1], 3),
            ("as many bytes as may be", size(3, 10), &[4, 6, 1], 2),
            ("one byte too much", size(3, 10), &[4, 7], 1),
            ("a first one that is too large", size(3, 10), &[11, 1], 1),
            ("a first one that takes all", size(3, 10), &[10, 0], 2),
            ("a later one that is too large", size(3, 10), &[1, 11, 1], 1),
            ("no room at all", size(0, 0), &[5, 0], 1),
        ];
        for (name, size, costs, expected) in rows {
            assert_eq!(size.fits(costs.iter().copied()), expected, "{name}");
        }
    }

    fn event(bytes: usize) -> Arc<Message> {
        let envelope = Envelope { data: vec![0; bytes].into(), ..Envelope::default() };
        Arc::new(Message::new(Subject::parse("a").expect("a subject"), envelope))
    }

    proptest! {
        #[test]
        fn parts_are_in_order_bounded_and_as_large_as_they_can_be(
            lengths in prop::collection::vec(0..40_000_usize, 0..300),
            size in (1..100_usize, 0..200_000_usize).prop_map(|(events, bytes)| PageSize { events, bytes }),
        ) {
            let cost = |length: &usize| EVENT_BYTES + 1 + length;
            let events: Vec<_> = lengths.iter().map(|length| event(*length)).collect();
            let length = |event: &Arc<Message>| event.envelope.data.len();
            let parts: Vec<Vec<usize>> = size.split(&events).map(|part| part.iter().map(length).collect()).collect();
            prop_assert_eq!(parts.concat(), lengths);
            for part in &parts {
                let bytes: usize = part.iter().map(cost).sum();
                prop_assert!(part.len() <= size.events && (part.len() == 1 || bytes <= size.bytes));
            }
            for pair in parts.windows(2) {
                let bytes = pair[0].iter().map(cost).sum::<usize>() + cost(&pair[1][0]);
                prop_assert!(pair[0].len() == size.events || bytes > size.bytes, "what could be together is");
            }
        }
    }
}
