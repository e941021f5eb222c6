//! What no WebSocket library would send: broken, endless, half and hostile
//! frames. Each is answered with its close code, costs only its own
//! connection, and is counted.

use std::time::{Duration, Instant};

use notifier::config::Size;
use serde_json::{Value, json};

use super::{
    handshake::raw::{Frame, Neighbour, Raw},
    world::{TestNode, soon},
};

/// A close code and its name, which is the frame's reason and the metric's label.
pub type End = (u16, &'static str);

const NORMAL: End = (1000, "normal");
pub const PROTOCOL_ERROR: End = (1002, "protocol_error");
const WRONG_KIND: End = (1003, "wrong_kind");
const INVALID_UTF8: End = (1007, "invalid_utf8");
pub const TOO_BIG: End = (4011, "message_too_big");
const PING_TIMEOUT: End = (4003, "ping_timeout");
pub const RATE_LIMITED: End = (4004, "rate_limited");
pub const CONNECT_TIMEOUT: End = (4005, "connect_timeout");
pub const MESSAGE_TIMEOUT: End = (4006, "message_timeout");

pub const JSON: &str = "notifier.v1.json";
pub const PROTO: &str = "notifier.v1.proto";

/// `ClientBatch { frames: [ClientFrame { connect: Connect {} }] }`
pub const PROTO_CONNECT: [u8; 4] = [0x0a, 0x02, 0x12, 0x00];

pub const FIN: u8 = 0x80;
pub const CONTINUATION: u8 = 0;
pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
const CLOSE: u8 = 8;
pub const PING: u8 = 9;
const PONG: u8 = 10;

/// Short, for what is expected to run out; long enough for a busy machine.
const SHORT: Duration = Duration::from_millis(300);

/// A client's frame: the first byte as given, masked, the length in its shortest form.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = match payload.len() {
        length @ 0..=125 => vec![first, 0x80 | length as u8],
        length @ 126..=0xffff => [&[first, 0xfe][..], &(length as u16).to_be_bytes()].concat(),
        length => [&[first, 0xff][..], &(length as u64).to_be_bytes()].concat(),
    };
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    bytes.extend(mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

/// A frame of the protocol as one text message.
pub fn text(frame_of_protocol: &Value) -> Vec<u8> {
    frame(FIN | TEXT, frame_of_protocol.to_string().as_bytes())
}

/// The head of a masked frame that declares a 64-bit length.
fn declaring(first: u8, length: u64) -> Vec<u8> {
    [&[first, 0xff][..], &length.to_be_bytes(), &[1, 2, 3, 4]].concat()
}

/// A Close with a code and a reason.
fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(FIN | CLOSE, &[&code.to_be_bytes(), reason].concat())
}

/// Connected and welcomed.
pub async fn connected(node: &TestNode, subprotocol: &str) -> Raw {
    let mut raw = Raw::upgraded(node.address, subprotocol).await;
    let connect = match subprotocol {
        JSON => text(&json!({"connect": {}})),
        _ => frame(FIN | BINARY, &PROTO_CONNECT),
    };
    raw.send(&connect).await.expect("the node reads");
    let welcome = raw.frame().await.expect("a frame");
    assert_eq!(welcome.opcode, if subprotocol == JSON { TEXT } else { BINARY });
    raw
}

/// The frames up to the end of the stream.
pub async fn frames(raw: &mut Raw) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let Some(frame) = raw.frame().await {
        frames.push(frame);
    }
    frames
}

/// Reads to the end of the stream. The last frame has to be a Close; returns
/// its payload.
pub async fn close_payload(raw: &mut Raw) -> Vec<u8> {
    let mut frames = frames(raw).await;
    let last = frames.pop().expect("a frame before the end");
    assert_eq!(last.opcode, Frame::CLOSE, "{last:?} after {frames:?}");
    assert!(frames.iter().all(|frame| frame.opcode != Frame::CLOSE), "two Closes: {frames:?}");
    last.payload
}

pub fn payload((code, name): End) -> Vec<u8> {
    [&code.to_be_bytes(), name.as_bytes()].concat()
}

