//! Input that is made to break something behind the node, or to be taken for
//! something else.

use std::fs::{self, File};

use hyper::Request;
use serde_json::{Value, json};

use super::Witness;
use crate::{
    frames::{FIN, JSON, TEXT, TOO_BIG, close_payload, connected, frame, frames, payload},
    handshake::raw::Frame,
    world::{NatsServer, TestNode, Ws, node::ask},
};

/// Subjects that mean something to whoever reads them carelessly.
const INJECTIONS: &[(&str, &str)] = &[
    ("a\r\nSUB > 1", "bad_subject"),
    ("a\r\nPUB b 1\r\nx", "bad_subject"),
    ("a\nb", "bad_subject"),
    ("a b", "bad_subject"),
    ("a\tb", "bad_subject"),
    (" a", "bad_subject"),
    ("a ", "bad_subject"),
    ("a\0b", "bad_subject"),
    ("a\u{7f}b", "bad_subject"),
    ("a\u{1b}[31mb", "bad_subject"),
    ("a\u{85}b", "bad_subject"),
    ("a\u{a0}b", "bad_subject"),
    ("a\u{2028}b", "bad_subject"),
    ("a\u{202e}b", "bad_subject"),
    ("a\u{feff}b", "bad_subject"),
    ("", "bad_subject"),
    (".", "bad_subject"),
    (".a", "bad_subject"),
    ("a.", "bad_subject"),
    ("a..b", "bad_subject"),
    ("a.>.b", "bad_subject"),
    ("a.b*", "bad_subject"),
    ("a.>b", "bad_subject"),
    ("a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q", "bad_subject"),
    ("$JS.API.STREAM.DELETE.SHOP", "forbidden"),
    ("$JS.ACK.SHOP.x.1.1.1.1.1", "forbidden"),
    ("$SYS.REQ.SERVER.PING", "forbidden"),
    ("$KV.bucket.key", "forbidden"),
    ("_INBOX.abc.1", "forbidden"),
    ("_R_.x", "forbidden"),
];

/// The same for patterns.
const PATTERNS: &[(&str, &str)] = &[
    ("$JS.API.>", "forbidden"),
    ("$SYS.>", "forbidden"),
    ("$KV.>", "forbidden"),
    ("$*.>", "bad_subject"),
    ("_INBOX.>", "forbidden"),
    ("_INBOX.*.*", "forbidden"),
    ("_*.>", "bad_subject"),
];

/// As it stands in a path or query.
fn encoded(subject: &str) -> String {
    subject.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test]
async fn no_subject_reaches_what_is_behind_the_node_by_any_door() {
    let nats = NatsServer::with("http: \"127.0.0.1:-1\"\n").await;
    let node = TestNode::nats(&nats).await;
    let own = nats.subscriptions_of_nodes().await;
    let mut client = node.client().await;
    let mut neighbour = node.client().await;
    neighbour.subscribe(">").await;
    let with_all: Vec<_> = nats.subscriptions_of_nodes().await;
    let refused = async |client: &mut Ws, frame: Value, code: &str| {
        client.send(frame.clone()).await;
        let answer = client.expect("error").await;
        assert_eq!((&answer["error"]["code"], &answer["replyTo"]), (&json!(code), &json!(5)), "{frame}");
    };
    for (subject, code) in INJECTIONS.iter().chain(PATTERNS) {
        refused(&mut client, json!({"id": 5, "subscribe": {"subject": subject}}), code).await;
        refused(&mut client, json!({"id": 5, "fetch": {"subject": subject}}), code).await;
    }
    for (subject, code) in INJECTIONS {
        let event = json!({"data": 1});
        refused(&mut client, json!({"id": 5, "publish": {"subject": subject, "event": event}}), code).await;
        let answer = node.post(&format!("/v1/publish/{}", encoded(subject)), &[], "1".into()).await;
        let body: Value = serde_json::from_slice(answer.body()).expect("JSON");
        assert_eq!(body["error"]["code"], *code, "{subject:?} over HTTP");
        let last = node.get(&format!("/v1/last/{}", encoded(subject))).await;
        let body: Value = serde_json::from_slice(last.body()).expect("JSON");
        assert_eq!(body["error"]["code"], *code, "{subject:?} over HTTP, last");
        let fetched = node.get(&format!("/v1/fetch?subject={}", encoded(subject))).await;
        let body: Value = serde_json::from_slice(fetched.body()).expect("JSON");
        assert_eq!(body["error"]["code"], *code, "{subject:?} over HTTP, fetch");
    }
    assert!(own.concat().len() < with_all.concat().len());
    assert_eq!(nats.subscriptions_of_nodes().await, with_all);
    // Nothing was published, and the node's connection to NATS is the same.
    assert_eq!(neighbour.events_until_now().await, []);
    assert_eq!(node.metric("notifier_broker_events_total{event=\"disconnected\"}").await, 0.0);
    assert_eq!(node.metric("notifier_broker_events_total{event=\"server_error\"}").await, 0.0);
}

