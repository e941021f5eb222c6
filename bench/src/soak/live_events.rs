//! The live events of one connection: on each subject their numbers go on without a hole, unless NATS was away.

use std::{collections::HashMap, mem};

use notifier_verify::numbers::{Numbers, Step};

use super::book::Book;
use crate::clock;

/// By subject: the numbers that came, and when the last one did.
#[derive(Debug, Default)]
pub(super) struct LiveEvents(HashMap<String, (Numbers, u64)>);

impl LiveEvents {
    /// Takes the next event; `told` says whose it is.
    pub(super) fn take(&mut self, subject: &str, number: u64, book: &Book, told: impl Fn() -> String) {
        let now = clock::now();
        let (numbers, last) = self.0.entry(subject.into()).or_insert_with(|| (Numbers::from(number), now));
        let (due, last) = (numbers.due(), mem::replace(last, now));
        let told = || format!("{}, expected {due}", told());
        match numbers.take(number) {
            Step::Next => {}
            Step::Skipped(_) => book.unless_outage(last, "live, lost", told),
            Step::Late | Step::Repeated => book.unless_outage(last, "live, twice or out of order", told),
        }
    }

    /// Each subject begins anew.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