pub fn series((_, name): End) -> String {
    format!("notifier_connections_closed_total{{reason=\"{name}\"}}")
}

/// Something a client does, and the Close that it gets for it.
struct Row {
    name: String,
    subprotocol: &'static str,
    bytes: Vec<u8>,
    end: End,
}

fn row(name: impl Into<String>, end: End, bytes: impl Into<Vec<u8>>) -> Row {
    Row { name: name.into(), subprotocol: JSON, bytes: bytes.into(), end }
}

/// Does it on a connection of its own, once in one write and once byte by byte.
async fn check(node: &TestNode, rows: &[Row]) {
    let mut neighbour = Neighbour::of(node).await;
    for Row { name, subprotocol, bytes, end } in rows {
        for piece in [bytes.len(), 1] {
            if bytes.len() / piece > 1_000 {
                continue;
            }
            let before = node.metric(&series(*end)).await;
            let mut raw = connected(node, subprotocol).await;
            for piece in bytes.chunks(piece) {
                raw.send(piece).await.unwrap_or_else(|error| panic!("{name}: the node does not listen: {error}"));
            }
            assert_eq!(close_payload(&mut raw).await, payload(*end), "{name}");
            drop(raw);
            node.until_metric(&series(*end), |count| count == before + 1.0).await;
            neighbour.is_served_by(node).await;
        }
    }
    node.until_metric("notifier_connections", |count| count == 1.0).await;
}

#[tokio::test]
async fn a_frame_that_breaks_the_rfc_is_answered_with_1002() {
    let hello = b"{\"id\":1}";
    let mut rows = vec![
        row("unmasked text", PROTOCOL_ERROR, [&[FIN | TEXT, hello.len() as u8][..], hello].concat()),
        row("unmasked ping", PROTOCOL_ERROR, [FIN | PING, 0]),
        row("unmasked Close", PROTOCOL_ERROR, [FIN | CLOSE, 0]),
        row("a continuation of nothing", PROTOCOL_ERROR, frame(FIN | CONTINUATION, hello)),
        row("a fragment of nothing", PROTOCOL_ERROR, frame(CONTINUATION, hello)),
        row(
            "a continuation after the last fragment",
            PROTOCOL_ERROR,
            [frame(TEXT, b"{\"id\""), frame(FIN | CONTINUATION, b":1}"), frame(FIN | CONTINUATION, b"")].concat(),
        ),
        row(
            "a message inside a fragmented message",
            PROTOCOL_ERROR,
            [frame(TEXT, hello), frame(FIN | TEXT, hello)].concat(),
        ),
        row(
            "a binary fragment inside a fragmented text",
            PROTOCOL_ERROR,
            [frame(TEXT, hello), frame(BINARY, hello)].concat(),
        ),
        row("a 16-bit length below 126", PROTOCOL_ERROR, [FIN | TEXT, 0xfe, 0, 125, 1, 2, 3, 4]),
        row("a 16-bit length of 0", PROTOCOL_ERROR, [FIN | TEXT, 0xfe, 0, 0, 1, 2, 3, 4]),
        row("a 64-bit length below 126", PROTOCOL_ERROR, declaring(FIN | TEXT, 8)),
        row("a 64-bit length below 65536", PROTOCOL_ERROR, declaring(FIN | TEXT, 0xffff)),
        row("a length of 2^63", PROTOCOL_ERROR, declaring(FIN | TEXT, 1 << 63)),
        row("a length of 2^64 - 1", PROTOCOL_ERROR, declaring(FIN | TEXT, u64::MAX)),
        row("a Close with half a code", PROTOCOL_ERROR, frame(FIN | CLOSE, &[3])),
    ];
    for bit in [0x40, 0x20, 0x10] {
        rows.push(row(format!("reserved bit {bit:#x} of a text"), PROTOCOL_ERROR, frame(FIN | bit | TEXT, hello)));
        rows.push(row(format!("reserved bit {bit:#x} of a ping"), PROTOCOL_ERROR, frame(FIN | bit | PING, b"")));
    }
    for opcode in (3..=7).chain(11..=15) {
        rows.push(row(format!("reserved opcode {opcode}"), PROTOCOL_ERROR, frame(FIN | opcode, hello)));
    }
    for (name, opcode) in [("ping", PING), ("pong", PONG), ("Close", CLOSE)] {
        // A long Close begins with a code that would be good.
        let long = [&1000u16.to_be_bytes()[..], &[b'x'; 124]].concat();
        rows.push(row(format!("{name} of 126 bytes"), PROTOCOL_ERROR, frame(FIN | opcode, &long)));
        rows.push(row(format!("{name} in fragments"), PROTOCOL_ERROR, frame(opcode, b"")));
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535] {
        rows.push(row(format!("a Close with {code}"), PROTOCOL_ERROR, close(code, b"")));
    }
    check(&TestNode::memory().await, &rows).await;
}

