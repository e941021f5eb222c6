//! The account of one subscription: each event that it received is compared
//! with the ledger at once, so that an hour of events needs no memory.

use std::collections::BTreeMap;

use notifier::subject::{Pattern, Subject};

use crate::{
    ledger::{Ledger, Owed},
    numbers::{Numbers, Step},
    verdict::{DUPLICATED, FOREIGN, LOST, OUT_OF_ORDER, Verdict},
};

/// The events that one subscription has received so far.
#[derive(Clone, Debug)]
pub struct Account {
    name: String,
    pattern: Pattern,
    start: u64,
    subjects: BTreeMap<Subject, Numbers>,
    /// The highest sequence of each stream.
    highest: BTreeMap<String, u64>,
}

/// An event that a subscription took for its own.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// The stream that holds it.
    pub stream: &'a str,
    /// Its sequence there.
    pub seq: u64,
    /// Its subject.
    pub subject: &'a Subject,
    /// Its place among the events of its subject, from 0.
    pub number: u64,
}

/// The judgment on an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The event was owed.
    Owed,
    /// The stream holds the event twice, since its publisher had to repeat it.
    StoredTwice,
    /// The verdict has a finding more.
    Wrong,
}

impl Account {
    /// The account of a subscription to `pattern`; findings carry `name`.
    #[must_use]
    pub fn new(name: String, pattern: Pattern) -> Self {
        Self { name, pattern, start: 0, subjects: BTreeMap::new(), highest: BTreeMap::new() }
    }

    /// Sets the position after which every event is owed.
    pub fn begin_after(&mut self, seq: u64) {
        self.start = seq;
    }

    /// Takes the next event that the subscription received. A subject that the
    /// ledger does not have begins with any number and goes on without a hole.
    pub fn take(&mut self, received: Received<'_>, ledger: &Ledger, verdict: &mut Verdict) -> Taken {
        let Received { stream, seq, subject, number } = received;
        let Self { name, pattern, start, subjects, highest } = self;
        let case = || format!("{name}: {seq}, number {number} of {subject}");
        let stored = ledger.stored(subject);
        let each = stored.is_none_or(|stored| stored.owed == Owed::Each);
        if !pattern.matches(subject) || (each && seq <= *start) {
            verdict.find(FOREIGN, case);
            return Taken::Wrong;
        }
        if !subjects.contains_key(subject) {
            let first = match stored {
                Some(stored) if each => stored.first_behind(*start),
                Some(_) => 0,
                None => number,
            };
            subjects.insert(subject.clone(), Numbers::from(first));
        }
        let Some(numbers) = subjects.get_mut(subject) else { return Taken::Wrong };
        let step = numbers.take(number);
        let passed = highest.get(stream).copied().unwrap_or_default();
        let overtaken = seq < passed && !matches!(step, Step::Late | Step::Repeated);
        let mut taken = Taken::Owed;
        let mut find = |kind, count, detail: &str| {
            verdict.find_many(kind, count, || format!("{}{detail}", case()));
            taken = Taken::Wrong;
        };
        match step {
            Step::Repeated if number + 1 == numbers.due() && ledger.was_repeated(subject, number) => {
                return Taken::StoredTwice;
            }
            Step::Repeated => find(DUPLICATED, 1, ""),
            Step::Late => find(OUT_OF_ORDER, 1, ""),
            Step::Skipped(skipped) if each => {
                find(LOST, skipped.end - skipped.start, &format!(", expected {}", skipped.start));
            }
            Step::Next | Step::Skipped(_) => {}
        }
        if overtaken {
            find(OUT_OF_ORDER, 1, &format!(", after {passed}"));
        }
        match highest.get_mut(stream) {
            Some(highest) => *highest = seq.max(passed),
            None => drop(highest.insert(stream.to_owned(), seq)),
        }
        taken
    }

    /// Finds what has not come, once all has come that there is.
    pub fn close(&self, ledger: &Ledger, verdict: &mut Verdict) {
        for (subject, stored) in ledger.subjects().filter(|(subject, _)| self.pattern.matches(subject)) {
            let come = self.subjects.get(subject).map(Numbers::due);
            let due = stored.count();
            let missing = match stored.owed {
                Owed::Each => due.saturating_sub(come.unwrap_or_else(|| stored.first_behind(self.start))),
                // The newest value comes whenever it was stored.
                Owed::Newest => u64::from(come.is_none_or(|come| come < due)),
            };
            verdict.find_many(LOST, missing, || format!("{}: {subject} is at {come:?}, not at {due}", self.name));
            let beyond = come.unwrap_or_default().saturating_sub(due);
            verdict.find_many(FOREIGN, beyond, || format!("{}: {subject} is at {come:?}, stored are {due}", self.name));
        }
    }
}

#[cfg(test)]
mod tests;
