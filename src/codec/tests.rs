//! Both encodings carry the same information.

use std::sync::Arc;

use bytes::Bytes;
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    event::{BatchMark, Gone, Place},
    proto::{
        BatchPlace, Cancel, Client, Connect, Envelope, Error, Event, Fetch, Fetched, Gap, Goaway, Limits, Ping, Pong,
        Position, Publish, Published, Refresh, Refreshed, Replay, Request, Response, Subscribe, Subscribed,
        Subscription, TokenExpiring, Unsubscribe, Unsubscribed, Welcome, client_frame::Body as ClientBody,
        server_frame::Body as ServerBody,
    },
    subject::Subject,
};

/// Sequences stay below 2^53, so that a JSON number holds them.
fn number() -> impl Strategy<Value = u64> {
    0..(1u64 << 53)
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-z.]{1,8}", any::<String>()]
}

fn data() -> impl Strategy<Value = Bytes> {
    // Raw line feeds in JSON become spaces, so they are left out here.
    prop_oneof![
        vec(any::<u8>(), 0..40).prop_filter("no line feeds", |data| !data.iter().any(|b| matches!(b, b'\n' | b'\r'))),
        Just(br#"{"qty":2,"price":1.50,"name":"\u00fc"}"#.to_vec()),
        Just(b"null".to_vec()),
        Just(b"\"\xff\"".to_vec()),
    ]
    // Space around JSON is not part of it.
    .prop_map(|data| Bytes::copy_from_slice(data.trim_ascii()))
}

fn gone() -> impl Strategy<Value = String> {
    prop_oneof![4 => Just(""), 1 => Just("expired"), 1 => Just("deleted"), 1 => Just("purged")].prop_map(Into::into)
}

prop_compose! {
    fn batch()(id in "[a-z]{1,8}", index in 1..1_000_u32, last in any::<bool>()) -> BatchPlace {
        BatchPlace { id, index, last }
    }
}

prop_compose! {
    fn event()(subject in text(), stream in text(), seq in number(), id in text(), time in number(), kind in text(),
        source in text(), content_type in prop_oneof![Just(String::new()), Just("application/json".into()), text()],
        headers in prop::collection::btree_map(text(), text(), 0..3), data in data(), gone in gone(),
        batch in prop::option::of(batch())) -> Event {
        Event { subject, stream, seq, id, time, r#type: kind, source, content_type, headers, data, gone, batch }
    }
}

prop_compose! {
    fn position()(stream in text(), epoch in text(), seq in number(), delivery in text()) -> Position {
        Position { stream, epoch, seq, delivery }
    }
}

fn positions() -> impl Strategy<Value = Vec<Position>> {
    vec(position(), 0..3)
}

fn client_body() -> impl Strategy<Value = ClientBody> {
    let subscription = (text(), positions(), any::<bool>(), number())
        .prop_map(|(subject, after, snapshot, id)| Subscription { subject, after, snapshot, id });
    prop_oneof![
        (text(), prop::option::of((text(), text())), vec(subscription, 0..3), positions(), text()).prop_map(
            |(token, client, subscriptions, after, replaces)| {
                let client = client.map(|(name, version)| Client { name, version });
                ClientBody::Connect(Connect { token, client, subscriptions, after, replaces })
            }
        ),
        (text(), positions(), any::<bool>()).prop_map(|(subject, after, snapshot)| ClientBody::Subscribe(Subscribe {
            subject,
            after,
            snapshot
        })),
        text().prop_map(|subject| ClientBody::Unsubscribe(Unsubscribe { subject })),
        (text(), prop::option::of(event()))
            .prop_map(|(subject, event)| ClientBody::Publish(Publish { subject, event })),
        (text(), prop::option::of(event()), number())
            .prop_map(|(subject, event, timeout_ms)| ClientBody::Request(Request { subject, event, timeout_ms })),
        (text(), positions(), any::<bool>(), any::<u32>())
            .prop_map(|(subject, after, last, limit)| ClientBody::Fetch(Fetch { subject, after, last, limit })),
        text().prop_map(|token| ClientBody::Refresh(Refresh { token })),
        Just(ClientBody::Pong(Pong::default())),
        Just(ClientBody::Ping(Ping::default())),
        number().prop_map(|id| ClientBody::Cancel(Cancel { id })),
    ]
}

fn server_body() -> impl Strategy<Value = ServerBody> {
    let limits = (number(), number(), number()).prop_map(|(message_bytes, subscriptions, frames_burst)| Limits {
        message_bytes,
        subscriptions,
        frames_burst,
        ..Limits::default()
    });
    prop_oneof![
        event().prop_map(ServerBody::Event),
        (text(), text(), text(), number(), prop::option::of(limits), number(), text()).prop_map(
            |(connection, node, user, heartbeat_ms, limits, server_time, issuer)| ServerBody::Welcome(Welcome {
                connection,
                node,
                user,
                heartbeat_ms,
                limits,
                server_time,
                token_expires_at: heartbeat_ms,
                broker: issuer.clone(),
                version: issuer.clone(),
                features: vec![issuer.clone()],
                issuer,
            })
        ),
        (text(), text(), positions(), any::<bool>()).prop_map(|(subject, delivery, positions, recovered)| {
            ServerBody::Subscribed(Subscribed { subject, delivery, positions, recovered })
        }),
        (text(), text()).prop_map(|(subject, reason)| ServerBody::Unsubscribed(Unsubscribed { subject, reason })),
        (text(), vec(event(), 0..3), any::<bool>(), text()).prop_map(|(subject, events, snapshot, epoch)| {
            ServerBody::Replay(Replay { subject, events, snapshot, epoch, ..Replay::default() })
        }),
        (text(), text(), text())
            .prop_map(|(subject, epoch, stream)| ServerBody::Replay(complete(&subject, &epoch, &stream))),
        (text(), text(), number(), number(), text(), text()).prop_map(
            |(subject, stream, from_seq, to_seq, reason, epoch)| {
                ServerBody::Gap(Gap { subject, stream, from_seq, to_seq, reason, epoch })
            }
        ),
        (positions(), text(), number(), text()).prop_map(|(positions, broker, time, cursor)| ServerBody::Ping(Ping {
            positions,
            broker,
            time,
            cursor
        })),
        number().prop_map(|time| ServerBody::Pong(Pong { time })),
        (number(), number(), text()).prop_map(|(reconnect_after_ms, window_ms, reason)| {
            ServerBody::Goaway(Goaway { reconnect_after_ms, window_ms, reason })
        }),
        (text(), number(), any::<bool>()).prop_map(|(stream, seq, duplicate)| ServerBody::Published(Published {
            stream,
            seq,
            duplicate
        })),
        prop::option::of(event()).prop_map(|event| ServerBody::Response(Response { event })),
        (vec(event(), 0..3), positions(), any::<bool>(), vec(number(), 0..2)).prop_map(
            |(events, positions, more, lost)| {
                let gap = |from_seq| Gap { from_seq, to_seq: from_seq, ..Gap::default() };
                let gaps = lost.into_iter().map(gap).collect();
                ServerBody::Fetched(Fetched { events, positions, more, gaps })
            }
        ),
        number().prop_map(|expires_at| ServerBody::Refreshed(Refreshed { expires_at })),
        number().prop_map(|in_ms| ServerBody::TokenExpiring(TokenExpiring { in_ms })),
        (text(), text(), any::<bool>(), text(), text(), number()).prop_map(
            |(code, message, retryable, subject, service_code, retry_after_ms)| {
                ServerBody::Error(Error { code, message, retryable, subject, service_code, retry_after_ms })
            }
        ),
    ]
}

prop_compose! {
    fn client_frame()(id in number(), body in client_body()) -> ClientFrame {
        ClientFrame { id, body: Some(body) }
    }
}

prop_compose! {
    fn server_frame()(reply_to in number(), body in server_body()) -> ServerFrame {
        ServerFrame { reply_to, body: Some(body) }
    }
}

proptest! {
    #[test]
    fn client_frames_come_back_from_both_encodings(frames in vec(client_frame(), 1..5)) {
        for encoding in Encoding::OFFERED {
            let mut message = Vec::new();
            frames.iter().for_each(|frame| encoding.write_client(frame, &mut message));
            let read = encoding.read_client(&message).expect("we wrote it");
            let read: Vec<ClientFrame> = read.into_iter().collect::<Result<_, _>>().expect("nothing is out of place");
            prop_assert_eq!(&read, &frames, "{:?}: {}", encoding, String::from_utf8_lossy(&message));
        }
    }

    #[test]
    fn server_frames_come_back_from_both_encodings_however_they_are_joined(frames in vec(server_frame(), 1..5)) {
        for encoding in Encoding::OFFERED {
            let bodies: Vec<Bytes> = frames.iter().map(|frame| encoding.frame(frame).body()).collect();
            let message = bodies.join(encoding.framing().separator());
            let read = encoding.read_server(&message).expect("we wrote it");
            prop_assert_eq!(&read, &frames, "{:?}: {}", encoding, String::from_utf8_lossy(&message));
        }
    }

    #[test]
    fn the_hot_path_writes_the_same_frames_as_the_contract(
        mut event in event(),
        mut more in event(),
        place in prop::option::of((1..1_u64 << 53, "[A-Z]{1,8}")),
        snapshot in any::<bool>(),
        (reply_to, epoch) in (prop_oneof![Just(0), number()], text()),
    ) {
        (event.subject, more.subject) = ("shop.cart.u42".into(), "shop.cart.u43".into());
        for (event, place) in [&mut event, &mut more].into_iter().zip([place, None]) {
            (event.seq, event.stream) = place.unwrap_or_default();
        }
        let messages: Vec<Arc<Message>> = [&event, &more].map(|event| Arc::new(message(event))).into();
        let events = [event, more];
        let replay = Replay {
            subject: "shop.>".into(),
            // Of newest values nobody is told which were published together.
            events: events.clone().map(|event| Event { batch: event.batch.filter(|_| !snapshot), ..event }).into(),
            snapshot,
            epoch: epoch.clone(),
            ..Replay::default()
        };
        let replay = [ServerFrame { reply_to, body: Some(ServerBody::Replay(replay)) }];
        let replay_of = ReplayOf { reply_to, subject: "shop.>", snapshot, epoch: &epoch };
        let expected = events.map(|event| ServerFrame { reply_to: 0, body: Some(ServerBody::Event(event)) });
        for encoding in Encoding::OFFERED {
            let read = |message: &EncodedMessage| encoding.read_server(&message.body()).expect("we wrote it");
            let live = encoding.events(&messages);
            prop_assert_eq!(live.events(), 2);
            prop_assert_eq!(&read(&live)[..], &expected);
            let replayed = encoding.replay(&replay_of, &messages, |_, _| {});
            prop_assert_eq!(&read(&replayed)[..], &replay);
            if encoding == Encoding::Proto {
                // To the letter: readers that want the canonical form of a message get it.
                prop_assert_eq!(replayed.body(), encoding.frame(&replay[0]).body());
            }
        }
        // To the same fields, whose order is free.
        let lines = |body: Bytes| -> Vec<serde_json::Value> {
            body.split(|byte| *byte == b'\n').map(|line| serde_json::from_slice(line).expect("one object")).collect()
        };
        let written = expected.iter().flat_map(|frame| lines(Encoding::Json.frame(frame).body()));
        prop_assert_eq!(lines(Encoding::Json.events(&messages).body()), written.collect::<Vec<_>>());
    }

    #[test]
    fn garbage_is_refused_without_a_panic(bytes in vec(any::<u8>(), 0..200), line in ".{0,200}") {
        for encoding in Encoding::OFFERED {
            let _ = encoding.read_client(&bytes);
            let _ = encoding.read_client(line.as_bytes());
            let _ = encoding.read_server(&bytes);
        }
    }
}

/// A snapshot that has been told, as a frame like any other.
fn complete(subject: &str, epoch: &str, stream: &str) -> Replay {
    let (subject, epoch, stream) = (subject.into(), epoch.into(), stream.into());
    Replay { subject, epoch, stream, snapshot: true, complete: true, events: Vec::new() }
}

#[test]
fn a_snapshot_that_has_been_told_is_a_replay_without_events() {
    let of = |reply_to, epoch| ReplayOf { reply_to, subject: "price.*", snapshot: true, epoch };
    for encoding in Encoding::OFFERED {
        for (reply_to, epoch) in [(0, ""), (7, "17")] {
            let message = encoding.complete(&of(reply_to, epoch), "PRICES");
            let body = Some(ServerBody::Replay(complete("price.*", epoch, "PRICES")));
            assert_eq!(encoding.read_server(&message.body()).expect("a frame"), [ServerFrame { reply_to, body }]);
        }
    }
    // Clients that know of no such frames find the list that they look for.
    let text = String::from_utf8(Encoding::Json.complete(&of(0, ""), "S").body().to_vec()).expect("text");
    assert!(text.contains("\"events\":[]"), "{text}");
}

fn message(event: &Event) -> Message {
    let envelope = Envelope {
        id: event.id.clone(),
        time: event.time,
        r#type: event.r#type.clone(),
        source: event.source.clone(),
        content_type: event.content_type.clone(),
        headers: event.headers.clone(),
        data: event.data.clone(),
    };
    let place = (event.seq != 0).then(|| Place { stream: event.stream.as_str().into(), seq: event.seq });
    let gone = [Gone::Expired, Gone::Deleted, Gone::Purged].into_iter().find(|gone| gone.label() == event.gone);
    let batch = event.batch.as_ref().map(|place| {
        let (id, index) = (place.id.as_str().into(), place.index);
        Box::new(BatchMark { id, index, commits: place.last, parted: !place.last })
    });
    Message { place, gone, batch, ..Message::new(Subject::parse(&event.subject).expect("a subject"), envelope) }
}

#[test]
fn unknown_frames_and_fields_are_passed_over() {
    let read = Encoding::Json.read_client(br#"{"id":7,"levitate":{"height":[1,{"a":2}]}}"#).expect("a frame");
    assert_eq!(read, [Ok(ClientFrame { id: 7, body: None })]);
    let read = Encoding::Json.read_client(br#"{"subscribe":{"subject":"a","colour":"red"}}"#).expect("a frame");
    let subscribe = ClientBody::Subscribe(Subscribe { subject: "a".into(), ..Default::default() });
    assert_eq!(read, [Ok(ClientFrame { id: 0, body: Some(subscribe) })]);
    // Field 99 of a frame, a string.
    let read = Encoding::Proto.read_client(b"\x0a\x07\x08\x07\x9a\x06\x02hi").expect("a batch");
    assert_eq!(read, [Ok(ClientFrame { id: 7, body: None })]);
}

#[test]
fn what_is_no_frame_is_named() {
    let rows: &[(&[u8], &str)] = &[
        (b"hello", "line 1"),
        (b"{\"pong\":{}}\n{\"id\":", "line 2"),
        (b"[]", "a frame: one JSON object on one line"),
        (b"\xff", "line 1"),
    ];
    for (message, part) in rows {
        let error = Encoding::Json.read_client(message).expect_err("no frame").to_string();
        assert!(error.contains(part), "{error}");
    }
    assert!(Encoding::Proto.read_client(b"\x0a\xff\xff\xff\xff\x0f").is_err());
}

#[test]
fn a_frame_with_a_fault_leaves_the_others_of_its_message_alone() {
    let rows: &[(&str, &str)] = &[
        (r#"{"id":-1}"#, "`id`"),
        (r#"{"pong":{},"connect":{}}"#, "one body"),
        (r#"{"subscribe":{"subject":1}}"#, "expected a string"),
        (r#"{"publish":{"subject":"a","event":{"data":1,"dataBase64":"AA=="}}}"#, "send one"),
        (r#"{"publish":{"subject":"a","event":{"dataBase64":"?"}}}"#, "not base64"),
    ];
    for (line, part) in rows {
        let message = format!("{line}\n{{\"id\":7,\"pong\":{{}}}}");
        let read = Encoding::Json.read_client(message.as_bytes()).expect("frames");
        let [Err(invalid), Ok(ClientFrame { id: 7, .. })] = &read[..] else { panic!("{read:?}") };
        assert!(invalid.to_string().contains(part), "{invalid}");
    }
}