#[tokio::test]
async fn text_that_is_not_utf8_is_answered_with_1007() {
    let unfinished = declaring(FIN | TEXT, 0x1_0000);
    // Unmasked by a mask of zeros: what is declared above need not come.
    let unfinished = [&unfinished[..unfinished.len() - 4], &[0; 4], b"{\xff"].concat();
    let rows = [
        row("a byte that no text has", INVALID_UTF8, frame(FIN | TEXT, b"{\"id\":\"\xff\"}")),
        row("an overlong form", INVALID_UTF8, frame(FIN | TEXT, b"\xc0\x80")),
        row("a surrogate", INVALID_UTF8, frame(FIN | TEXT, b"\xed\xa0\x80")),
        row("above U+10FFFF", INVALID_UTF8, frame(FIN | TEXT, b"\xf4\x90\x80\x80")),
        row("chopped inside a character", INVALID_UTF8, frame(FIN | TEXT, b"{}\xe2\x82")),
        row(
            "a character that goes on wrong in the next fragment",
            INVALID_UTF8,
            [frame(TEXT, b"{}\xe2\x82"), frame(FIN | CONTINUATION, b"{}")].concat(),
        ),
        row(
            "fragments, chopped inside a character",
            INVALID_UTF8,
            [frame(TEXT, b"{}"), frame(FIN | CONTINUATION, b"\xe2\x82")].concat(),
        ),
        row("a fragment that is wrong already, the rest still to come", INVALID_UTF8, frame(TEXT, b"{\xff")),
        row("a frame that is wrong already, the rest still to come", INVALID_UTF8, unfinished),
        row("a Close whose reason is not UTF-8", INVALID_UTF8, close(1000, b"bye\xff")),
        row("a Close whose reason is chopped", INVALID_UTF8, close(1000, b"bye\xe2\x82")),
    ];
    check(&TestNode::memory().await, &rows).await;
}

#[tokio::test]
async fn a_character_may_be_split_between_fragments() {
    let node = TestNode::memory().await;
    let connect = json!({"id": 3, "connect": {"client": {"name": "Zoë €"}}}).to_string().into_bytes();
    for cut in 1..connect.len() {
        let mut raw = Raw::upgraded(node.address, JSON).await;
        let (first, rest) = connect.split_at(cut);
        let bytes = [frame(TEXT, first), frame(FIN | PING, b"?"), frame(FIN | CONTINUATION, rest)].concat();
        raw.send(&bytes).await.expect("the node reads");
        // RFC 6455 5.4: a control frame may stand between, and is answered at once.
        assert_eq!(raw.frame().await, Some(Frame { opcode: Frame::PONG, payload: b"?".to_vec() }));
        assert_eq!(raw.frame().await.expect("a frame").lines()[0]["replyTo"], 3);
    }
}

#[tokio::test]
async fn a_message_of_the_other_kind_is_answered_with_1003() {
    let rows = [
        row("binary on JSON", WRONG_KIND, frame(FIN | BINARY, b"{\"id\":1}")),
        row("empty binary on JSON", WRONG_KIND, frame(FIN | BINARY, b"")),
        Row { subprotocol: PROTO, ..row("text on protobuf", WRONG_KIND, frame(FIN | TEXT, &PROTO_CONNECT)) },
        Row {
            subprotocol: PROTO,
            ..row("text in fragments", WRONG_KIND, [frame(TEXT, b""), frame(FIN | CONTINUATION, b"")].concat())
        },
    ];
    check(&TestNode::memory().await, &rows).await;
}

