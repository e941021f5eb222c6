use proptest::{collection::vec, prelude::*};

use super::*;

fn at(seq: u64) -> Position {
    Position { stream: "S".into(), epoch: "1".into(), seq, ..Position::default() }
}

fn event(subject: &str, seq: u64) -> Event {
    Event { subject: subject.into(), stream: "S".into(), seq, ..Event::default() }
}

fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).expect("a pattern")
}

fn joined(seq: u64) -> Subscribed {
    Subscribed { positions: vec![at(seq)], ..Subscribed::default() }
}

fn gap(reason: &str, stream: &str, to_seq: u64) -> Gap {
    Gap { stream: stream.into(), reason: reason.into(), to_seq, ..Gap::default() }
}

/// `a.*`, live at sequence 5.
fn live() -> ResumableSubscription {
    let mut subscription = ResumableSubscription::new(pattern("a.*"));
    subscription.subscribed(&joined(5));
    subscription
}

#[test]
fn each_frame_moves_the_cursor_as_the_protocol_has_it() {
    type Happens = fn(&mut ResumableSubscription);
    let cases: [(&str, Happens, Vec<Position>); 12] = [
        (
            "a matching event",
            |s| {
                s.received(&event("a.x", 7));
            },
            vec![at(7)],
        ),
        (
            "another subject's event",
            |s| {
                s.received(&event("b.x", 7));
            },
            vec![at(5)],
        ),
        (
            "an event of before",
            |s| {
                s.received(&event("a.x", 4));
            },
            vec![at(5)],
        ),
        (
            "a replayed event",
            |s| {
                s.replayed(&event("a.x", 6));
            },
            vec![at(6)],
        ),
        ("a checkpoint", |s| s.checkpoint(&[at(9)]), vec![at(9)]),
        ("a checkpoint of before", |s| s.checkpoint(&[at(3)]), vec![at(5)]),
        (
            "a checkpoint of a stream that is not reached",
            |s| {
                s.checkpoint(&[Position { stream: "T".into(), ..at(9) }]);
            },
            vec![at(5)],
        ),
        ("a checkpoint of another epoch", |s| s.checkpoint(&[Position { epoch: "2".into(), ..at(9) }]), vec![at(5)]),
        ("expired events", |s| s.gap(&gap("expired", "S", 8)), vec![at(8)]),
        ("a replay that was too long", |s| s.gap(&gap("overflow", "S", 8)), vec![at(8)]),
        ("dropped live events", |s| s.gap(&gap("overflow", "", 0)), vec![at(5)]),
        ("a stream that was created again", |s| s.gap(&gap("reset", "S", 0)), Vec::new()),
    ];
    for (case, happens, positions) in cases {
        let mut subscription = live();
        happens(&mut subscription);
        assert_eq!(subscription.request().after, positions, "{case}");
    }
}

#[test]
fn an_event_is_new_a_duplicate_or_foreign() {
    let mut subscription = live();
    let cases = [
        ("a.x", 6, Relevance::New),
        ("a.x", 6, Relevance::Duplicate),
        ("a.y", 6, Relevance::Duplicate),
        ("a.y", 5, Relevance::Duplicate),
        ("b.x", 7, Relevance::Foreign),
        ("a.y", 9, Relevance::New),
    ];
    for (subject, seq, relevance) in cases {
        assert_eq!(subscription.received(&event(subject, seq)), relevance, "{subject} {seq}");
    }
    let unstored = Event { subject: "a.x".into(), ..Event::default() };
    assert_eq!([(); 2].map(|()| subscription.received(&unstored)), [Relevance::New; 2], "live events have no place");
}

#[test]
fn a_subscription_that_is_not_live_takes_only_its_own_replay() {
    let mut subscription = live();
    subscription.disconnected();
    assert_eq!(subscription.received(&event("a.x", 9)), Relevance::Foreign);
    subscription.checkpoint(&[at(20)]);
    assert_eq!(subscription.request().after, [at(5)]);
    assert_eq!(subscription.replayed(&event("a.x", 7)), Relevance::New);
    subscription.subscribed(&joined(10));
    assert_eq!(subscription.received(&event("a.x", 9)), Relevance::Duplicate);
    assert_eq!(subscription.received(&event("a.x", 11)), Relevance::New);
}

