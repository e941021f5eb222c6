//! A reader of a stream gets what a scan of it gets, wherever it begins and whichever way the stream is read.

use std::{collections::BTreeMap, sync::Weak};

use proptest::{collection::vec, prelude::*, sample::select};

use super::*;
use crate::{
    broker::{self, Stored},
    config::{SettingsFile, load},
    event::{Message, PageSize},
    proto::Envelope,
    subject::Subject,
};

/// A stream at a broker inside this process, and who follows it.
#[derive(Clone, Debug)]
struct Plan {
    /// Events that were stored.
    stored: u64,
    /// Subjects that they are of, in turns.
    subjects: u64,
    /// Events that are kept.
    kept: u64,
    /// Whether of each subject only the newest one is.
    latest: bool,
    /// Bytes of the window.
    window: u64,
}

fn plan() -> impl Strategy<Value = Plan> {
    let sizes = (select(vec![0, 7, 60, 1_500]), select(vec![1, 5, 200]), select(vec![3, 50, 10_000]));
    (sizes, any::<bool>(), select(vec![0, 5_000, 100_000]))
        .prop_map(|((stored, subjects, kept), latest, window)| Plan { stored, subjects, kept, latest, window })
}

fn subject(plan: &Plan, seq: u64) -> Subject {
    let kind = if seq.is_multiple_of(3) { "x" } else { "y" };
    Subject::parse(&format!("a.{}.{kind}", seq % plan.subjects)).expect("a subject")
}

/// The events that the stream keeps.
fn kept(plan: &Plan) -> Vec<(u64, Subject)> {
    let mut all: Vec<_> = (1..=plan.stored).map(|seq| (seq, subject(plan, seq))).collect();
    if plan.latest {
        all = newest(&all);
    }
    all.split_off(all.len().saturating_sub(plan.kept as usize))
}

/// The newest of each subject.
fn newest(events: &[(u64, Subject)]) -> Vec<(u64, Subject)> {
    let newest: BTreeMap<_, _> = events.iter().map(|(seq, subject)| (subject.clone(), *seq)).collect();
    let mut newest: Vec<_> = newest.into_iter().map(|(subject, seq)| (seq, subject)).collect();
    newest.sort_unstable();
    newest
}

async fn follow(plan: &Plan) -> (Arc<Journal>, Arc<dyn Broker>) {
    let Plan { kept, latest, window, .. } = plan;
    let (delivery, limit) = if *latest { ("latest", "max_messages_per_subject = 1") } else { ("durable", "") };
    let text = format!(
        "[broker]\nkind = \"memory\"\n[[streams]]\nname = \"S\"\nsubjects = [\"a.>\"]\nmax_messages = {kept}\n{limit}\n\
         window = {{ bytes = \"{window}\" }}\n[[subjects]]\npattern = \"a.>\"\ndelivery = \"{delivery}\"\nstream = \"S\"\n"
    );
    let config = load(Some(&SettingsFile { origin: "test".into(), text }), [], &Default::default()).expect("TOML");
    let metrics = Arc::new(Metrics::new().expect("metrics"));
    let tasks = Tasks::new(metrics.clone());
    let (broker, _) = broker::connect(&config, &metrics, &tasks).await.expect("a broker");
    for seq in 1..=plan.stored {
        store(&broker, subject(plan, seq)).await;
    }
    let classes = broker.classes().clone();
    let journal = Journal::all(&config, &classes, &broker, &tasks, &metrics).remove(0);
    journal.ready().await;
    (journal, broker)
}

/// Stores one more event, and returns it as the tail brings it.
async fn store(broker: &Arc<dyn Broker>, subject: Subject) -> Stored {
    store_large(broker, subject, 20).await
}

async fn store_large(broker: &Arc<dyn Broker>, subject: Subject, bytes: usize) -> Stored {
    let envelope = Envelope { data: vec![0; bytes].into(), ..Envelope::default() };
    let message = Message::new(subject, envelope);
    let seq = broker.store(StreamIndex(0), message.clone()).await.expect("stored").seq;
    let place = Some(crate::event::Place { stream: "S".into(), seq });
    Stored::new(seq, Some(Arc::new(Message { place, ..message })))
}

/// Sequences of what a reader gets, and of what it is told will never come.
async fn read(journal: &Journal, patterns: &[Pattern], from: Cursor, size: PageSize) -> (Vec<u64>, Vec<(u64, u64)>) {
    let (head, mut reader) = (journal.head(), journal.reader(patterns.to_vec(), from));
    let (mut found, mut lost) = (Vec::new(), Vec::new());
    loop {
        match reader.next(head.seq, size).await.expect("it can be read") {
            Part::Events(events) => found.extend(events.iter().map(|event| event.seq())),
            Part::Lost(gap) => lost.push((gap.from, gap.to)),
            Part::End => {
                assert_eq!(reader.cursor(), head);
                return (found, lost);
            }
        }
    }
}

