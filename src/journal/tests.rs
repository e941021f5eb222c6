//! Whoever reads a stream gets what a scan of it gets, wherever they begin and whichever way it is read.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*, sample::select};

use super::*;
use crate::{
    broker,
    config::{Source, load},
    proto::Envelope,
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

/// What the stream keeps.
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

async fn follow(plan: &Plan) -> Arc<Journal> {
    let Plan { kept, latest, window, .. } = plan;
    let (delivery, limit) = if *latest { ("latest", "max_messages_per_subject = 1") } else { ("durable", "") };
    let text = format!(
        "[broker]\nkind = \"memory\"\n[[streams]]\nname = \"S\"\nsubjects = [\"a.>\"]\nmax_messages = {kept}\n{limit}\n\
         window = {{ bytes = \"{window}\" }}\n[[subjects]]\npattern = \"a.>\"\ndelivery = \"{delivery}\"\nstream = \"S\"\n"
    );
    let config = load(Some(&Source { origin: "test".into(), text }), [], &Default::default()).expect("TOML");
    let metrics = Arc::new(Metrics::new().expect("metrics"));
    let tasks = Tasks::new(metrics.clone());
    let (broker, _) = broker::connect(&config, &metrics, &tasks).await.expect("a broker");
    for seq in 1..=plan.stored {
        let envelope = Envelope { data: vec![0; 20].into(), ..Envelope::default() };
        broker.store(StreamIndex(0), Message::new(subject(plan, seq), envelope)).await.expect("stored");
    }
    let classes = broker.classes().clone();
    let journal = Journal::all(&config, &classes, &broker, &tasks, &metrics).remove(0);
    journal.ready().await;
    journal
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
            let (journal, all) = (follow(&plan).await, kept(&plan));
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

                let (snapshot, upto) = journal.snapshot(&patterns).await.expect("a snapshot");
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
    let journal = follow(&Plan { stored: 7, subjects: 1, kept: 5, latest: false, window: 0 }).await;
    let here = journal.position(journal.head());
    assert_eq!(here.seq, 7);
    let cursor = async |position: Position| journal.cursor(&position).await;
    let [head, before, other] =
        [here.clone(), Position { seq: 3, ..here.clone() }, Position { epoch: "1".into(), ..here }];
    let generations = [cursor(head).await, cursor(before).await, cursor(other).await];
    let expected = [(1, 7), (1, 3), (0, 7)].map(|(generation, seq)| Ok(Cursor { generation, seq }));
    assert_eq!(generations, expected);
}