#[tokio::test]
async fn a_message_over_the_limit_is_answered_with_4011_before_it_is_taken() {
    let limit = 1024;
    let node = TestNode::with(|config| config.limits.message_bytes = Size::kib(1)).await;
    let spaces = vec![b' '; limit];
    let rows = [
        row("one byte too many", TOO_BIG, frame(FIN | TEXT, &[b' '; 1025])),
        row(
            "one byte too many in fragments",
            TOO_BIG,
            [frame(TEXT, &spaces), frame(FIN | CONTINUATION, b" ")].concat(),
        ),
        // Answered from the head alone: the payload never comes.
        row("64 MiB declared", TOO_BIG, declaring(FIN | TEXT, 64 << 20)),
        row("2^62 declared", TOO_BIG, declaring(FIN | TEXT, 1 << 62)),
        row(
            "2^62 declared in a later fragment",
            TOO_BIG,
            [frame(TEXT, b" "), declaring(CONTINUATION, 1 << 62)].concat(),
        ),
    ];
    check(&node, &rows).await;
    // The limit itself is allowed, whole and in fragments.
    let mut raw = connected(&node, JSON).await;
    let (some, rest) = spaces.split_at(500);
    let last = text(&json!({"id": 7, "subscribe": {"subject": "a"}}));
    let bytes = [frame(FIN | TEXT, &spaces), frame(TEXT, some), frame(FIN | CONTINUATION, rest), last].concat();
    raw.send(&bytes).await.expect("the node reads");
    assert_eq!(raw.frame().await.expect("a frame").lines()[0]["replyTo"], 7);
}

#[tokio::test]
async fn a_flood_of_whatever_kind_is_answered_with_4004() {
    let flood = |first: Vec<u8>, again: Vec<u8>| [first, again.repeat(3_000)].concat();
    let rows = [
        row("pings", RATE_LIMITED, flood(vec![], frame(FIN | PING, b""))),
        row("long pings", RATE_LIMITED, flood(vec![], frame(FIN | PING, &[b'x'; 125]))),
        row("pongs nobody asked for", RATE_LIMITED, flood(vec![], frame(FIN | PONG, b""))),
        row("empty fragments", RATE_LIMITED, flood(frame(TEXT, b""), frame(CONTINUATION, b""))),
        row("fragments of one byte", RATE_LIMITED, flood(frame(TEXT, b" "), frame(CONTINUATION, b" "))),
        row("empty messages", RATE_LIMITED, flood(vec![], frame(FIN | TEXT, b""))),
        row("frames of the protocol", RATE_LIMITED, flood(vec![], text(&json!({"pong": {}})))),
        row(
            "frames of the protocol in one message",
            RATE_LIMITED,
            frame(FIN | TEXT, "{\"pong\":{}}\n".repeat(3_000).as_bytes()),
        ),
        Row { subprotocol: PROTO, ..row("empty batches", RATE_LIMITED, flood(vec![], frame(FIN | BINARY, b""))) },
    ];
    check(&TestNode::memory().await, &rows).await;
}

#[tokio::test]
async fn every_ping_of_a_burst_within_the_limit_is_answered_in_order() {
    let node = TestNode::memory().await;
    let mut raw = connected(&node, JSON).await;
    let pings: Vec<u8> = (0..900u16).flat_map(|number| frame(FIN | PING, &number.to_be_bytes())).collect();
    raw.send(&pings).await.expect("the node reads");
    for number in 0..900u16 {
        assert_eq!(raw.frame().await, Some(Frame { opcode: Frame::PONG, payload: number.to_be_bytes().to_vec() }));
    }
}

