//! The log holds what a plain list would hold, and finds what a scan of it finds.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*, sample::select};

use super::*;

fn subject(text: &str) -> Subject {
    Subject::parse(text).expect(text)
}

fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|text| Pattern::parse(text).expect(text)).collect()
}

/// A log of events 1.. of one byte each; the value is the sequence.
fn log(bounds: Bounds, subjects: &[&str]) -> EventLog<u64> {
    let mut log = EventLog::new(bounds);
    for (seq, text) in (1..).zip(subjects) {
        assert_ne!(log.append(seq, subject(text), 1, seq), Appended::Known);
    }
    log
}

fn held(log: &EventLog<u64>) -> Vec<u64> {
    log.range(0, u64::MAX).map(|(seq, _, _)| seq).collect()
}

fn seqs(found: &[(u64, &u64)]) -> Vec<u64> {
    found.iter().map(|(seq, _)| *seq).collect()
}

#[test]
fn a_bound_evicts_the_oldest_and_raises_the_floor() {
    let log = log(Bounds { events: 2, ..Bounds::NONE }, &["a", "b", "a", "c"]);
    assert_eq!((held(&log), log.floor(), log.head()), (vec![3, 4], 2, 4));
    assert_eq!((log.first(), log.last(), log.bytes()), (Some(3), Some(4), 2));
    assert_eq!(log.newest_of(&subject("b")), None);
}

#[test]
fn the_newest_event_stays_even_above_the_bound() {
    let mut log = log(Bounds { bytes: 10, ..Bounds::NONE }, &["a", "a"]);
    assert_eq!(log.append(3, subject("b"), 11, 3), Appended::Added);
    assert_eq!((held(&log), log.floor(), log.bytes()), (vec![3], 2, 11));
    let none = super::tests::log(Bounds { bytes: 0, events: 0, per_subject: 0 }, &["a", "b", "b"]);
    assert_eq!(held(&none), [3]);
}

#[test]
fn a_superseded_event_goes_and_the_floor_stays() {
    let log = log(Bounds { per_subject: 1, ..Bounds::NONE }, &["a", "b", "a", "b", "c"]);
    assert_eq!((held(&log), log.floor()), (vec![3, 4, 5], 0));
    assert_eq!(log.newest(&patterns(&[">"]), 4, 9).map(|found| seqs(&found)), Some(vec![3, 4]));
}

#[test]
fn what_was_here_does_not_come_again() {
    let mut log = log(Bounds::NONE, &["a", "b"]);
    assert_eq!(log.append(2, subject("a"), 1, 2), Appended::Known);
    assert_eq!(log.remove(2), Some(2));
    assert_eq!(log.append(2, subject("a"), 1, 2), Appended::Known);
    log.evict_through(7);
    assert_eq!(log.append(7, subject("a"), 1, 7), Appended::Known);
    assert_eq!(log.append(9, subject("a"), 1, 9), Appended::Added);
    assert_eq!((held(&log), log.floor(), log.head()), (vec![9], 7, 9));
    log.clear();
    assert_eq!((log.floor(), log.head(), log.is_empty()), (0, 0, true));
}

#[test]
fn a_log_may_begin_in_the_middle() {
    let mut log = EventLog::new(Bounds::NONE);
    log.set_floor(1_000);
    assert_eq!(log.append(1_005, subject("a"), 1, 5), Appended::Added);
    assert_eq!((log.floor(), log.front()), (1_000, Some((1_005, &5))));
    log.set_floor(900);
    assert_eq!((log.floor(), log.len()), (900, 1));
}

#[test]
fn a_subject_keeps_its_newest() {
    let mut subjects = vec!["old"];
    subjects.extend(["a"; 1_000]);
    let log = log(Bounds { per_subject: 2, ..Bounds::NONE }, &subjects);
    assert_eq!(held(&log), [1, 1_000, 1_001]);
    assert!(log.events.span(0, u64::MAX) <= 65, "holes do not outnumber events");
}

#[test]
fn an_empty_log_leaves_no_node_behind() {
    let mut log = log(Bounds::NONE, &["a", "a.b", "a.b.c", "a.c", "b", "a.b"]);
    log.remove(3);
    log.evict_through(6);
    assert!(log.subjects.is_empty());
}

#[test]
fn a_page_takes_up_where_the_last_one_ended() {
    let log = log(Bounds::NONE, &["a.x", "b", "a.y", "b", "a.x", "b"]);
    let wanted = patterns(&["a.*", "a.x"]);
    let first = log.page(&wanted, Select::All, 0, 6, 2);
    assert_eq!((seqs(&first.events), first.through), (vec![1, 3], 4));
    let rest = log.page(&wanted, Select::All, first.through, 6, 2);
    assert_eq!((seqs(&rest.events), rest.through), (vec![5], 6));
    let beyond = log.page(&wanted, Select::All, 7, 6, 2);
    assert_eq!((seqs(&beyond.events), beyond.through), (vec![], 7));
    assert_eq!(log.page(&wanted, Select::All, 0, 6, 0).through, 0);
}