#[tokio::test]
async fn subjects_deeper_than_the_limit_are_refused_by_its_name_and_dropped_on_their_way_from_nats() {
    let nats = NatsServer::start().await;
    let node = TestNode::nats(&nats).await;
    let roomy = TestNode::nats_with(&nats, |config| config.limits.subject_tokens = 32).await;
    let [fits, deep] = [16, 17].map(|tokens| vec!["a"; tokens].join("."));
    let mut client = node.client().await;
    for frame in [
        json!({"id": 5, "subscribe": {"subject": format!("{fits}.>")}}),
        json!({"id": 5, "request": {"subject": deep}}),
        json!({"id": 5, "publish": {"subject": deep, "event": {"data": 1}}}),
    ] {
        client.send(frame.clone()).await;
        let message = client.expect("error").await["error"]["message"].clone();
        assert!(message.as_str().is_some_and(|text| text.contains("limits.subject_tokens")), "{frame}: {message}");
    }
    let mut deeper = roomy.client().await;
    client.subscribe("a.>").await;
    deeper.subscribe(&deep).await;
    let service = nats.client().await;
    for subject in [&deep, &fits] {
        service.publish(subject.clone(), "1".into()).await.expect("published");
    }
    assert_eq!(client.event().await.0, fits);
    assert_eq!(deeper.event().await.0, deep);
    assert_eq!(node.metric("notifier_drops_total{reason=\"bad_subject\"}").await, 1.0);
    assert_eq!(roomy.metric("notifier_drops_total{reason=\"bad_subject\"}").await, 0.0);
}

#[tokio::test]
async fn json_of_any_shape_costs_no_more_than_its_bytes() {
    let node = TestNode::alone("").await;
    let mut witness = Witness::of(&node).await;
    let million_keys = |keys: usize| {
        let keys: Vec<String> = (0..keys).map(|number| format!("\"{number:x}\":0")).collect();
        format!("{{{}}}", keys.join(","))
    };
    // Over WebSocket the message is too large long before.
    let huge = frame(FIN | TEXT, million_keys(1_000_000).as_bytes());
    let keys = frame(FIN | TEXT, format!("{{\"id\":1,\"later\":{}}}", million_keys(5_000)).as_bytes());
    let same = frame(FIN | TEXT, format!("{{{}}}", vec!["\"id\":1"; 8_000].join(",")).as_bytes());
    let deep =
        frame(FIN | TEXT, format!("{{\"id\":1,\"later\":{}{}}}", "[".repeat(30_000), "]".repeat(30_000)).as_bytes());
    let open = frame(FIN | TEXT, "[".repeat(60_000).as_bytes());
    let number = frame(FIN | TEXT, format!("{{\"id\":{}}}", "9".repeat(60_000)).as_bytes());
    let rows = [
        ("a million keys", huge, Ok(TOO_BIG)),
        ("as many keys as fit", keys, Err("unsupported")),
        ("the same key again and again", same, Err("unsupported")),
        ("deep", deep, Err("unsupported")),
        ("never closed", open, Ok((4500, "bad_frame"))),
        ("a number of 60,000 digits", number, Err("bad_request")),
    ];
    for (name, bytes, end) in rows {
        let attack = async {
            for _ in 0..10 {
                let mut raw = connected(&node, JSON).await;
                let _ = raw.send(&bytes).await;
                match end {
                    Ok(end @ TOO_BIG) => assert_eq!(close_payload(&mut raw).await, payload(end), "{name}"),
                    Ok(end) => {
                        let last = frames(&mut raw).await.pop().unwrap_or_else(|| panic!("{name}: no Close"));
                        assert_eq!(last, Frame { opcode: Frame::CLOSE, payload: payload(end) }, "{name}");
                    }
                    // Unknown keys are passed over: such a frame of a later version has an answer, as a wrong value has.
                    Err(code) => {
                        let answer = raw.frame().await.expect("a frame").lines();
                        assert_eq!(answer[0]["error"]["code"], code, "{name}");
                    }
                }
            }
        };
        witness.sees(name, attack).await;
    }
    // As an event's data it is only checked, and relayed: embedded where every parser can read it.
    let deep = format!("{}{}", "[".repeat(400_000), "]".repeat(400_000));
    let mut reader = node.client().await;
    reader.subscribe("data").await;
    for (name, data) in [("keys", million_keys(80_000)), ("deep", deep)] {
        let attack = async {
            node.publish("data", data).await;
            reader.expect("event").await
        };
        let event = witness.sees(name, attack).await;
        assert_eq!(event["event"].get("data").is_some(), name == "keys", "{name}");
        assert_eq!(event["event"].get("dataBase64").is_some(), name == "deep", "{name}");
    }
}

#[tokio::test]
async fn what_clients_say_forges_no_line_of_the_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    let node =
        TestNode::logging("[log]\nformat = \"json\"\nfilter = \"debug\"\n", File::create(&path).expect("a file")).await;
    let canary = "canary\r\n{\"level\":\"ERROR\"}\u{1b}[31m\u{202e}";
    let long = "y".repeat(5_000);
    for name in [canary, &long] {
        let mut client = Ws::open(node.address).await;
        client.send(json!({"connect": {"client": {"name": name, "version": name}}})).await;
        client.expect("welcome").await;
        client.send(json!({"id": 1, "subscribe": {"subject": canary}})).await;
        client.expect("error").await;
    }
    let request = Request::get("/v1/ws").header("user-agent", "canary\u{202e}").header("origin", "canary/\u{7f}");
    if let Ok(request) = request.body(http_body_util::Full::default()) {
        ask(node.address, request).await;
    }
    let log = fs::read_to_string(&path).expect("text");
    assert!(log.contains("canary"), "it was logged: {log}");
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(line["target"].is_string(), "a line of the node's own: {line}");
        let text = line.to_string();
        assert!(!text.contains('\u{202e}') && !text.contains("\\u001b"), "{text}");
    }
    assert!(log.lines().all(|line| line.len() < 2_000), "nothing of any length");
}