#[tokio::test]
async fn a_valid_close_is_answered_with_its_own_code() {
    let node = TestNode::memory().await;
    let mut neighbour = Neighbour::of(&node).await;
    let codes = (1000..=1003).chain(1007..=1014).chain([3000, 3999, 4000, 4999]);
    let closes = codes.map(|code| (close(code, "tschüß".as_bytes()), code.to_be_bytes().to_vec()));
    let longest = (close(1000, &[b'x'; 123]), 1000u16.to_be_bytes().to_vec());
    for (sent, expected) in closes.chain([(frame(FIN | CLOSE, b""), vec![]), longest]) {
        let before = node.metric(&series(NORMAL)).await;
        let mut raw = connected(&node, JSON).await;
        // What follows a Close is not looked at, however wrong it is.
        raw.send(&[sent, text(&json!({"id": 1, "subscribe": {"subject": "a"}})), vec![0xff; 100]].concat())
            .await
            .expect("the node reads");
        assert_eq!(frames(&mut raw).await, [Frame { opcode: Frame::CLOSE, payload: expected }]);
        drop(raw);
        node.until_metric(&series(NORMAL), |count| count == before + 1.0).await;
        neighbour.is_served_by(&node).await;
    }
}

#[tokio::test]
async fn what_was_sent_before_a_close_is_done() {
    let node = TestNode::memory().await;
    let mut neighbour = Neighbour::of(&node).await;
    let publish = json!({"id": 2, "publish": {"subject": Neighbour::SUBJECT, "event": {"data": "last words"}}});
    // In one write, as a page does that leaves; with and without its connect.
    for connected_before in [true, false] {
        let mut raw = Raw::upgraded(node.address, JSON).await;
        let connect = text(&json!({"id": 1, "connect": {}}));
        let parting = [text(&publish), close(1000, b"")].concat();
        if connected_before {
            raw.send(&connect).await.expect("the node reads");
            raw.frame().await.expect("a welcome");
            raw.send(&parting).await.expect("the node reads");
        } else {
            raw.send(&[connect, parting].concat()).await.expect("the node reads");
        }
        assert_eq!(close_payload(&mut raw).await, 1000u16.to_be_bytes());
        neighbour.hears(json!("last words")).await;
    }
}

#[tokio::test]
async fn nothing_is_answered_after_our_close() {
    let node = TestNode::memory().await;
    let mut raw = connected(&node, JSON).await;
    raw.send(&frame(FIN | PING | 0x40, b"")).await.expect("the node reads");
    let close = raw.frame().await.expect("a frame");
    assert_eq!(close, Frame { opcode: Frame::CLOSE, payload: payload(PROTOCOL_ERROR) });
    raw.send(&[frame(FIN | PING, b"?"), text(&json!({"id": 1, "subscribe": {"subject": "a"}}))].concat())
        .await
        .expect("the node still reads");
    assert_eq!(raw.frame().await, None);
}

#[tokio::test]
async fn a_half_closed_connection_is_ended_after_what_it_said_is_done() {
    let node = TestNode::memory().await;
    let mut neighbour = Neighbour::of(&node).await;
    let publish = json!({"publish": {"subject": Neighbour::SUBJECT, "event": {"data": "last words"}}});
    let lost = (1006, "lost");
    for (name, tail) in [
        ("between messages", vec![]),
        ("inside a head", vec![FIN | TEXT]),
        ("inside a payload", frame(FIN | TEXT, b"abc")[..7].to_vec()),
        ("inside a fragmented message", frame(TEXT, b"abc")),
    ] {
        let before = node.metric(&series(lost)).await;
        let mut raw = connected(&node, JSON).await;
        raw.send(&[text(&publish), tail].concat()).await.expect("the node reads");
        raw.finish().await;
        // There is no Close: whoever stops without one is not there to read ours.
        assert_eq!(frames(&mut raw).await, [], "{name}");
        node.until_metric(&series(lost), |count| count == before + 1.0).await;
        neighbour.hears(json!("last words")).await;
        neighbour.is_served_by(&node).await;
    }
}

#[tokio::test]
async fn frames_that_arrive_byte_by_byte_are_understood() {
    let node = TestNode::memory().await;
    let mut raw = connected(&node, JSON).await;
    // A 16-bit length, so that the head is cut inside it as well.
    let subject = "a".repeat(150);
    let bytes = [frame(FIN | PING, b"?"), text(&json!({"id": 1, "subscribe": {"subject": subject}}))].concat();
    let received = "notifier_received_bytes_total";
    for byte in bytes {
        let before = node.metric(received).await;
        raw.send(&[byte]).await.expect("the node reads");
        node.until_metric(received, |count| count == before + 1.0).await;
    }
    assert_eq!(raw.frame().await.expect("a frame").opcode, Frame::PONG);
    assert_eq!(raw.frame().await.expect("a frame").lines()[0]["subscribed"]["subject"], subject);
}

