//! The judgment of a whole run, for a world whose streams are read back at the
//! end: what the stream holds is compared with what was acknowledged and with
//! what each subscription received.

use notifier::subject::{Pattern, Subject};

use crate::{
    account::{Account, Received},
    ledger::Ledger,
    verdict::{FOREIGN, NOT_STORED, Verdict},
};

/// Everything that one subscription received.
#[derive(Clone, Debug)]
pub struct Log {
    /// The client and its subscription.
    pub name: String,
    /// The pattern of the subscription.
    pub pattern: Pattern,
    /// The stream that the events are of.
    pub stream: String,
    /// The position that the subscription began after.
    pub start: u64,
    /// The events in the order of their arrival.
    pub received: Vec<Entry>,
}

/// An event that a subscription took for its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its sequence.
    pub seq: u64,
    /// The number that its publisher gave it.
    pub event: u64,
    /// Its subject.
    pub subject: Subject,
}

/// Compares everything with everything. `stored` has to be whole: what it does
/// not hold is not stored.
#[must_use]
pub fn judge(stored: &Ledger, acknowledged: &Ledger, logs: &[Log]) -> Verdict {
    let mut verdict = Verdict::default();
    for (subject, seq, event) in acknowledged.events() {
        if stored.number(subject, seq, event).is_none() {
            verdict.find(NOT_STORED, || format!("{seq}: event {event} of {subject}"));
        }
    }
    for log in logs {
        judge_log(stored, log, &mut verdict);
    }
    verdict
}

fn judge_log(stored: &Ledger, log: &Log, verdict: &mut Verdict) {
    let mut account = Account::new(log.name.clone(), log.pattern.clone());
    account.begin_after(log.start);
    for entry in &log.received {
        let Entry { seq, event, ref subject } = *entry;
        match stored.number(subject, seq, event) {
            Some(number) => {
                account.take(Received { stream: &log.stream, seq, subject, number }, stored, verdict);
            }
            None => verdict.find(FOREIGN, || format!("{}: {seq} as event {event} of {subject}", log.name)),
        }
    }
    account.close(stored, verdict);
}

#[cfg(test)]
mod tests;