fn patterns() -> impl Strategy<Value = Vec<Pattern>> {
    let texts: Vec<&[&str]> = vec![
        &["a.>"],
        &["a.*.x"],
        &["a.3.*"],
        &["a.3.x", "a.0.y"],
        &["a.1.>", "a.*.x"],
        &["a.*.x", "a.*.y"],
        &["a.1.z"],
    ];
    select(texts).prop_map(|texts| texts.iter().map(|text| Pattern::parse(text).expect("a pattern")).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_reader_gets_what_a_scan_of_the_stream_gets(
        plan in plan(),
        asked in vec((patterns(), any::<prop::sample::Index>(), 1..100_usize, 1..5_000_usize), 4),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let result: Result<(), TestCaseError> = runtime.block_on(async {
            let ((journal, _), all) = (follow(&plan).await, kept(&plan));
            let head = journal.head();
            prop_assert_eq!((head.generation, head.seq), (1, plan.stored));
            let first = all.first().map_or(plan.stored + 1, |(seq, _)| *seq);
            prop_assert_eq!(journal.beginning().await.map(|cursor| cursor.seq), Ok(first - 1));
            for (patterns, after, events, bytes) in asked {
                let after = after.index(plan.stored as usize + 1) as u64;
                let size = PageSize { events, bytes };
                let matching = |from: u64| -> Vec<u64> {
                    let wanted = |subject: &Subject| patterns.iter().any(|pattern| pattern.matches(subject));
                    all.iter().filter(|(seq, subject)| *seq > from && wanted(subject)).map(|(seq, _)| *seq).collect()
                };
                let (found, lost) = read(&journal, &patterns, Cursor { seq: after, ..head }, size).await;
                prop_assert_eq!(found, matching(after), "{:?} after {}", patterns, after);
                let gap = (first > after + 1 && !plan.latest).then_some((after + 1, first - 1));
                prop_assert_eq!(lost, Vec::from_iter(gap), "{:?} after {}", patterns, after);

                let (found, lost) = read(&journal, &patterns, Cursor { generation: 0, seq: after }, size).await;
                prop_assert_eq!((found, lost), (matching(0), vec![(after + 1, 0)]), "of a stream before: {:?}", patterns);

                let mut values = journal.snapshot(patterns.clone(), None).await;
                let mut snapshot = Vec::new();
                while let Some(events) = values.next(size).await.expect("a snapshot") {
                    snapshot.extend(events);
                }
                let upto = values.cursor();
                let of_all: Vec<u64> = newest(&all).iter().map(|(seq, _)| *seq).collect();
                let expected: Vec<u64> = matching(0).into_iter().filter(|seq| of_all.contains(seq)).collect();
                let snapshot: Vec<u64> = snapshot.iter().map(|event| event.seq()).collect();
                prop_assert_eq!((snapshot, upto), (expected, head), "{:?}", patterns);
            }
            Ok(())
        });
        result?;
    }
}

#[tokio::test]
async fn a_position_of_another_stream_is_void() {
    let (journal, _) = follow(&Plan { stored: 7, subjects: 1, kept: 5, latest: false, window: 0 }).await;
    let here = journal.position(journal.head());
    assert_eq!(here.seq, 7);
    let cursor = async |position: Position| journal.cursor(&position).await;
    let [head, before, other] =
        [here.clone(), Position { seq: 3, ..here.clone() }, Position { epoch: "1".into(), ..here }];
    let generations = [cursor(head).await, cursor(before).await, cursor(other).await];
    let expected = [(1, 7), (1, 3), (0, 7)].map(|(generation, seq)| Ok(Cursor { generation, seq }));
    assert_eq!(generations, expected);
    // A cursor of the stream before: nothing of this one has been read.
    let before = journal.position(Cursor { generation: 0, seq: 3 });
    assert_eq!(cursor(before).await, Ok(Cursor { generation: 1, seq: 0 }));
}

/// However slowly somebody takes values, what they waited for is freed when newer ones come.
#[tokio::test]
async fn what_waits_for_a_slow_reader_of_values_are_sequences() {
    let plan = Plan { stored: 500, subjects: 500, kept: 10_000, latest: true, window: 1 << 20 };
    let (journal, broker) = follow(&plan).await;
    let (all, page) = (vec![Pattern::parse("a.>").expect("a pattern")], PageSize::BATCH);
    let mut values = journal.snapshot(all.clone(), None).await;
    let mut held = Vec::new();
    let mut others = journal.snapshot(all.clone(), None).await;
    while let Some(events) = others.next(page).await.expect("values") {
        held.extend(events.iter().map(Arc::downgrade));
    }
    assert_eq!(held.len(), 500);
    let first = values.next(page).await.expect("values").expect("a page");
    assert_eq!(first.len(), 64);
    for seq in 1..=500 {
        journal.window().take([store(&broker, subject(&plan, seq)).await]);
    }
    let left = held.iter().filter(|event| event.strong_count() > 0).count();
    assert_eq!(left, first.len(), "the page that was taken, and no other");
    assert!(values.next(page).await.expect("values").is_none());
    assert_eq!(values.cursor().seq, 500);
    let (events, lost) = read(&journal, &all, values.cursor(), page).await;
    assert_eq!((events, lost), ((501..=1_000).collect(), vec![]));
}

#[tokio::test]
async fn who_reads_large_events_of_many_subjects_gets_all_in_order_and_has_little_ahead() {
    const BYTES: usize = 100_000;
    // Fifty subjects end with `x`: few enough to be read one by one.
    let plan = Plan { stored: 0, subjects: 150, kept: 1_000, latest: false, window: 0 };
    let (journal, broker) = follow(&plan).await;
    for seq in 1..=400 {
        journal.window().take([store_large(&broker, subject(&plan, seq), BYTES).await]);
    }
    let mut kept = Vec::new();
    for seq in 1..=400 {
        let size = PageSize { events: 1, bytes: 1 };
        let page = broker.read(StreamIndex(0), &broker::Query::From(seq), size, broker::Purpose::Serve).await;
        kept.push(Arc::downgrade(page.expect("a page").events[0].event.as_ref().expect("an event")));
    }
    // By the stream, which keeps them, and by what its tail has not taken yet.
    let others: Vec<usize> = kept.iter().map(Weak::strong_count).collect();
    let pattern = vec![Pattern::parse("a.*.x").expect("a pattern")];
    let mut reader = journal.reader(pattern, Cursor { seq: 0, ..journal.head() });
    let (mut found, mut most) = (Vec::new(), 0);
    while let Part::Events(events) = reader.next(400, PageSize::BATCH).await.expect("a part") {
        found.extend(events.iter().map(|event| event.seq()));
        let ahead = kept.iter().zip(&others).filter(|(event, others)| event.strong_count() > **others).count();
        most = most.max(ahead);
    }
    assert_eq!(found, (1..=400).filter(|seq| seq % 3 == 0).collect::<Vec<_>>());
    assert!((1..=20).contains(&most), "{most} events of {BYTES} bytes");
}

#[derive(Clone, Debug)]
enum Move {
    Take(PageSize),
    Store(u64),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let take = (1..40_usize, 1..3_000_usize).prop_map(|(events, bytes)| Move::Take(PageSize { events, bytes }));
    vec(prop_oneof![1 => take, 4 => (0..400_u64).prop_map(Move::Store)], 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Any events are stored between the pages, and any number of them leaves
    /// memory.
    #[test]
    fn values_that_change_between_pages_come_in_their_newest_form_or_later_and_never_older_after_newer(
        plan in (select(vec![0, 60, 1_500]), select(vec![5, 200, 1_400]), any::<bool>(), select(vec![0, 5_000, 60_000]))
            .prop_map(|(stored, subjects, latest, window)| Plan { stored, subjects, kept: 1 << 40, latest, window }),
        patterns in patterns(),
        moves in moves(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let result: Result<(), TestCaseError> = runtime.block_on(async {
            let (journal, broker) = follow(&plan).await;
            let mut kept: BTreeMap<Subject, u64> = (1..=plan.stored).map(|seq| (subject(&plan, seq), seq)).collect();
            let mut got: BTreeMap<Subject, u64> = BTreeMap::new();
            let mut take = |events: &[Arc<Message>]| {
                for event in events {
                    let before = got.insert(event.subject.clone(), event.seq());
                    prop_assert!(before.is_none_or(|before| before < event.seq()), "{before:?} before {}", event.seq());
                }
                Ok(())
            };
            let mut values = journal.snapshot(patterns.clone(), None).await;
            for step in moves {
                match step {
                    Move::Store(seq) => {
                        let stored = store(&broker, subject(&plan, seq)).await;
                        kept.insert(subject(&plan, seq), stored.seq);
                        journal.window().take([stored]);
                    }
                    Move::Take(size) => match values.next(size).await {
                        Ok(events) => take(&events.unwrap_or_default())?,
                        // More than a server tells at once, which it says before the first of them.
                        Err(error) => {
                            prop_assert_eq!((error, values.cursor().seq), (ReadError::TooManySubjects, 0));
                            return Ok(());
                        }
                    },
                }
            }
            let size = PageSize { events: 64, bytes: 2_000 };
            loop {
                match values.next(size).await {
                    Ok(Some(events)) => take(&events)?,
                    Ok(None) => break,
                    Err(error) => {
                        prop_assert_eq!((error, values.cursor().seq), (ReadError::TooManySubjects, 0));
                        return Ok(());
                    }
                }
            }
            let mut reader = journal.reader(patterns.clone(), values.cursor());
            loop {
                match reader.next(journal.head().seq, size).await.expect("it can be read") {
                    Part::Events(events) => take(&events)?,
                    Part::Lost(gap) => prop_assert!(false, "{:?}", gap),
                    Part::End => break,
                }
            }
            kept.retain(|subject, _| patterns.iter().any(|pattern| pattern.matches(subject)));
            prop_assert_eq!(&got, &kept);
            Ok(())
        });
        result?;
    }
}