/// Sends the bytes over and over, a part of `SHORT` apart, until the node ends
/// the connection; returns the payload of its Close and how long it took.
async fn drip(raw: &mut Raw, bytes: &[u8]) -> (Vec<u8>, Duration) {
    let start = Instant::now();
    let mut turns = tokio::time::interval(SHORT / 10);
    let dripped = async {
        loop {
            tokio::select! {
                _ = turns.tick() => raw.send(bytes).await.expect("the node reads"),
                frame = raw.frame() => match frame {
                    Some(Frame { opcode: Frame::CLOSE, payload }) => return payload,
                    Some(_) => {}
                    None => panic!("an end without a Close"),
                }
            }
        }
    };
    (soon("the end of what drips", dripped).await, start.elapsed())
}

#[tokio::test]
async fn a_message_that_is_not_finished_in_time_is_answered_with_4006() {
    let node = TestNode::with(|config| config.limits.message_time = SHORT.into()).await;
    let mut neighbour = Neighbour::of(&node).await;
    let declared = [FIN | TEXT, 0xfe, 0xff, 0xff, 0, 0, 0, 0];
    let rows: [(&str, Vec<u8>, Vec<u8>); 6] = [
        ("half a head, then nothing", vec![FIN | TEXT], vec![]),
        ("a head, then nothing of 65535 bytes", declared.to_vec(), vec![]),
        ("a ping that is never finished", frame(FIN | PING, b"abc")[..7].to_vec(), vec![]),
        ("a byte now and then", declared.to_vec(), b" ".to_vec()),
        ("a fragment now and then", frame(TEXT, b" "), frame(CONTINUATION, b" ")),
        ("pings between fragments", frame(TEXT, b" "), frame(FIN | PING, b"")),
    ];
    for (name, first, again) in rows {
        let before = node.metric(&series(MESSAGE_TIMEOUT)).await;
        let mut raw = connected(&node, JSON).await;
        raw.send(&first).await.expect("the node reads");
        let (close, after) = drip(&mut raw, &again).await;
        assert_eq!(close, payload(MESSAGE_TIMEOUT), "{name}");
        assert!(after >= SHORT * 9 / 10, "{name}: {after:?}");
        drop(raw);
        node.until_metric(&series(MESSAGE_TIMEOUT), |count| count == before + 1.0).await;
        neighbour.is_served_by(&node).await;
    }
}

#[tokio::test]
async fn the_time_of_a_message_begins_with_its_own_first_byte() {
    let node = TestNode::with(|config| config.limits.message_time = (SHORT * 2).into()).await;
    let mut raw = connected(&node, JSON).await;
    // Each write finishes one message and begins the next, so that none takes
    // long and something is unfinished all the time.
    let message = text(&json!({"pong": {}}));
    let (begin, finish) = message.split_at(9);
    raw.send(begin).await.expect("the node reads");
    for _ in 0..20 {
        tokio::time::sleep(SHORT / 5).await;
        raw.send(&[finish, begin].concat()).await.expect("the node reads");
    }
    let last = text(&json!({"id": 1, "subscribe": {"subject": "a"}}));
    raw.send(&[finish, &last].concat()).await.expect("the node reads");
    assert_eq!(raw.frame().await.expect("a frame").lines()[0]["replyTo"], 1);
}

