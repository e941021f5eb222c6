//! One subscription as a client keeps it over its connections, and the check of what comes for it. Free of I/O.
//!
//! The rule is that of `docs/protocol.md`: a cursor per stream, and an event at or below it is a copy. Beyond it the
//! numbers that events carry, which count up on each subject, have to go on without a hole; of `latest` subjects they
//! only have to rise.

use std::collections::BTreeMap;

use notifier::{
    proto::{Event, Position, Subscribed, Subscription},
    subject::{Pattern, Subject},
};

use super::{
    book::Book,
    ledger::Ledger,
    world::{DURABLE, LATEST},
};
use crate::marker::Scanner;

#[derive(Debug)]
pub(super) struct Standing {
    pub(super) pattern: Pattern,
    /// Where it stands in each stream; nothing before its first `subscribed`.
    cursors: BTreeMap<String, Position>,
    /// Where it began in the durable stream.
    start: u64,
    /// The number that must come next, by subject.
    next: BTreeMap<String, u64>,
    pub(super) live: bool,
    /// Whether it was given up and the answer has not come yet.
    pub(super) leaving: bool,
}

impl Standing {
    pub(super) fn new(pattern: Pattern) -> Self {
        let (cursors, next) = Default::default();
        Self { pattern, cursors, start: 0, next, live: false, leaving: false }
    }

    /// What to ask for, with where it stands.
    pub(super) fn wanted(&self) -> Subscription {
        let after = self.cursors.values().cloned().collect();
        Subscription { subject: self.pattern.as_str().into(), after, snapshot: false }
    }

    pub(super) fn subscribed(&mut self, subscribed: &Subscribed, book: &Book) {
        if self.cursors.contains_key(DURABLE) && !subscribed.recovered {
            book.fault("resumed and not recovered", || format!("{}: {subscribed:?}", self.pattern));
        }
        let first = !self.cursors.contains_key(DURABLE);
        self.checkpoint(&subscribed.positions, book);
        if first {
            self.start = self.seq(DURABLE);
        }
        self.live = true;
    }

    pub(super) fn checkpoint(&mut self, positions: &[Position], book: &Book) {
        for position in positions {
            // A ping tells of all streams of the connection.
            if self.live && !self.cursors.contains_key(&position.stream) {
                continue;
            }
            let cursor = self.cursors.entry(position.stream.clone()).or_insert_with(|| position.clone());
            if cursor.epoch != position.epoch {
                book.fault("the stream is another one", || format!("{}: {cursor:?}, {position:?}", self.pattern));
            }
            cursor.seq = cursor.seq.max(position.seq);
        }
    }

    /// Whether all up to here has come.
    pub(super) fn has_reached(&self, ends: &[(&str, u64)]) -> bool {
        self.live && ends.iter().all(|(stream, seq)| self.cursors.get(*stream).is_none_or(|cursor| cursor.seq >= *seq))
    }

    /// Whether anything of it is stored.
    pub(super) fn is_stored(&self) -> bool {
        !self.cursors.is_empty()
    }

    fn seq(&self, stream: &str) -> u64 {
        self.cursors.get(stream).map_or(0, |cursor| cursor.seq)
    }

    /// A stored event, replayed for it or, once it is live, for the connection.
    pub(super) fn stored(&mut self, event: &Event, number: u64, ledger: &Ledger, book: &Book) {
        if event.seq <= self.seq(&event.stream) {
            book.count("copies that cursors have told apart");
            return;
        }
        if let Some(cursor) = self.cursors.get_mut(&event.stream) {
            cursor.seq = event.seq;
        }
        book.count("stored events received");
        let durable = event.stream == DURABLE;
        let told = || format!("{}: {} number {number}, sequence {}", self.pattern, event.subject, event.seq);
        match self.next.get(&event.subject) {
            None if durable && !ledger.is_first_after(&event.subject, number, self.start) => {
                book.fault("lost at the seam", told);
            }
            Some(next) if number + 1 == *next && ledger.was_repeated(&event.subject, number) => {
                book.count("stored twice by NATS, as its publisher had to repeat it");
            }
            Some(next) if number < *next => book.fault("twice or out of order", told),
            Some(next) if number > *next && durable => {
                book.fault("lost", || format!("{}, expected {next}", told()));
            }
            _ => {}
        }
        self.next.insert(event.subject.clone(), number + 1);
    }

