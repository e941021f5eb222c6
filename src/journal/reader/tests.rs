//! A reader, while retention takes events.

use super::*;
use crate::{
    journal::script::{ALL, Script, Scripted, followed, stream},
    tasks::Tasks,
};

/// The last event when reading begins; the last ten are in memory.
const LAST: u64 = 1_500;

/// The sequence below that.
const BELOW: u64 = LAST - 10;

/// Reads such a stream from its beginning.
async fn begin(pattern: &str) -> (Reader, Arc<Scripted>) {
    begin_with(pattern, Vec::new()).await
}

/// The same where some of the events are atomic batches, from one sequence to another.
async fn begin_with(pattern: &str, batches: Vec<(u64, u64)>) -> (Reader, Arc<Scripted>) {
    let marks = batches.len() as u64;
    let script = Script { state: stream(1, 1, LAST), batches, ..Script::default() };
    let (reconciler, broker) = followed(script, LAST - BELOW).await;
    let metrics = reconciler.metrics.clone();
    // The marks of batches take some room.
    assert!((BELOW..=BELOW + marks).contains(&reconciler.window.floor()));
    let subjects = vec![Pattern::parse("a.>").expect("a pattern")];
    let shared_reads = SharedReads::new(reconciler.window, reconciler.source, subjects, Tasks::new(metrics.clone()));
    let patterns = vec![Pattern::parse(pattern).expect("a pattern")];
    (Reader::new(Arc::new(shared_reads), patterns, Cursor { generation: 1, seq: 0 }, metrics), broker)
}

/// The same, after its first page.
async fn reader(pattern: &str) -> (Reader, Arc<Scripted>, u64) {
    let (mut reader, broker) = begin(pattern).await;
    let first = part(&mut reader).await.expect("a page");
    assert!(first.starts_with("1 to "), "{first}");
    let page = reader.cursor().seq;
    assert!((1..1_001).contains(&page), "{page}");
    (reader, broker, page)
}

/// The next part, in words; nothing at the end.
async fn part(reader: &mut Reader) -> Option<String> {
    match reader.next(LAST, ALL).await.expect("it can be read") {
        Part::Events(events) => {
            assert!(events.windows(2).all(|pair| pair[0].seq() + 1 == pair[1].seq()), "{events:?}");
            Some(format!("{} to {}", events[0].seq(), events[events.len() - 1].seq()))
        }
        Part::Lost(gap) => Some(format!("{} to {} {}", gap.from, gap.to, gap.reason.label())),
        Part::End => None,
    }
}

async fn rest(mut reader: Reader) -> Vec<String> {
    let mut rest = Vec::new();
    while let Some(part) = part(&mut reader).await {
        rest.push(part);
    }
    rest
}

/// One lies across the end of a page, another across the beginning of what is in memory.
#[tokio::test]
async fn a_batch_is_read_whole_wherever_it_lies() {
    let batches = [(990, 1_010), (1_012, 1_300), (BELOW - 5, LAST - 1)];
    for (pattern, size) in [("a.>", ALL), ("a.>", PageSize::BATCH), ("a.b", PageSize::BATCH)] {
        let (mut reader, _) = begin_with(pattern, batches.to_vec()).await;
        let mut next = 1;
        while let Part::Events(events) = reader.next(LAST, size).await.expect("it can be read") {
            for event in &events {
                assert_eq!(event.seq(), next, "{pattern}");
                next += 1;
            }
            let at = reader.cursor().seq;
            assert_eq!(at, next - 1, "{pattern}");
            assert!(
                !batches.iter().any(|(from, to)| (*from..*to).contains(&at)),
                "{pattern} stops within a batch at {at}"
            );
        }
        assert_eq!(next, LAST + 1, "{pattern}");
    }
}

#[tokio::test]
async fn a_batch_without_its_beginning_comes_behind_the_gap() {
    let (reader, broker) = begin_with("a.>", vec![(990, 1_010)]).await;
    broker.script().state = stream(1, 1_000, LAST);
    let rest = rest(reader).await;
    assert_eq!(
        rest[..2].iter().map(String::as_str).collect::<Vec<_>>(),
        ["1 to 999 expired", "1000 to 1490"],
        "{rest:?}"
    );
}

