//! The mark of an event in an atomic batch (ADR-50): events that JetStream stores together or not at all, under
//! sequences that follow each other. Publishers write it in headers, and the server keeps them.

use crate::proto::BatchPlace;

/// The identifier of the batch.
const ID: &str = "Nats-Batch-Id";

/// The number of the event in its batch, from 1.
const INDEX: &str = "Nats-Batch-Sequence";

/// Only the last event of a batch has it.
const COMMIT: &str = "Nats-Batch-Commit";

/// Bytes of an identifier: the most that nats-server takes.
const ID_BYTES: usize = 64;

/// Events of an atomic batch that are handed out together: the most that nats-server takes, unless it is set otherwise.
pub const BATCH_EVENTS: usize = 1_000;

/// Bytes of a mark in memory beside its identifier: two allocations, rounded up.
const MARK_BYTES: usize = 64;

/// The mark of an event in an atomic batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchMark {
    /// The identifier that the publisher gave the batch.
    pub id: Box<str>,
    /// The number of the event, from 1.
    pub index: u32,
    /// Whether it is the last one.
    pub commits: bool,
    /// Whether the batch is above a bound, and later events of it come in another part.
    pub parted: bool,
}

impl BatchMark {
    /// The mark that headers make, of which the last value of a name counts.
    pub fn of(headers: &[(&str, &str)]) -> Option<Box<Self>> {
        let last = |wanted: &str| headers.iter().rev().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
        let id = last(ID).filter(|id| !id.is_empty() && id.len() <= ID_BYTES)?;
        let index = last(INDEX)?.parse().ok().filter(|index| *index > 0)?;
        Some(Box::new(Self { id: id.into(), index, commits: last(COMMIT).is_some(), parted: false }))
    }

    /// Whether another mark is of a later event of the same batch.
    pub fn goes_on(&self, next: &Self) -> bool {
        !self.commits && self.index < next.index && self.id == next.id
    }

    /// Bytes that it takes in memory.
    pub fn cost(&self) -> usize {
        MARK_BYTES + self.id.len()
    }
}

impl From<&BatchMark> for BatchPlace {
    fn from(mark: &BatchMark) -> Self {
        Self { id: mark.id.to_string(), index: mark.index, last: mark.commits }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_what_the_server_keeps_of_a_batch() {
        type Row = (&'static [(&'static str, &'static str)], Option<(&'static str, u32, bool)>);
        let long = "x".repeat(ID_BYTES + 1);
        let rows: [Row; 7] = [
            (&[(ID, "b"), (INDEX, "1")], Some(("b", 1, false))),
            (&[(COMMIT, "1"), (INDEX, "7"), (ID, "b")], Some(("b", 7, true))),
            (&[(ID, "forged"), (ID, "b"), (INDEX, "9"), (INDEX, "2")], Some(("b", 2, false))),
            (&[(ID, "b")], None),
            (&[(ID, ""), (INDEX, "1")], None),
            (&[(ID, "b"), (INDEX, "0")], None),
            (&[(INDEX, "1"), (COMMIT, "1")], None),
        ];
        for (headers, expected) in rows {
            let mark = BatchMark::of(headers);
            assert_eq!(mark.as_ref().map(|mark| (&*mark.id, mark.index, mark.commits)), expected, "{headers:?}");
        }
        assert_eq!(BatchMark::of(&[(ID, &long), (INDEX, "1")]), None);
    }
}