/// 100,000 events of 25,000 users: one in 32 a lamp, one in 32 of a busy user.
fn crowd() -> EventLog<u64> {
    let mut log = EventLog::new(Bounds::NONE);
    for seq in 1..=100_000 {
        let text = match seq % 32 {
            0 => "shop.cart.busy.added".to_owned(),
            1 => format!("shop.lamp.u{}.added", seq % 25_000),
            _ => format!("shop.cart.u{}.added", seq % 25_000),
        };
        log.append(seq, subject(&text), 1, seq);
    }
    log
}

#[test]
fn pages_of_every_density_add_up_to_what_matches() {
    let log = crowd();
    let rows: &[(&[&str], usize)] = &[
        (&["shop.cart.u77.>"], 100),
        (&["shop.cart.u77.>"], 2),
        (&["shop.lamp.>"], 1_000),
        (&["shop.*.busy.*"], 300),
        (&["shop.*.busy.*"], usize::MAX),
        (&["shop.cart.u77.*", "shop.cart.busy.*"], 5_000),
        (&["*.*.*.added", "shop.>"], 5_000),
        (&["shop.*.*.gone"], 10),
        (&["shop.*.*.gone", "shop.cart.u25.added", "shop.cart.busy.added", "shop.cart.u7.*"], 1_000),
        (&[], 10),
    ];
    for (texts, most) in rows {
        let wanted = patterns(texts);
        let expected: Vec<u64> = log
            .range(500, 99_000)
            .filter(|(_, subject, _)| wanted.iter().any(|pattern| pattern.matches(subject)))
            .map(|(seq, _, _)| seq)
            .collect();
        let (mut found, mut after) = (Vec::new(), 500);
        while after < 99_000 {
            let page = log.page(&wanted, Select::All, after, 99_000, *most);
            assert!(page.events.len() <= *most && page.through > after, "{texts:?}");
            found.extend(seqs(&page.events));
            after = page.through;
        }
        assert_eq!(found, expected, "{texts:?}");
    }
}

#[test]
fn one_page_is_enough_for_few_events_among_many() {
    let log = crowd();
    let page = log.page(&patterns(&["shop.cart.u77.>"]), Select::All, 0, 100_000, 100);
    assert_eq!((seqs(&page.events), page.through), (vec![77, 25_077, 50_077, 75_077], 100_000));
}

#[test]
fn the_first_values_of_very_many_are_found_without_a_look_at_all() {
    for (per_subject, events) in [(1, 200_000), (usize::MAX, 200_000)] {
        let mut log = EventLog::new(Bounds { per_subject, ..Bounds::NONE });
        for seq in 1..=events {
            log.append(seq, subject(&format!("price.s{seq}")), 1, seq);
        }
        for text in [">", "price.*", "*.*"] {
            let page = log.page(&patterns(&[text]), Select::Newest, 0, events, 1);
            assert_eq!((seqs(&page.events), page.through), (vec![1], 1), "{text}");
            assert!(page.visited <= 2, "{text}: {} visited", page.visited);
        }
        let page = log.page(&patterns(&["price.s199999"]), Select::Newest, 0, events, 1);
        assert_eq!((seqs(&page.events), page.through), (vec![199_999], events));
        assert!(page.visited <= 2 * STEP, "{} visited", page.visited);
    }
}