    /// When all has come that there is: what has not?
    pub(super) fn audit(&self, ledger: &Ledger, book: &Book) {
        for last in ledger.lasts() {
            if !Subject::parse(&last.subject).is_ok_and(|subject| self.pattern.matches(&subject)) {
                continue;
            }
            let next = self.next.get(&last.subject).copied();
            // The newest value comes whenever it was stored.
            let owed = last.stream == LATEST || last.seq > self.start || next.is_some();
            let due = owed.then_some(last.number + 1);
            if next != due {
                book.fault("lost", || format!("{}: {} is at {next:?}, not at {due:?}", self.pattern, last.subject));
            }
        }
    }
}

/// The number that an event carries.
pub(super) fn number(scanner: &Scanner, event: &Event) -> Option<u64> {
    let mut number = None;
    scanner.scan(&event.data, |marker| number = Some(marker.sequence));
    number
}

/// Whether an event is stored in one of the streams here.
pub(super) fn is_stored(event: &Event) -> bool {
    [DURABLE, LATEST].contains(&&*event.stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(stream: &str, seq: u64) -> Position {
        Position { stream: stream.into(), epoch: "1".into(), seq }
    }

    fn event(stream: &str, seq: u64) -> Event {
        Event { subject: "soak.d.0.0".into(), stream: stream.into(), seq, ..Event::default() }
    }

    /// Subscribed at sequence 5, with events of one subject stored at 3, 7 and 9.
    fn begun(book: &Book, stream: &str) -> (Standing, Ledger) {
        let ledger = Ledger::default();
        [3, 7, 9].iter().for_each(|seq| ledger.stored(DURABLE, "soak.d.0.0", *seq));
        let mut standing = Standing::new(Pattern::parse("soak.d.0.*").expect("a pattern"));
        let positions = vec![position(stream, 5)];
        standing.subscribed(&Subscribed { positions, ..Subscribed::default() }, book);
        (standing, ledger)
    }

    fn faults(stream: &str, events: &[(u64, u64)]) -> Vec<&'static str> {
        let book = Book::default();
        let (mut standing, ledger) = begun(&book, stream);
        for (seq, number) in events {
            standing.stored(&event(stream, *seq), *number, &ledger, &book);
        }
        if stream == DURABLE {
            standing.audit(&ledger, &book);
        }
        book.faults().into_keys().collect()
    }

    #[test]
    fn what_comes_once_and_in_order_is_right() {
        assert_eq!(faults(DURABLE, &[(7, 1), (7, 1), (9, 2)]), Vec::<&str>::new());
    }

    #[test]
    fn holes_are_noticed_wherever_they_are() {
        assert_eq!(faults(DURABLE, &[(9, 2)]), ["lost at the seam"]);
        assert_eq!(faults(DURABLE, &[(7, 1)]), ["lost"], "at the end");
        assert_eq!(faults(DURABLE, &[]), ["lost"], "all of it");
        assert_eq!(faults(DURABLE, &[(7, 1), (11, 3)]), ["lost"], "between");
    }

    #[test]
    fn what_comes_again_under_another_sequence_is_noticed() {
        assert_eq!(faults(DURABLE, &[(7, 1), (9, 2), (10, 1), (11, 2)]), ["twice or out of order"]);
    }

    #[test]
    fn what_had_to_be_published_again_may_be_stored_twice() {
        let book = Book::default();
        let (mut standing, ledger) = begun(&book, DURABLE);
        ledger.repeats("soak.d.0.0", 1);
        for (seq, number) in [(7, 1), (8, 1), (9, 2)] {
            standing.stored(&event(DURABLE, seq), number, &ledger, &book);
        }
        standing.audit(&ledger, &book);
        assert!(book.faults().is_empty(), "{:?}", book.faults());
    }

    #[test]
    fn newest_values_may_pass_others_over_but_never_go_back() {
        assert_eq!(faults(LATEST, &[(7, 1), (9, 5)]), Vec::<&str>::new());
        assert_eq!(faults(LATEST, &[(7, 5), (9, 1)]), ["twice or out of order"]);
    }

    #[test]
    fn a_resume_has_to_be_recovered_and_of_the_same_stream() {
        let book = Book::default();
        let (mut standing, _) = begun(&book, DURABLE);
        let positions = vec![Position { epoch: "2".into(), ..position(DURABLE, 9) }];
        standing.subscribed(&Subscribed { positions, ..Subscribed::default() }, &book);
        let told: Vec<&str> = book.faults().into_keys().collect();
        assert_eq!(told, ["resumed and not recovered", "the stream is another one"]);
    }
}
