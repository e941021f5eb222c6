//! A window keeps events that are not fanned out yet, and its bytes and age beyond.

use bytes::Bytes;
use futures_util::poll;

use super::*;
use crate::journal::{
    open_batch,
    script::{self, ALL, settings},
};

/// The memory of an event of these tests.
const EACH: u64 = 506;

fn at(generation: u32, seq: u64) -> Cursor {
    Cursor { generation, seq }
}

/// A window of a new stream, with room for `events` events.
fn window(events: u64, delivery: Delivery) -> Window {
    let window = unbegun(events, delivery);
    window.begin(StreamState { first: 1, ..StreamState::default() }, 1);
    window.set_ready();
    window
}

/// The same, before anything is known of the stream.
fn unbegun(events: u64, delivery: Delivery) -> Window {
    let mut stream = settings();
    stream.window.bytes = (events * EACH).into();
    stream.window.age = config::Span::seconds(60);
    Window::new(&stream, delivery, open_batch::bounds(1024 * 1024), Arc::new(Metrics::new().expect("metrics")))
}

fn stored(seq: u64, data: Bytes) -> Stored {
    script::stored(seq, if seq.is_multiple_of(2) { "a.even" } else { "a.odd" }, data)
}

/// An event with 100 bytes of data.
fn event(seq: u64) -> Stored {
    stored(seq, Bytes::from_static(&[0; 100]))
}

fn seqs(events: &[Arc<Message>]) -> Vec<u64> {
    events.iter().map(|event| event.seq()).collect()
}

/// The result of a step: events or the word that some are lost, and up to
/// where.
fn step(window: &Window, cursor: Cursor, size: PageSize) -> Option<(Vec<u64>, Cursor)> {
    window.step(cursor, size).map(|step| match step {
        Step::Events(events, cursor) => (seqs(&events), cursor),
        Step::Lost(cursor) => (Vec::new(), cursor),
    })
}

fn look(window: &Window, cursor: Cursor, pattern: &str, upto: u64, size: PageSize) -> String {
    let found = match window.look(cursor, &[Pattern::parse(pattern).expect("a pattern")], upto, size) {
        Lookup::Events(events, cursor) => (format!("{:?}", seqs(&events)), Some(cursor)),
        Lookup::Lost(Gap { from, to, reason }, cursor) => (format!("{} {from}..{to}", reason.label()), Some(cursor)),
        Lookup::Older(floor) => (format!("older than {floor}"), None),
        Lookup::End => ("end".into(), None),
    };
    found.1.map_or(found.0.clone(), |at| format!("{}, on from {}/{}", found.0, at.generation, at.seq))
}

#[test]
fn nothing_of_an_atomic_batch_is_handed_out_before_all_of_it_has_come() {
    let window = window(100, Delivery::Durable);
    assert_eq!(step(&window, at(0, 0), ALL), Some((vec![], at(1, 0))));
    let batch = |seq, index, commits| script::marked(seq, Some(("b", index, commits)));
    assert!(window.take([event(1), batch(2, 1, false)]));
    assert!(!window.take([batch(3, 2, false), batch(5, 4, true)]), "there is nothing to hand out");
    assert_eq!(step(&window, at(1, 0), ALL), Some((vec![1], at(1, 1))));
    assert_eq!((step(&window, at(1, 1), ALL), look(&window, at(1, 1), "a.>", 9, ALL)), (None, "end".into()));
    assert_eq!((window.head(), window.came()), (at(1, 1), 3), "no position lies within it");
    assert!(window.take([batch(4, 3, false), event(6)]));
    assert_eq!(window.head(), at(1, 6));
    let few = PageSize { events: 2, ..ALL };
    assert_eq!(step(&window, at(1, 0), few), Some((vec![1], at(1, 1))), "the batch does not fit behind it");
    assert_eq!(step(&window, at(1, 1), few), Some((vec![2, 3, 4, 5], at(1, 5))));
    // Who stops in the midst of it, because it comes in parts, says that there is more; not who may not see the rest.
    let event = |seq| window.view(1, |log, _| log.get(seq).cloned()).flatten();
    let goes_on = |(seq, after)| event(seq).map(|event| window.goes_on(&event, after));
    let rows = [(1, 1), (2, 2), (4, 4), (4, 5), (5, 5), (6, 6)];
    assert_eq!(rows.map(goes_on), [false, true, true, false, false, false].map(Some));
}