/// The bound counts the events that are looked at, not those that are found.
#[test]
fn no_page_looks_at_more_than_it_may() {
    let log = crowd();
    let many: Vec<String> = (0..512).map(|number| format!("*.*.*.gone{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for texts in [&["*.*.*.gone"][..], &["shop.*.*.gone", "*.lamp.*.gone"], &["*.*.*.*.>"], &many] {
        for select in [Select::All, Select::Newest] {
            let (mut after, mut pages) = (0, 0);
            while after < 100_000 && pages < 3 {
                let page = log.page(&patterns(texts), select, after, 100_000, 64);
                let compared = page.visited.saturating_sub(PAGE_WORK / STEP + STEP) * texts.len();
                assert!(page.events.is_empty() && page.through > after && compared <= PAGE_WORK, "{texts:?}");
                (after, pages) = (page.through, pages + 1);
            }
        }
    }
}

#[test]
fn the_newest_of_each_subject_is_all_or_none() {
    let log = crowd();
    let every = log.newest(&patterns(&["shop.lamp.*.added", "shop.lamp.>"]), 100_000, 3_125);
    assert_eq!(every.map(|found| found.len()), Some(3_125));
    assert!(log.newest(&patterns(&["shop.lamp.*.added", "shop.lamp.>"]), 100_000, 3_124).is_none());
    for most in [3_125, 3_126] {
        // Found three times each, they are more than fit: looked at meanwhile, they are not.
        let found = log.newest(&patterns(&["shop.lamp.*.added", "shop.lamp.>", "shop.lamp.*.*"]), 100_000, most);
        assert_eq!(found.map(|found| found.len()), Some(3_125), "{most}");
    }
    let then = log.newest(&patterns(&["shop.cart.u77.*"]), 60_000, 10);
    assert_eq!(then.map(|found| seqs(&found)), Some(vec![50_077]));
}

#[derive(Clone, Debug)]
enum Step {
    Append { hole: u64, subject: Subject, bytes: usize },
    Remove(usize),
    EvictThrough(usize),
    SetFloor(usize),
    Clear,
}

fn any_subject() -> impl Strategy<Value = Subject> {
    vec(select(vec!["a", "b", "c"]), 1..5).prop_map(|tokens| subject(&tokens.join(".")))
}

fn any_pattern() -> impl Strategy<Value = Pattern> {
    (vec(select(vec!["a", "b", "*"]), 0..4), any::<bool>()).prop_filter_map(
        "at least one token",
        |(mut tokens, tail)| {
            if tail {
                tokens.push(">");
            }
            Pattern::parse(&tokens.join(".")).ok()
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        60 => (prop_oneof![5 => Just(0u64), 1 => 1..4u64], any_subject(), 0..20usize)
            .prop_map(|(hole, subject, bytes)| Step::Append { hole, subject, bytes }),
        20 => any::<prop::sample::Index>().prop_map(|at| Step::Remove(at.index(300))),
        2 => (0..400usize).prop_map(Step::EvictThrough),
        1 => (0..400usize).prop_map(Step::SetFloor),
        1 => Just(Step::Clear),
    ]
}

fn bound(most: usize) -> impl Strategy<Value = usize> {
    prop_oneof![1 => 0..most, 2 => Just(usize::MAX)]
}

/// The same, as a list.
#[derive(Default)]
struct Model {
    events: Vec<(u64, Subject, usize)>,
    floor: u64,
    head: u64,
}

impl Model {
    fn append(&mut self, bounds: Bounds, seq: u64, subject: Subject, bytes: usize) {
        self.head = seq;
        let same: Vec<u64> = self.events.iter().filter(|event| event.1 == subject).map(|event| event.0).collect();
        if same.len() >= bounds.per_subject.max(1) {
            self.events.retain(|event| event.0 != same[0]);
        }
        self.events.push((seq, subject, bytes));
        while self.events.len() > 1 && (self.events.len() > bounds.events || self.bytes() > bounds.bytes) {
            self.floor = self.events.remove(0).0;
        }
    }

    fn evict_through(&mut self, seq: u64) {
        self.events.retain(|event| event.0 > seq);
        self.floor = self.floor.max(seq);
        self.head = self.head.max(seq);
    }

    fn bytes(&self) -> usize {
        self.events.iter().map(|event| event.2).sum()
    }

    fn matching(&self, patterns: &[Pattern], after: u64, upto: u64) -> Vec<(u64, &Subject)> {
        let wanted = |subject: &Subject| patterns.iter().any(|pattern| pattern.matches(subject));
        let within = self.events.iter().filter(|event| event.0 > after && event.0 <= upto && wanted(&event.1));
        within.map(|event| (event.0, &event.1)).collect()
    }
}

proptest! {
    #[test]
    fn the_log_is_a_list_with_an_index(
        bounds in (bound(300), bound(60), bound(4))
            .prop_map(|(bytes, events, per_subject)| Bounds { bytes, events, per_subject }),
        steps in vec(step(), 1..400),
        asked in vec((vec(any_pattern(), 0..4), 0..300u64, 0..400u64, 0..12usize), 1..8),
    ) {
        let mut log = EventLog::new(bounds);
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Append { hole, subject, bytes } => {
                    let seq = model.head + 1 + hole;
                    let same = model.events.iter().filter(|event| event.1 == subject).count();
                    model.append(bounds, seq, subject.clone(), bytes);
                                        let appended = log.append(seq, subject.clone(), bytes, seq);
                    let superseded = same >= bounds.per_subject.max(1);
                    prop_assert_eq!(appended == Appended::Superseded, superseded);
                    prop_assert_eq!(log.append(seq, subject, bytes, seq), Appended::Known);
                }
                Step::Remove(seq) => {
                    // Often one that is there.
                    let seq = model.events.get(seq % 70).map_or(seq as u64, |event| event.0);
                    let there = model.events.iter().any(|event| event.0 == seq);
                    model.events.retain(|event| event.0 != seq);
                    prop_assert_eq!(log.remove(seq), there.then_some(seq));
                }
                Step::EvictThrough(seq) => {
                    // Mostly short of the head, so that something is left.
                    let seq = (seq as u64).min(model.head + 2) / 2;
                    model.evict_through(seq);
                    log.evict_through(seq);
                }
                Step::SetFloor(seq) => {
                    let seq = (seq as u64).min(model.head + 2) / 2;
                    model.evict_through(seq);
                    model.floor = seq;
                    log.set_floor(seq);
                }
                Step::Clear => {
                    model = Model::default();
                    log.clear();
                }
            }
            prop_assert_eq!((log.floor(), log.head()), (model.floor, model.head));
            prop_assert_eq!((log.len(), log.bytes()), (model.events.len(), model.bytes()));
            prop_assert_eq!(log.is_empty(), model.events.is_empty());
            prop_assert_eq!(log.first(), model.events.first().map(|event| event.0));
            prop_assert_eq!(log.front().map(|(seq, value)| (seq, *value)), log.first().map(|seq| (seq, seq)));
            prop_assert_eq!(log.last(), model.events.last().map(|event| event.0));
        }

        let all: Vec<(u64, Subject, u64)> =
            log.range(0, u64::MAX).map(|(seq, subject, value)| (seq, subject.clone(), *value)).collect();
        let expected: Vec<(u64, Subject, u64)> =
            model.events.iter().map(|(seq, subject, _)| (*seq, subject.clone(), *seq)).collect();
        prop_assert_eq!(all, expected);
        for seq in 0..model.head + 2 {
            let there = model.events.iter().any(|event| event.0 == seq);
            prop_assert_eq!(log.get(seq), there.then_some(&seq));
        }

        for (patterns, after, upto, most) in asked {
            let range: Vec<u64> = log.range(after, upto).map(|(seq, _, _)| seq).collect();
            let within: Vec<u64> =
                model.events.iter().map(|event| event.0).filter(|seq| *seq > after && *seq <= upto).collect();
            prop_assert_eq!(range, within);

            let matching = model.matching(&patterns, after, upto);
            let page = log.page(&patterns, Select::All, after, upto, most);
            let expected: Vec<u64> = matching.iter().map(|(seq, _)| *seq).take(most).collect();
            prop_assert_eq!(seqs(&page.events), expected);
            let through = match matching.get(most) {
                _ if after >= upto || most == 0 => after,
                None => upto,
                Some((beyond, _)) => {
                    prop_assert!(matching[most - 1].0 <= page.through && page.through < *beyond);
                    page.through
                }
            };
            prop_assert_eq!(page.through, through);

            // The same without a look at the events first.
            if after < upto {
                let mut walked = EventPage { events: Vec::new(), through: after, visited: 0 };
                let wanted = PageQuery { patterns: &patterns, index: None, select: Select::All, upto, most };
                prop_assert!(log.gather(&mut walked, &wanted));
                prop_assert_eq!(seqs(&walked.events), seqs(&page.events));
                prop_assert!(walked.through >= page.through);
                prop_assert!(matching.get(most).is_none_or(|(beyond, _)| walked.through < *beyond));
            }

            let mut newest = BTreeMap::new();
            for (seq, subject) in model.matching(&patterns, 0, upto) {
                newest.insert(subject, seq);
            }
            let mut expected: Vec<u64> = newest.into_values().collect();
            expected.sort_unstable();
            let (mut found, mut through) = (Vec::new(), after);
            while through < upto && most > 0 {
                let page = log.page(&patterns, Select::Newest, through, upto, most);
                prop_assert!(page.events.len() <= most && page.through > through);
                found.extend(seqs(&page.events));
                through = page.through;
            }
            let changed: Vec<u64> = expected.iter().copied().filter(|seq| *seq > after).collect();
            prop_assert!(most == 0 || after >= upto || found == changed, "{:?} {:?}", found, changed);
            let found = log.newest(&patterns, upto, most).map(|found| seqs(&found));
            prop_assert_eq!(found, (expected.len() <= most).then_some(expected));
        }

        for (_, subject, _) in &model.events {
            let newest = model.events.iter().rev().find(|event| event.1 == *subject).map(|event| event.0);
            prop_assert_eq!(log.newest_of(subject), newest.as_ref().map(|seq| (*seq, seq)));
        }
        log.evict_through(u64::MAX);
        prop_assert!(log.is_empty() && log.subjects.is_empty());
    }
}