#[test]
fn a_first_replay_that_names_its_epoch_is_resumed_where_it_was_cut_off() {
    let replay =
        |epoch: &str, seq| Replay { events: vec![event("a.x", seq)], epoch: epoch.into(), ..Replay::default() };
    let mut subscription = ResumableSubscription::new(pattern("a.*"));
    for (epoch, seq) in [("1", 3), ("", 5)] {
        subscription.replay_named(&replay(epoch, seq));
        assert_eq!(subscription.replayed(&event("a.x", seq)), Relevance::New);
    }
    assert_eq!(subscription.request().after, [at(5)]);
    // The epoch of a cursor is changed by a reset alone, which names the new one.
    subscription.replay_named(&replay("2", 6));
    assert_eq!(subscription.request().after, [at(5)]);
    subscription.gap(&Gap { epoch: "2".into(), ..gap("reset", "S", 0) });
    assert_eq!(subscription.request().after, [Position { epoch: "2".into(), ..at(0) }]);
    subscription.replay_named(&Replay::default());
    assert_eq!(subscription.replayed(&event("a.x", 1)), Relevance::New);
}

#[test]
fn a_first_replay_without_an_epoch_has_one_only_once_it_is_joined() {
    let mut subscription = ResumableSubscription::with_snapshot(pattern("a.*"));
    assert_eq!(subscription.replayed(&event("a.x", 3)), Relevance::New);
    assert_eq!((subscription.request().after, subscription.request().snapshot), (Vec::new(), true));
    subscription.disconnected();
    assert_eq!(subscription.replayed(&event("a.x", 3)), Relevance::Duplicate, "the snapshot is sent once more");
    subscription.subscribed(&joined(4));
    assert_eq!((subscription.request().after, subscription.request().snapshot), (vec![at(4)], false));
}

#[test]
fn a_stream_that_was_created_again_is_taken_from_its_first_event() {
    let again = |seq| Position { epoch: "2".into(), ..at(seq) };
    let mut subscription = live();
    subscription.gap(&gap("reset", "S", 0));
    subscription.checkpoint(&[again(0)]);
    assert_eq!(subscription.received(&event("a.x", 1)), Relevance::New);
    assert_eq!(subscription.request().after, [again(1)]);

    let mut subscription = live();
    subscription.disconnected();
    subscription.gap(&gap("reset", "S", 0));
    assert_eq!(subscription.replayed(&event("a.x", 1)), Relevance::New);
    subscription.subscribed(&Subscribed { positions: vec![again(1)], ..Subscribed::default() });
    assert_eq!(subscription.request().after, [again(1)]);
}

#[test]
fn subscribed_names_the_streams_that_count_from_then_on() {
    let other = Position { stream: "T".into(), ..at(3) };
    let mut subscription = ResumableSubscription::after(pattern("a.*"), &[at(2), other]);
    assert_eq!(subscription.request().after.len(), 2);
    subscription.subscribed(&joined(4));
    assert_eq!((subscription.positions(), subscription.epoch("S")), (vec![at(4)], Some("1")));
    assert_eq!((subscription.reached("S"), subscription.reached("T")), (Some(4), None));
}

proptest! {
    /// A node that resumes where it is asked to, over connections that end at
    /// any event, and that repeats a few: each event counts once, in order.
    #[test]
    fn any_ends_of_connections_lose_nothing_and_double_nothing(
        connections in vec((0u64..12, 0u64..6, 0u64..4, any::<bool>()), 1..12),
    ) {
        let mut subscription = live();
        let mut counted = Vec::new();
        for (replayed, received, repeated, joins) in connections {
            subscription.disconnected();
            let after = subscription.request().after[0].seq;
            let replay = after.saturating_sub(repeated)..=after + replayed;
            for seq in replay.filter(|seq| *seq > 0) {
                if subscription.replayed(&event("a.x", seq)) == Relevance::New {
                    counted.push(seq);
                }
            }
            if joins {
                subscription.subscribed(&joined(after + replayed));
            }
            for seq in after + replayed + 1..=after + replayed + received {
                if subscription.received(&event("a.x", seq)) == Relevance::New {
                    counted.push(seq);
                }
            }
        }
        let reached = subscription.reached("S").unwrap_or_default();
        prop_assert_eq!(counted, (6..=reached).collect::<Vec<_>>());
    }
}