#[test]
fn who_fans_out_gets_everything_in_parts_and_in_order() {
    let window = window(100, Delivery::Durable);
    assert_eq!(step(&window, at(0, 0), ALL), Some((vec![], at(1, 0))), "it begins where the stream is");
    assert!(window.take((1..=10).map(event)));
    assert!(!window.take([event(12)]), "a hole holds it back");
    let parts = [
        (0, PageSize { events: 4, ..ALL }, vec![1, 2, 3, 4]),
        (4, PageSize { bytes: 3 * EACH as usize - 4, ..ALL }, vec![5, 6]),
        (6, PageSize { bytes: 1, ..ALL }, vec![7]),
        (7, PageSize { bytes: 2 * EACH as usize, ..ALL }, vec![8, 9]),
        (9, ALL, vec![10]),
    ];
    for (from, size, expected) in parts {
        let end = at(1, expected.last().copied().unwrap_or(from));
        assert_eq!(step(&window, at(1, from), size), Some((expected, end)), "from {from}");
    }
    assert_eq!((step(&window, at(1, 10), ALL), window.hole()), (None, Some((11, 11))));
    window.fill(2, vec![event(11)], 11);
    assert_eq!(window.head(), at(1, 10), "that was read of another stream");
    window.fill(1, vec![event(11)], 11);
    assert_eq!((window.head(), window.hole()), (at(1, 12), None));
}

#[test]
fn what_is_not_fanned_out_stays_and_the_window_bounds_the_rest() {
    let window = window(2, Delivery::Durable);
    window.take((1..=5).map(event));
    assert_eq!((window.floor(), window.oldest_certain()), (3, Some(4)), "nobody fans out yet");
    assert_eq!(step(&window, at(0, 0), ALL), Some((vec![], at(1, 5))));
    window.take((6..=9).map(event));
    assert_eq!(window.floor(), 5);
    assert_eq!(step(&window, at(1, 5), ALL), Some((vec![6, 7, 8, 9], at(1, 9))));
    assert_eq!(step(&window, at(1, 9), ALL), None);
    window.expire();
    assert_eq!(window.floor(), 7);
}

#[test]
fn what_is_older_than_the_window_goes_but_not_the_newest_values() {
    for (delivery, floor) in [(Delivery::Durable, 1), (Delivery::Latest, 0)] {
        let window = window(100, delivery);
        let mut old = event(1);
        let Some(message) = old.event.as_mut().and_then(Arc::get_mut) else { panic!("an event") };
        // A machine that has just started knows no such time.
        let Some(arrived) = message.arrived.checked_sub(Duration::from_secs(61)) else { return };
        message.arrived = arrived;
        window.take([old, event(2)]);
        assert_eq!(window.floor(), floor, "{delivery:?}");
    }
}

#[test]
fn what_comes_while_too_much_waits_for_its_fan_out_is_read_later() {
    const MIB: usize = 1024 * 1024;
    static DATA: [u8; MIB] = [0; MIB];
    let window = window(0, Delivery::Durable);
    step(&window, at(0, 0), ALL);
    let most = (BEHIND_BYTES / MIB) as u64;
    window.take((1..=most + 2).map(|seq| stored(seq, Bytes::from_static(&DATA))));
    assert_eq!((window.head(), window.hole()), (at(1, most), None), "there is no room to read it");
    assert_eq!(step(&window, at(1, most), ALL), None);
    assert_eq!(window.hole(), Some((most + 1, most + 2)), "there is room again");
}

