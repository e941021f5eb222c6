//! The judge is shown lies. A judge that finds nothing in them would find
//! nothing in a broken node.

use super::*;
use crate::{
    ledger::Owed,
    verdict::{DUPLICATED, LOST, OUT_OF_ORDER},
};

const SUBJECTS: [&str; 3] = ["chaos.g0.s0", "chaos.g0.s1", "chaos.g1.s0"];

/// Thirty events over three subjects; a publisher's number of an event is not its sequence.
fn ledger(seqs: impl IntoIterator<Item = u64>) -> Ledger {
    let mut ledger = Ledger::default();
    seqs.into_iter().for_each(|seq| ledger.store("CHAOS", Owed::Each, &subject(seq), seq, seq + 1000));
    ledger
}

fn subject(seq: u64) -> Subject {
    Subject::parse(SUBJECTS[seq as usize % 3]).expect("a subject")
}

fn entry(seq: u64) -> Entry {
    Entry { seq, event: seq + 1000, subject: subject(seq) }
}

/// The log of a correct node.
fn faithful(pattern: &str, start: u64) -> Log {
    let pattern = Pattern::parse(pattern).expect("a pattern");
    let received = (start + 1..=30).filter(|seq| pattern.matches(&subject(*seq))).map(entry).collect();
    Log { name: "c0".into(), pattern, stream: "CHAOS".into(), start, received }
}

/// The findings when the log of one subscription is changed.
fn found(change: impl FnOnce(&mut Vec<Entry>)) -> Vec<(&'static str, u64)> {
    let mut log = faithful("chaos.g0.*", 4);
    change(&mut log.received);
    kinds(&judge(&ledger(1..=30), &ledger(1..=30), &[faithful("chaos.>", 0), log]))
}

fn kinds(verdict: &Verdict) -> Vec<(&'static str, u64)> {
    verdict.findings().iter().map(|(kind, finding)| (*kind, finding.count)).collect()
}

#[test]
fn what_a_correct_node_gives_is_found_faultless() {
    assert_eq!(found(|_| {}), []);
    for pattern in ["chaos.>", "chaos.*.s0", "chaos.g1.s0", "chaos.g7.s0"] {
        assert!(judge(&ledger(1..=30), &ledger(1..=30), &[faithful(pattern, 11)]).is_sound(), "{pattern}");
    }
}

#[test]
fn negative_control_a_dropped_event_is_found_lost() {
    assert_eq!(found(|received| received.retain(|entry| entry.seq != 12)), [(LOST, 1)]);
}

#[test]
fn negative_control_a_doubled_event_is_found_twice() {
    assert_eq!(found(|received| received.insert(4, received[3].clone())), [(DUPLICATED, 1)]);
}

#[test]
fn negative_control_two_swapped_events_of_different_subjects_are_found_out_of_order() {
    let swap = |received: &mut Vec<Entry>| {
        assert_eq!((received[4].seq, received[5].seq), (12, 13));
        received.swap(4, 5);
    };
    assert_eq!(found(swap), [(OUT_OF_ORDER, 1)]);
}

#[test]
fn a_lost_first_and_a_lost_last_event_are_found() {
    let ends = |received: &mut Vec<Entry>| {
        received.remove(0);
        received.pop();
    };
    assert_eq!(found(ends), [(LOST, 2)]);
}

#[test]
fn an_event_that_was_never_stored_or_asked_for_is_foreign() {
    let cases = [
        ("never stored", entry(31), vec![(FOREIGN, 1)]),
        ("not asked for", entry(29), vec![(FOREIGN, 1)]),
        ("before the start", entry(3), vec![(FOREIGN, 1)]),
        ("with the data of another", Entry { event: 1029, ..entry(30) }, vec![(FOREIGN, 1), (LOST, 1)]),
    ];
    for (case, stranger, expected) in cases {
        let seq = stranger.seq;
        let found = found(|received| {
            received.retain(|entry| entry.seq != seq);
            received.push(stranger);
        });
        assert_eq!(found, expected, "{case}");
    }
}

#[test]
fn what_is_stored_without_an_acknowledgement_is_owed_all_the_same() {
    let acknowledged = ledger((1..=30).filter(|seq| *seq != 12));
    let mut log = faithful("chaos.>", 0);
    assert!(judge(&ledger(1..=30), &acknowledged, std::slice::from_ref(&log)).is_sound());
    log.received.retain(|entry| entry.seq != 12);
    assert_eq!(kinds(&judge(&ledger(1..=30), &acknowledged, &[log])), [(LOST, 1)]);
}

#[test]
fn what_is_acknowledged_and_not_stored_is_found() {
    let mut acknowledged = ledger(1..=31);
    acknowledged.store("CHAOS", Owed::Each, &subject(7), 7, 1008);
    let verdict = judge(&ledger(1..=30), &acknowledged, &[]);
    assert_eq!(kinds(&verdict), [(NOT_STORED, 2)], "one that is not there, and one at the place of another");
}
