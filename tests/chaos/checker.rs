//! The judge: compares what the stream holds, what was acknowledged, and what
//! each subscription was given. Pure, so that it can be shown lies first.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use notifier::subject::{Pattern, Subject};

use super::ledger::Ledger;

/// An event that a client took for its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    pub seq: u64,
    pub event: u64,
    pub subject: Subject,
}

/// All that one subscription was given.
#[derive(Clone, Debug)]
pub struct Log {
    /// Whose it is.
    pub name: String,
    pub pattern: Pattern,
    /// The position it began after.
    pub start: u64,
    pub received: Vec<Received>,
}

/// What is wrong. Empty: every subscription has exactly what is stored, in
/// order, and everything acknowledged is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Stored and never given.
    pub lost: Vec<String>,
    /// Given twice.
    pub duplicated: Vec<String>,
    /// Given after a later one.
    pub out_of_order: Vec<String>,
    /// Given though not stored so, not asked for, or from before the start.
    pub foreign: Vec<String>,
    /// Acknowledged and not stored: the broker's fault.
    pub not_stored: Vec<String>,
}

/// Compares everything with everything.
pub fn check(ledger: &Ledger, acknowledged: &BTreeMap<u64, u64>, logs: &[Log]) -> Verdict {
    let mut verdict = Verdict::default();
    for (seq, event) in acknowledged {
        let stored = ledger.events.get(seq).map(|stored| stored.event);
        if stored != Some(*event) {
            verdict.not_stored.push(format!("{seq}: acknowledged event {event}, stored {stored:?}"));
        }
    }
    for log in logs {
        check_log(ledger, log, &mut verdict);
    }
    verdict
}

fn check_log(ledger: &Ledger, log: &Log, verdict: &mut Verdict) {
    let of_log = |seq: u64| format!("{}: {seq}", log.name);
    let (mut given, mut highest) = (BTreeSet::new(), 0);
    for received in &log.received {
        let seq = received.seq;
        let stored = ledger.events.get(&seq);
        let true_copy = stored.is_some_and(|stored| {
            stored.event == received.event && stored.subject == received.subject && log.pattern.matches(&stored.subject)
        });
        if !true_copy || seq <= log.start {
            verdict.foreign.push(format!("{} as {received:?}, stored {stored:?}", of_log(seq)));
            continue;
        }
        if !given.insert(seq) {
            verdict.duplicated.push(of_log(seq));
        } else if seq < highest {
            verdict.out_of_order.push(format!("{} after {highest}", of_log(seq)));
        }
        highest = highest.max(seq);
    }
    let owed = ledger.events.range(log.start + 1..).filter(|(_, stored)| log.pattern.matches(&stored.subject));
    verdict.lost.extend(owed.filter(|(seq, _)| !given.contains(seq)).map(|(seq, _)| of_log(*seq)));
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// More of one kind says nothing new.
        const SHOWN: usize = 20;
        let kinds = [
            ("lost", &self.lost),
            ("duplicated", &self.duplicated),
            ("out of order", &self.out_of_order),
            ("foreign", &self.foreign),
            ("acknowledged, not stored", &self.not_stored),
        ];
        for (kind, findings) in kinds {
            writeln!(f, "{kind}: {}", findings.len())?;
            for finding in findings.iter().take(SHOWN) {
                writeln!(f, "  {finding}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
