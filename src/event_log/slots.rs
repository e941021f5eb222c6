//! Events in sequence order, in one piece of memory. An event that is taken
//! from the middle leaves a hole; holes never outnumber the events. Free of
//! I/O.

use std::collections::VecDeque;

use crate::subject::Subject;

/// Below this many places neither holes nor spare places are worth the work.
const SPARE: usize = 64;

/// One event.
#[derive(Debug)]
pub(crate) struct Entry<V> {
    /// Where it happened.
    pub(crate) subject: Subject,
    /// The bytes that the event counts.
    pub(crate) bytes: usize,
    /// The event.
    pub(crate) value: V,
}

/// Events in sequence order.
#[derive(Debug)]
pub(crate) struct Slots<V> {
    /// Ascending by sequence; neither the first nor the last is a hole.
    slots: VecDeque<(u64, Option<Entry<V>>)>,
    len: usize,
    bytes: usize,
}

impl<V> Default for Slots<V> {
    fn default() -> Self {
        Self { slots: VecDeque::new(), len: 0, bytes: 0 }
    }
}

impl<V> Slots<V> {
    /// Adds an event above all others.
    pub(crate) fn push(&mut self, seq: u64, entry: Entry<V>) {
        self.len += 1;
        self.bytes = self.bytes.saturating_add(entry.bytes);
        self.slots.push_back((seq, Some(entry)));
    }

    /// Takes one event out.
    pub(crate) fn take(&mut self, seq: u64) -> Option<Entry<V>> {
        let place = self.place(seq)?;
        let entry = self.slots.get_mut(place)?.1.take()?;
        self.len -= 1;
        self.bytes = self.bytes.saturating_sub(entry.bytes);
        self.tidy();
        Some(entry)
    }

    /// Events.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The bytes that all events count.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The oldest.
    pub(crate) fn first(&self) -> Option<(u64, &Entry<V>)> {
        let (seq, entry) = self.slots.front()?;
        Some((*seq, entry.as_ref()?))
    }

    /// The sequence of the newest.
    pub(crate) fn last(&self) -> Option<u64> {
        self.slots.back().map(|(seq, _)| *seq)
    }

    /// The event with this sequence.
    pub(crate) fn get(&self, seq: u64) -> Option<&Entry<V>> {
        self.slots.get(self.place(seq)?)?.1.as_ref()
    }

    /// Those with `after` < sequence <= `upto`, in order.
    pub(crate) fn range(&self, after: u64, upto: u64) -> impl Iterator<Item = (u64, &Entry<V>)> {
        let (start, end) = self.places(after, upto);
        self.slots.range(start..end).filter_map(|(seq, entry)| Some((*seq, entry.as_ref()?)))
    }

    /// Places with `after` < sequence <= `upto`, holes included.
    #[cfg(test)]
    pub(crate) fn span(&self, after: u64, upto: u64) -> usize {
        let (start, end) = self.places(after, upto);
        end - start
    }

    fn places(&self, after: u64, upto: u64) -> (usize, usize) {
        let start = self.above(after);
        (start, self.above(upto).max(start))
    }

    fn place(&self, seq: u64) -> Option<usize> {
        let place = self.above(seq).checked_sub(1)?;
        (self.slots.get(place)?.0 == seq).then_some(place)
    }

    /// The place of the first event above this sequence. As no sequence stands
    /// twice, both ends bound where it can be, and without gaps in the stream
    /// they leave one place only: no search.
    fn above(&self, seq: u64) -> usize {
        let (Some((first, _)), Some((last, _))) = (self.slots.front(), self.slots.back()) else {
            return 0;
        };
        if seq < *first {
            return 0;
        }
        let Some(behind) = last.checked_sub(seq) else {
            return self.slots.len();
        };
        let places = |distance: u64| usize::try_from(distance).unwrap_or(usize::MAX);
        let mut low = self.slots.len().saturating_sub(places(behind));
        let mut high = self.slots.len().min(places(seq - first).saturating_add(1));
        while low < high {
            let middle = low + (high - low) / 2;
            if self.slots.get(middle).is_some_and(|(other, _)| *other <= seq) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Holes at the ends go at once. The others go when they are more than the
    /// events, and spare places when they are three quarters of all: each takes
    /// one pass that as many removals have paid for.
    fn tidy(&mut self) {
        while self.slots.front().is_some_and(|(_, entry)| entry.is_none()) {
            self.slots.pop_front();
        }
        while self.slots.back().is_some_and(|(_, entry)| entry.is_none()) {
            self.slots.pop_back();
        }
        if self.slots.len() > SPARE && self.slots.len() / 2 > self.len {
            self.slots.retain(|(_, entry)| entry.is_some());
        }
        if self.slots.capacity() > SPARE && self.slots.len() < self.slots.capacity() / 4 {
            self.slots.shrink_to(self.slots.len() * 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_holes_nor_spare_places_outgrow_the_events() {
        let mut slots = Slots::default();
        for seq in 1..=2_000 {
            slots.push(seq, Entry { subject: Subject::parse("a").expect("a subject"), bytes: 1, value: () });
        }
        let first = |slots: &Slots<()>| slots.first().map(|(seq, _)| seq);
        // The first and the last stay until the end, so no hole is at an end before.
        for seq in (2..2_000).chain([1, 2_000]) {
            assert!(slots.take(seq).is_some() && slots.take(seq).is_none());
            let (places, capacity) = (slots.slots.len(), slots.slots.capacity());
            assert!(places <= SPARE || places <= 2 * slots.len() + 1, "{places} places for {} events", slots.len());
            assert!(capacity <= SPARE || capacity <= 4 * places + 3, "room for {capacity}, {places} places");
        }
        assert_eq!((first(&slots), slots.slots.len(), slots.len(), slots.bytes()), (None, 0, 0, 0));
    }
}