#[tokio::test]
async fn who_does_not_connect_in_time_is_answered_with_4005() {
    let node = TestNode::with(|config| config.limits.connect_time = SHORT.into()).await;
    let mut neighbour = Neighbour::of(&node).await;
    for (name, subprotocol, again) in [
        ("silence", JSON, vec![]),
        ("silence on protobuf", PROTO, vec![]),
        ("pings", JSON, frame(FIN | PING, b"")),
        ("messages without a frame", JSON, frame(FIN | TEXT, b"\n")),
        ("fragments", JSON, frame(CONTINUATION, b"")),
    ] {
        let before = node.metric(&series(CONNECT_TIMEOUT)).await;
        let mut raw = Raw::upgraded(node.address, subprotocol).await;
        if name == "fragments" {
            raw.send(&frame(TEXT, b"")).await.expect("the node reads");
        }
        let (close, after) = drip(&mut raw, &again).await;
        assert_eq!(close, payload(CONNECT_TIMEOUT), "{name}");
        assert!(after >= SHORT * 9 / 10, "{name}: {after:?}");
        drop(raw);
        node.until_metric(&series(CONNECT_TIMEOUT), |count| count == before + 1.0).await;
        neighbour.is_served_by(&node).await;
    }
}

#[tokio::test]
async fn who_ignores_our_close_is_cut_off_after_close_time() {
    let close_time = SHORT * 3;
    let node = TestNode::with(|config| config.limits.close_time = close_time.into()).await;
    let mut neighbour = Neighbour::of(&node).await;
    // One keeps silent, one goes on sending.
    for again in [vec![], frame(FIN | PING, b"")] {
        let before = node.metric(&series(PROTOCOL_ERROR)).await;
        let mut raw = connected(&node, JSON).await;
        raw.send(&text(&json!({"id": 1, "subscribe": {"subject": "a"}}))).await.expect("the node reads");
        raw.frame().await.expect("an answer");
        assert_eq!(node.metric("notifier_subscriptions").await, 2.0);
        let start = Instant::now();
        raw.send(&frame(FIN | TEXT | 0x40, b"")).await.expect("the node reads");
        assert_eq!(close_payload(&mut raw).await, payload(PROTOCOL_ERROR));
        // It is out of everything at once; only its socket waits for the peer.
        node.until_metric("notifier_subscriptions", |count| count == 1.0).await;
        assert_eq!(node.metric(&series(PROTOCOL_ERROR)).await, before);
        let cut_off = async {
            while node.metric(&series(PROTOCOL_ERROR)).await == before {
                // Fails once the node has gone, which the metric tells as well.
                let _ = raw.send(&again).await;
                tokio::time::sleep(SHORT / 20).await;
            }
        };
        soon("the end of the connection", cut_off).await;
        assert!(start.elapsed() >= close_time, "{:?}", start.elapsed());
        neighbour.is_served_by(&node).await;
    }
}

#[tokio::test]
async fn a_node_that_was_stopped_gives_up_nobody_whom_it_did_not_ask() {
    let node = TestNode::with(|config| config.server.heartbeat = (SHORT / 3).into()).await;
    let mut client = node.client().await;
    client.ping().await;
    // What it still had to answer is answered, and has been read.
    client.events_until_now().await;
    client.events_until_now().await;
    // This thread is the node's, too: as if its machine had been asleep.
    #[expect(clippy::disallowed_methods, reason = "to block the node is the point")]
    std::thread::sleep(SHORT * 2);
    for _ in 0..3 {
        client.ping().await;
    }
    assert_eq!(node.metric("notifier_connections_closed_total{reason=\"ping_timeout\"}").await, 0.0);
}

#[tokio::test]
async fn who_answers_no_ping_is_given_up_with_4003() {
    let node = TestNode::with(|config| config.server.heartbeat = SHORT.into()).await;
    let mut neighbour = Neighbour::of(&node).await;
    let before = Instant::now();
    let mut raw = connected(&node, JSON).await;
    // The neighbour answers while it listens, and is kept.
    let close = tokio::select! {
        close = close_payload(&mut raw) => close,
        () = neighbour.listens() => unreachable!("it listens for ever"),
    };
    assert_eq!(close, payload(PING_TIMEOUT));
    // Two pings, and an interval for the second answer.
    assert!(before.elapsed() >= SHORT * 2, "{:?}", before.elapsed());
    drop(raw);
    node.until_metric(&series(PING_TIMEOUT), |count| count == 1.0).await;
    neighbour.is_served_by(&node).await;
}
