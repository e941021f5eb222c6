//! The ledger: events that were acknowledged, or that a stream was read to
//! hold, by subject and in the order of sequences.

use std::collections::{BTreeMap, BTreeSet};

use notifier::subject::Subject;

/// Stored events by subject.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    subjects: BTreeMap<Subject, Stored>,
    repeated: BTreeSet<(Subject, u64)>,
}

/// The events of a subject that a subscription is owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owed {
    /// Each event: `durable`.
    Each,
    /// The newest event; those before it may be passed over: `latest`.
    Newest,
}

/// The events of one subject.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The stream that holds them.
    pub stream: String,
    /// The part of them that is owed.
    pub owed: Owed,
    /// Sequences, and the number that the publisher gave each event. The place in
    /// this list is the event's number.
    events: Vec<(u64, u64)>,
}

impl Ledger {
    /// Enters an event that `stream` holds at `seq`.
    pub fn store(&mut self, stream: &str, owed: Owed, subject: &Subject, seq: u64, event: u64) {
        let new = || Stored { stream: stream.to_owned(), owed, events: Vec::new() };
        let events = &mut self.subjects.entry(subject.clone()).or_insert_with(new).events;
        // Acknowledgements of events that were under way together come in any order.
        let place = events.partition_point(|(before, _)| *before <= seq);
        events.insert(place, (seq, event));
    }

    /// Notes that an event is published once more under the same id, since its
    /// acknowledgement did not come.
    pub fn repeat(&mut self, subject: &Subject, event: u64) {
        self.repeated.insert((subject.clone(), event));
    }

    /// Whether an event was published more than once: a server that was killed
    /// meanwhile may hold it twice.
    #[must_use]
    pub fn was_repeated(&self, subject: &Subject, event: u64) -> bool {
        !self.repeated.is_empty() && self.repeated.contains(&(subject.clone(), event))
    }

    /// The number of the event that is stored at `seq` under this subject, if
    /// it is this one.
    #[must_use]
    pub fn number(&self, subject: &Subject, seq: u64, event: u64) -> Option<u64> {
        let place = self.subjects.get(subject)?.events.binary_search(&(seq, event)).ok()?;
        Some(place as u64)
    }

    /// The events of a subject.
    #[must_use]
    pub fn stored(&self, subject: &Subject) -> Option<&Stored> {
        self.subjects.get(subject)
    }

    /// All subjects with their events.
    pub fn subjects(&self) -> impl Iterator<Item = (&Subject, &Stored)> {
        self.subjects.iter()
    }

    /// Each event: its subject, its sequence, and its publisher's number.
    pub fn events(&self) -> impl Iterator<Item = (&Subject, u64, u64)> {
        self.subjects()
            .flat_map(|(subject, stored)| stored.events.iter().map(move |(seq, event)| (subject, *seq, *event)))
    }

    /// How many events there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.subjects.values().map(|stored| stored.events.len()).sum()
    }

    /// The last sequence of a stream, of those that are in here.
    #[must_use]
    pub fn end(&self, stream: &str) -> u64 {
        let of_stream = self.subjects.values().filter(|stored| stored.stream == stream);
        of_stream.map(Stored::last).max().unwrap_or_default()
    }
}

impl Stored {
    /// How many events there are: the number of the next one.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.events.len() as u64
    }

    /// The number of the first event behind a sequence.
    #[must_use]
    pub fn first_behind(&self, seq: u64) -> u64 {
        self.events.partition_point(|(stored, _)| *stored <= seq) as u64
    }

    /// The sequence of the last event.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.events.last().map_or(0, |(seq, _)| *seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_numbered_by_their_sequences_whenever_they_were_acknowledged() {
        let subject = Subject::parse("a.b").expect("a subject");
        let mut ledger = Ledger::default();
        for (seq, event) in [(3, 30), (9, 90), (7, 70)] {
            ledger.store("S", Owed::Each, &subject, seq, event);
        }
        let numbers =
            [(3, 30), (7, 70), (9, 90), (7, 30), (8, 70)].map(|(seq, event)| ledger.number(&subject, seq, event));
        assert_eq!(numbers, [Some(0), Some(1), Some(2), None, None]);
        let stored = ledger.stored(&subject).expect("events");
        assert_eq!((stored.count(), stored.last()), (3, 9));
        assert_eq!([0, 3, 6, 7, 9].map(|seq| stored.first_behind(seq)), [0, 1, 1, 2, 3]);
        assert_eq!((ledger.end("S"), ledger.end("T")), (9, 0));
        ledger.repeat(&subject, 70);
        assert_eq!([70, 90].map(|event| ledger.was_repeated(&subject, event)), [true, false]);
    }
}