#[test]
fn a_reader_finds_what_is_in_memory_and_is_told_what_is_not() {
    let window = window(2, Delivery::Durable);
    window.confirm(StreamState { first: 2, ..StreamState::default() });
    window.take((1..=5).map(event));
    let one = PageSize { bytes: 2 * EACH as usize - 2, ..ALL };
    let rows = [
        (at(0, 7), "a.>", 9, ALL, "reset 8..0, on from 1/1"),
        (at(1, 2), "a.>", 9, ALL, "older than 3"),
        (at(1, 3), "a.>", 9, ALL, "[4, 5], on from 1/5"),
        (at(1, 3), "a.>", 4, ALL, "[4], on from 1/4"),
        (at(1, 3), "a.odd", 9, ALL, "[5], on from 1/5"),
        (at(1, 3), "b", 9, ALL, "[], on from 1/5"),
        (at(1, 3), "a.>", 9, one, "[4], on from 1/4"),
        (at(1, 3), "a.>", 9, PageSize { bytes: 1, ..ALL }, "[4], on from 1/4"),
        (at(1, 3), "a.>", 9, PageSize { bytes: 2 * EACH as usize, ..ALL }, "[4, 5], on from 1/5"),
        (at(1, 3), "a.>", 9, PageSize { events: 1, ..ALL }, "[4], on from 1/4"),
        (at(1, 3), "a.>", 3, ALL, "end"),
        (at(1, 5), "a.>", 9, ALL, "end"),
        (at(1, 6), "a.>", 9, ALL, "end"),
    ];
    for (cursor, pattern, upto, size, expected) in rows {
        assert_eq!(look(&window, cursor, pattern, upto, size), expected, "{cursor:?} {pattern} {upto} {size:?}");
    }
}

#[test]
fn whoever_passes_by_a_loss_is_told() {
    let window = window(100, Delivery::Durable);
    step(&window, at(0, 0), ALL);
    window.take((1..=5).map(event));
    window.lose(6, 8);
    window.fill(1, vec![event(9), event(10)], 10);
    assert_eq!(step(&window, at(1, 3), ALL), Some((vec![4, 5], at(1, 5))));
    assert_eq!(step(&window, at(1, 5), ALL), Some((vec![], at(1, 8))));
    assert_eq!(step(&window, at(1, 8), ALL), Some((vec![9, 10], at(1, 10))));
    assert_eq!(look(&window, at(1, 3), "a.>", 10, ALL), "[4, 5], on from 1/5");
    assert_eq!(look(&window, at(1, 6), "a.>", 10, ALL), "expired 7..8, on from 1/8");
}

#[test]
fn what_comes_before_it_is_known_where_the_stream_is_belongs_to_it() {
    let window = unbegun(100, Delivery::Durable);
    assert!(!window.take([event(4), event(5), event(7)]));
    window.begin(StreamState { first: 1, last: 4, ..StreamState::default() }, 4);
    assert_eq!((window.head(), window.floor(), window.hole()), (at(1, 5), 3, Some((6, 6))));
    window.set_ready();
    assert!(window.take([event(6)]), "nothing else has to come for it to go on");
    assert_eq!(window.head(), at(1, 7));
    // Where it begins anew, nobody knows of which of the two streams that was.
    window.take([event(9)]);
    window.begin(StreamState { epoch: 2, first: 1, last: 9, ..StreamState::default() }, 9);
    assert_eq!((window.head(), window.hole()), (at(2, 8), Some((9, 9))));
}

#[test]
fn a_stream_that_begins_anew_voids_what_was_known() {
    let window = window(100, Delivery::Durable);
    assert!(window.has_begun() && window.is_ready());
    window.take((1..=5).map(event));
    window.clear_ready();
    assert!(!window.has_begun() && step(&window, at(1, 5), ALL).is_none());
    assert!(!window.take([event(6)]), "nothing is handed out while it is not known what the stream is");
    window.begin(StreamState { epoch: 2, first: 1, last: 3, ..StreamState::default() }, 2);
    assert!(window.has_begun() && !window.is_ready());
    assert_eq!((window.generation(), window.floor(), window.hole()), (2, 1, Some((2, 3))));
    window.fill(2, vec![event(2), event(3)], 3);
    window.set_ready();
    assert_eq!(step(&window, at(1, 5), ALL), Some((vec![], at(2, 1))), "all that is in memory is new");
    assert_eq!(step(&window, at(2, 1), ALL), Some((vec![2, 3], at(2, 3))));
}

