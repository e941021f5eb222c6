//! What JetStream has acknowledged: for each stored subject the sequences of its events, which carry the numbers 0, 1,
//! 2 and so on.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

#[derive(Debug, Default)]
pub(super) struct Ledger {
    subjects: Mutex<BTreeMap<String, Stored>>,
    repeated: Mutex<BTreeSet<(String, u64)>>,
}

/// The events of one subject.
#[derive(Clone, Debug)]
struct Stored {
    stream: &'static str,
    seqs: Vec<u64>,
}

/// The last event of one subject.
#[derive(Debug)]
pub(super) struct Last {
    pub(super) stream: &'static str,
    pub(super) subject: String,
    pub(super) number: u64,
    pub(super) seq: u64,
}

impl Ledger {
    fn subjects(&self) -> MutexGuard<'_, BTreeMap<String, Stored>> {
        self.subjects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next event of `subject` is stored at `seq` of `stream`.
    pub(super) fn stored(&self, stream: &'static str, subject: &str, seq: u64) {
        let mut subjects = self.subjects();
        let stored = subjects.entry(subject.into()).or_insert_with(|| Stored { stream, seqs: Vec::new() });
        stored.seqs.push(seq);
    }

    /// An event is about to be published again under the same id, because nobody has said that it is stored.
    pub(super) fn repeats(&self, subject: &str, number: u64) {
        self.repeated.lock().unwrap_or_else(PoisonError::into_inner).insert((subject.into(), number));
    }

    /// Whether an event was published more than once: then a server that was killed meanwhile may have stored it twice.
    pub(super) fn was_repeated(&self, subject: &str, number: u64) -> bool {
        self.repeated.lock().unwrap_or_else(PoisonError::into_inner).contains(&(subject.into(), number))
    }

    /// Whether the event with this number is the first one of its subject behind `start`. True for subjects that are
    /// not in here. Each event is published when the one before it is acknowledged, so that is known.
    pub(super) fn is_first_after(&self, subject: &str, number: u64, start: u64) -> bool {
        let subjects = self.subjects();
        let Some(stored) = subjects.get(subject) else { return true };
        stored.seqs.partition_point(|seq| *seq <= start) as u64 == number
    }

    /// The last event of each subject.
    pub(super) fn lasts(&self) -> Vec<Last> {
        let last = |(subject, stored): (&String, &Stored)| {
            let Stored { stream, seqs } = stored;
            Some(Last { stream, subject: subject.clone(), number: seqs.len() as u64 - 1, seq: *seqs.last()? })
        };
        self.subjects().iter().filter_map(last).collect()
    }

    /// The last sequence of a stream.
    pub(super) fn end(&self, stream: &str) -> u64 {
        self.lasts().iter().filter(|last| last.stream == stream).map(|last| last.seq).max().unwrap_or_default()
    }
}
