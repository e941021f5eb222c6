//! The judge is shown lies. A judge that finds nothing in them would find
//! nothing in a broken node.

use super::*;
use crate::ledger::Stored;

const SUBJECTS: [&str; 3] = ["chaos.g0.s0", "chaos.g0.s1", "chaos.g1.s0"];

/// Thirty events over three subjects; the event's number is not its sequence.
fn ledger() -> Ledger {
    let stored = |seq: u64| Stored { subject: subject(seq), event: seq + 1000 };
    Ledger { events: (1..=30).map(|seq| (seq, stored(seq))).collect() }
}

fn subject(seq: u64) -> Subject {
    Subject::parse(SUBJECTS[seq as usize % 3]).expect("a subject")
}

fn acknowledged() -> BTreeMap<u64, u64> {
    (1..=30).map(|seq| (seq, seq + 1000)).collect()
}

/// What a faithful node gives.
fn faithful(pattern: &str, start: u64) -> Log {
    let pattern = Pattern::parse(pattern).expect("a pattern");
    let owed = (start + 1..=30).filter(|seq| pattern.matches(&subject(*seq)));
    let received = owed.map(|seq| Received { seq, event: seq + 1000, subject: subject(seq) }).collect();
    Log { name: "c0".into(), pattern, start, received }
}

fn verdict(change: impl FnOnce(&mut Vec<Received>)) -> Verdict {
    let mut log = faithful("chaos.g0.*", 4);
    change(&mut log.received);
    check(&ledger(), &acknowledged(), &[faithful("chaos.>", 0), log])
}

#[test]
fn what_a_faithful_node_gives_is_found_faultless() {
    assert_eq!(verdict(|_| {}), Verdict::default());
    for pattern in ["chaos.>", "chaos.*.s0", "chaos.g1.s0", "chaos.g7.s0"] {
        assert_eq!(check(&ledger(), &acknowledged(), &[faithful(pattern, 11)]), Verdict::default(), "{pattern}");
    }
}

#[test]
fn negative_control_a_dropped_event_is_found_lost() {
    let verdict = verdict(|received| {
        received.retain(|event| event.seq != 12);
    });
    assert_eq!(verdict, Verdict { lost: vec!["c0: 12".into()], ..Verdict::default() });
}

#[test]
fn negative_control_a_doubled_event_is_found_twice() {
    let verdict = verdict(|received| {
        let double = received[3].clone();
        assert_eq!(double.seq, 10);
        received.insert(4, double);
    });
    assert_eq!(verdict, Verdict { duplicated: vec!["c0: 10".into()], ..Verdict::default() });
}

#[test]
fn negative_control_two_swapped_events_are_found_out_of_order() {
    let verdict = verdict(|received| received.swap(4, 5));
    assert_eq!(verdict, Verdict { out_of_order: vec!["c0: 12 after 13".into()], ..Verdict::default() });
}

#[test]
fn a_lost_first_and_a_lost_last_event_are_found() {
    let verdict = verdict(|received| {
        received.remove(0);
        received.pop();
    });
    assert_eq!(verdict.lost, ["c0: 6", "c0: 30"]);
}

#[test]
fn an_event_that_was_never_stored_or_asked_for_is_foreign() {
    let cases: [(&str, Received); 4] = [
        ("never stored", Received { seq: 31, event: 1031, subject: subject(31) }),
        ("not asked for", Received { seq: 29, event: 1029, subject: subject(29) }),
        ("before the start", Received { seq: 3, event: 1003, subject: subject(3) }),
        ("with the data of another", Received { seq: 30, event: 1029, subject: subject(30) }),
    ];
    for (case, stranger) in cases {
        let seq = stranger.seq;
        let verdict = verdict(|received| {
            received.retain(|event| event.seq != seq);
            received.push(stranger);
        });
        assert_eq!(verdict.foreign.len(), 1, "{case}: {verdict}");
    }
}

#[test]
fn what_is_stored_without_an_acknowledgement_is_owed_all_the_same() {
    let mut acknowledged = acknowledged();
    acknowledged.remove(&12);
    let mut log = faithful("chaos.>", 0);
    assert_eq!(check(&ledger(), &acknowledged, std::slice::from_ref(&log)), Verdict::default());
    log.received.retain(|event| event.seq != 12);
    assert_eq!(check(&ledger(), &acknowledged, &[log]).lost, ["c0: 12"]);
}

#[test]
fn what_is_acknowledged_and_not_stored_is_found() {
    let mut acknowledged = acknowledged();
    acknowledged.insert(31, 1031);
    acknowledged.insert(7, 1008);
    let verdict = check(&ledger(), &acknowledged, &[]);
    assert_eq!(
        verdict.not_stored,
        ["7: acknowledged event 1008, stored Some(1007)", "31: acknowledged event 1031, stored None"]
    );
}