#[test]
fn doubt_is_raised_by_what_should_have_been_here_already() {
    let window = window(100, Delivery::Durable);
    assert!(window.take_stale() && !window.take_stale());
    window.take((1..=3).map(event));
    assert!(!window.take_stale());
    assert!(!window.take([event(3)]));
    assert!(window.take_stale());
    window.mark_stale();
    assert!(window.take_stale());
}

#[test]
fn who_looks_at_memory_is_told_whether_there_is_more_in_the_stream() {
    let window = window(100, Delivery::Latest);
    window.begin(StreamState { first: 1, last: 5, ..StreamState::default() }, 3);
    window.fill(2, (3..=5).map(event).collect(), 5);
    let view = |generation| {
        window.view(generation, |log, floor| (log.range(0, 9).map(|(seq, ..)| seq).collect::<Vec<_>>(), floor))
    };
    assert_eq!(view(2), Some((vec![4, 5], 2)));
    assert_eq!(view(1), None);
    for (first, floor) in [(2, 2), (3, 0)] {
        window.confirm(StreamState { first, last: 5, ..StreamState::default() });
        assert_eq!(view(2).map(|(_, floor)| floor), Some(floor), "the stream begins with {first}");
    }
}

/// A client that is ahead of this node is not asked meanwhile, and is told by whichever event
/// brings it.
#[tokio::test]
async fn who_waits_for_a_sequence_is_told_when_it_has_come_or_never_will() {
    let window = window(100, Delivery::Durable);
    let mut waits = Box::pin(window.until_come(1, 3));
    assert!(poll!(&mut waits).is_pending());
    window.take([event(1), event(3)]);
    assert!(poll!(&mut waits).is_pending(), "there is a hole before it");
    window.fill(1, vec![event(2)], 2);
    waits.await;
    window.until_come(1, 3).await;
    let mut waits = Box::pin(window.until_come(1, 4));
    assert!(poll!(&mut waits).is_pending());
    window.take([event(4)]);
    waits.await;
    let mut waits = Box::pin(window.until_come(1, 9));
    assert!(poll!(&mut waits).is_pending());
    window.begin(StreamState { epoch: 2, first: 1, ..StreamState::default() }, 1);
    waits.await;
    window.until_come(1, 9).await;
}

#[test]
fn what_the_stream_has_dropped_is_told_without_a_question_and_goes_from_memory() {
    for (delivery, expected) in [
        (Delivery::Durable, "expired 2..3, on from 1/3"),
        // Of values only those that are left matter.
        (Delivery::Latest, "[4, 5], on from 1/5"),
    ] {
        let window = window(100, delivery);
        window.take((1..=5).map(event));
        step(&window, at(1, 0), ALL);
        step(&window, at(1, 5), ALL);
        window.confirm(StreamState { first: 4, last: 5, messages: 2, ..StreamState::default() });
        assert_eq!((window.floor(), window.oldest_certain()), (3, Some(4)), "{delivery:?}");
        assert_eq!(look(&window, at(1, 1), "a.>", 9, ALL), expected, "{delivery:?}");
        assert_eq!(look(&window, at(1, 3), "a.>", 9, ALL), "[4, 5], on from 1/5");
    }
}

#[test]
fn a_rollup_makes_the_stream_be_asked_at_once() {
    let window = window(100, Delivery::Durable);
    assert!(window.take_stale());
    window.take([Stored { ends_older: true, ..event(1) }]);
    assert!(window.needs_check() && window.take_stale() && !window.needs_check());
}
