use proptest::{
    prelude::*,
    sample::{Index, subsequence},
};

use super::*;

const STREAM: &str = "S";

fn subject() -> Subject {
    Subject::parse("a.b").expect("a subject")
}

/// Events of one subject, stored at 3, 7 and 9.
fn ledger(owed: Owed) -> Ledger {
    let mut ledger = Ledger::default();
    for (number, seq) in [3, 7, 9].into_iter().enumerate() {
        ledger.store(STREAM, owed, &subject(), seq, number as u64);
    }
    ledger
}

/// The verdict on a subscription that began at 5 and received these sequences and numbers.
fn verdict(ledger: &Ledger, events: &[(u64, u64)]) -> Verdict {
    let (mut account, mut verdict) =
        (Account::new("c".into(), Pattern::parse("a.*").expect("a pattern")), Verdict::default());
    account.begin_after(5);
    for (seq, number) in events.iter().copied() {
        account.take(Received { stream: STREAM, seq, subject: &subject(), number }, ledger, &mut verdict);
    }
    account.close(ledger, &mut verdict);
    verdict
}

#[test]
fn each_kind_of_fault_is_found_and_no_other() {
    let (each, newest) = (ledger(Owed::Each), ledger(Owed::Newest));
    let mut repeated = ledger(Owed::Each);
    repeated.repeat(&subject(), 1);
    type Case<'a> = (&'a str, &'a Ledger, &'a [(u64, u64)], &'a [(&'static str, u64)]);
    let cases: [Case<'_>; 14] = [
        ("all of it", &each, &[(7, 1), (9, 2)], &[]),
        ("the first is missing", &each, &[(9, 2)], &[(LOST, 1)]),
        ("the last is missing", &each, &[(7, 1)], &[(LOST, 1)]),
        ("nothing comes", &each, &[], &[(LOST, 2)]),
        ("one of before the start", &each, &[(3, 0), (7, 1), (9, 2)], &[(FOREIGN, 1)]),
        ("one that nobody stored", &each, &[(7, 1), (9, 2), (11, 3)], &[(FOREIGN, 1)]),
        ("the same again", &each, &[(7, 1), (7, 1), (9, 2)], &[(DUPLICATED, 1)]),
        ("again at another sequence", &each, &[(7, 1), (9, 2), (10, 1)], &[(DUPLICATED, 1)]),
        ("stored twice", &repeated, &[(7, 1), (8, 1), (9, 2)], &[]),
        ("stored twice, but long ago", &repeated, &[(7, 1), (9, 2), (10, 1)], &[(DUPLICATED, 1)]),
        ("swapped", &each, &[(9, 2), (7, 1)], &[(LOST, 1), (OUT_OF_ORDER, 1)]),
        ("newest values that pass others over", &newest, &[(9, 2)], &[]),
        ("newest values that go back", &newest, &[(9, 2), (7, 1)], &[(OUT_OF_ORDER, 1)]),
        ("values that are not the newest", &newest, &[(3, 0), (7, 1)], &[(LOST, 1)]),
    ];
    for (case, ledger, events, expected) in cases {
        let verdict = verdict(ledger, events);
        let found: Vec<_> = verdict.findings().iter().map(|(kind, finding)| (*kind, finding.count)).collect();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(found, expected, "{case}: {verdict}");
    }
}

#[test]
fn a_subject_without_a_ledger_begins_anywhere_and_goes_on_without_a_hole() {
    let none = Ledger::default();
    assert!(verdict(&none, &[(6, 4), (7, 5)]).is_sound());
    assert_eq!(verdict(&none, &[(6, 4), (7, 6)]).count(LOST), 1);
}

#[test]
fn other_subjects_are_foreign() {
    let (mut account, mut verdict) =
        (Account::new("c".into(), Pattern::parse("b.*").expect("a pattern")), Verdict::default());
    let received = Received { stream: STREAM, seq: 7, subject: &subject(), number: 1 };
    assert_eq!(account.take(received, &ledger(Owed::Each), &mut verdict), Taken::Wrong);
    assert_eq!(verdict.count(FOREIGN), 1);
}

proptest! {
    /// Exactly the events that are left out of a log are found lost.
    #[test]
    fn exactly_what_is_left_out_is_lost(kept in subsequence((0..30u64).collect::<Vec<_>>(), 0..=30)) {
        let mut ledger = Ledger::default();
        (0..30).for_each(|number| ledger.store(STREAM, Owed::Each, &subject(), number + 6, number));
        let events: Vec<_> = kept.iter().map(|number| (number + 6, *number)).collect();
        let verdict = verdict(&ledger, &events);
        prop_assert_eq!(verdict.count(LOST), 30 - kept.len() as u64);
        prop_assert_eq!(verdict.is_sound(), kept.len() == 30);
    }

    /// An event that is moved or doubled anywhere in a log is found.
    #[test]
    fn no_change_of_order_and_no_repetition_passes(from in any::<Index>(), to in any::<Index>(), doubles in any::<bool>()) {
        let mut ledger = Ledger::default();
        (0..30).for_each(|number| ledger.store(STREAM, Owed::Each, &subject(), number + 6, number));
        let mut events: Vec<_> = (0..30).map(|number| (number + 6, number)).collect();
        let (from, to) = (from.index(30), to.index(30));
        let event = if doubles { events[from] } else { events.remove(from) };
        events.insert(to, event);
        let verdict = verdict(&ledger, &events);
        prop_assert_eq!(verdict.is_sound(), from == to && !doubles, "{}", verdict);
    }
}