#[tokio::test]
async fn who_reads_in_order_is_told_where_it_comes_by() {
    let (reader, broker, page) = reader("a.>").await;
    broker.script().state = stream(1, 1_201, LAST);
    assert_eq!(
        rest(reader).await,
        [format!("{} to 1200 expired", page + 1), "1201 to 1490".into(), "1491 to 1500".into()]
    );
}

#[tokio::test]
async fn who_reads_in_order_still_gets_what_is_in_memory() {
    let (reader, broker, page) = reader("a.>").await;
    broker.script().state = stream(1, LAST + 100, LAST + 200);
    assert_eq!(rest(reader).await, [format!("{} to 1490 expired", page + 1), "1491 to 1500".into()]);
}

#[tokio::test]
async fn who_reads_by_subject_is_told_once_it_is_through() {
    let (reader, broker, page) = reader("a.b").await;
    broker.script().state = stream(1, 1_201, LAST);
    // Of a reader who stops here it is known as well.
    let lost = reader.lost(page).await.expect("it can be asked").map(|gap| (gap.from, gap.to));
    assert_eq!(lost, Some((1, page)));
    let rest = rest(reader).await;
    assert_eq!(rest, ["1201 to 1490", "1 to 1200 expired", "1491 to 1500"]);
}

#[tokio::test]
async fn who_reads_by_subject_still_gets_what_was_known_and_what_is_in_memory() {
    let (reader, broker, _) = reader("a.b").await;
    broker.script().state = stream(1, LAST + 100, LAST + 200);
    assert_eq!(rest(reader).await, ["1490 to 1490", "1 to 1490 expired", "1491 to 1500"]);
}

#[tokio::test]
async fn what_a_copy_does_not_tell_by_subject_comes_in_order() {
    for error in [ReadError::Lagging, ReadError::Timeout, ReadError::TooManySubjects] {
        let (mut reader, broker) = begin("a.b").await;
        broker.script().fails = (1, Some(error));
        assert_eq!(part(&mut reader).await.as_deref(), Some("1 to 1000"));
        assert_eq!(rest(reader).await, ["1001 to 1490", "1491 to 1500"]);
    }
    let (reader, broker, page) = reader("a.b").await;
    broker.script().fails = (1, Some(ReadError::Lagging));
    assert_eq!(rest(reader).await, [format!("{} to 1000", page + 1), "1001 to 1490".into(), "1491 to 1500".into()]);
}

#[tokio::test]
async fn a_copy_that_lags_is_not_asked_by_subject() {
    let (mut reader, broker) = begin("a.b").await;
    broker.script().copy = Some(1_200);
    let mut parts = vec![part(&mut reader).await.expect("a page")];
    parts.extend(rest(reader).await);
    assert_eq!(parts, ["1 to 1000", "1001 to 1200", "1201 to 1490", "1491 to 1500"]);
}

#[tokio::test]
async fn while_the_broker_is_away_reading_fails_and_then_goes_on() {
    for pages in [0, 1] {
        let (mut reader, broker) = begin("a.b").await;
        for _ in 0..pages {
            part(&mut reader).await.expect("a page");
        }
        broker.script().fails = (1, Some(ReadError::Unavailable));
        let before = reader.cursor();
        assert_eq!(reader.next(LAST, ALL).await.err(), Some(ReadError::Unavailable));
        assert_eq!(reader.cursor(), before);
        let next = part(&mut reader).await.expect("a page");
        assert!(next.starts_with(&format!("{} to ", before.seq + 1)), "{next}");
    }
}

#[tokio::test]
async fn what_retention_takes_of_a_subject_without_events_ends_where_memory_begins() {
    let (mut reader, broker) = begin("a.c").await;
    // The state of the stream is known from here on, for a moment.
    reader.shared_reads.state().await.expect("it can be asked");
    broker.script().state = stream(1, LAST - 3, LAST);
    assert_eq!(part(&mut reader).await, Some(format!("1 to {BELOW} expired")));
    assert_eq!(rest(reader).await, [""; 0]);
}
