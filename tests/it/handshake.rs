//! How a connection begins: what is accepted, what is refused and how, and how
//! long it may take. Nothing here goes through an HTTP client, because none
//! would send most of it.

pub mod raw;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{
    frames::text,
    world::{TestNode, eventually, soon},
};
use raw::{Answer, Neighbour, Raw, UPGRADE, head};

/// The answer to the key of RFC 6455 1.3, as it stands there.
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Short, for what is expected to run out; long enough for a busy machine.
const SHORT: Duration = Duration::from_millis(300);

/// The upgrade request with some lines replaced: the line that begins with the
/// first stands as the second, and not at all where that is empty.
fn request(edits: &[(&str, &str)]) -> Vec<u8> {
    let mut lines = UPGRADE.to_vec();
    for (start, line) in edits {
        let place = lines.iter().position(|line| line.starts_with(start)).expect("a line that is there");
        lines[place] = line;
    }
    lines.retain(|line| !line.is_empty());
    head(&lines)
}

/// The code of an error in the one form that all of them have.
fn code(answer: &Answer) -> Option<String> {
    if answer.body.is_empty() {
        return None;
    }
    assert_eq!(answer.header("content-type"), Some("application/json"), "{answer:?}");
    let body: Value = serde_json::from_str(&answer.body).expect("JSON");
    assert!(body["error"]["message"].as_str().is_some_and(|message| !message.is_empty()), "{body}");
    Some(body["error"]["code"].as_str().expect("a code").to_owned())
}

type Edits = &'static [(&'static str, &'static str)];

#[tokio::test]
async fn a_request_that_breaks_a_rule_is_refused_with_its_reason() {
    // An empty code: hyper refuses it before any of our code runs, without a body.
    let rows: &[(&str, Edits, u16, &str)] = &[
        ("POST", &[("GET", "POST /v1/ws HTTP/1.1")], 405, "method_not_allowed"),
        ("PUT", &[("GET", "PUT /v1/ws HTTP/1.1")], 405, "method_not_allowed"),
        ("a method of its own", &[("GET", "get /v1/ws HTTP/1.1")], 405, "method_not_allowed"),
        ("HTTP/1.0", &[("GET", "GET /v1/ws HTTP/1.0")], 400, "bad_request"),
        ("no Host", &[("Host", "")], 400, "bad_request"),
        ("two Hosts", &[("Host", "Host: a\r\nHost: b")], 400, "bad_request"),
        ("no Upgrade", &[("Upgrade", "")], 400, "bad_request"),
        ("an Upgrade to something else", &[("Upgrade", "Upgrade: h2c")], 400, "bad_request"),
        ("no Connection", &[("Connection", "")], 400, "bad_request"),
        ("a Connection without Upgrade", &[("Connection", "Connection: keep-alive")], 400, "bad_request"),
        ("version 12", &[("Sec-WebSocket-Version", "Sec-WebSocket-Version: 12")], 426, "unsupported_version"),
        ("no version", &[("Sec-WebSocket-Version", "")], 426, "unsupported_version"),
        (
            "two versions",
            &[("Sec-WebSocket-Version", "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 8")],
            426,
            "unsupported_version",
        ),
        (
            "a list of versions",
            &[("Sec-WebSocket-Version", "Sec-WebSocket-Version: 13, 8")],
            426,
            "unsupported_version",
        ),
        ("no key", &[("Sec-WebSocket-Key", "")], 400, "bad_request"),
        (
            "two keys",
            &[(
                "Sec-WebSocket-Key",
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
            )],
            400,
            "bad_request",
        ),
        (
            "a key that is not base64",
            &[("Sec-WebSocket-Key", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ!==")],
            400,
            "bad_request",
        ),
        (
            "a key without padding",
            &[("Sec-WebSocket-Key", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ")],
            400,
            "bad_request",
        ),
        ("a key of 15 bytes", &[("Sec-WebSocket-Key", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAA")], 400, "bad_request"),
        ("an empty key", &[("Sec-WebSocket-Key", "Sec-WebSocket-Key:")], 400, "bad_request"),
        ("an empty body", &[("Host", "Host: a\r\nContent-Length: 0")], 400, "bad_request"),
        ("two lengths", &[("Host", "Host: a\r\nContent-Length: 4\r\nContent-Length: 5")], 400, ""),
        ("a transfer coding nobody knows", &[("Host", "Host: a\r\nTransfer-Encoding: x")], 400, ""),
        ("a folded header", &[("Upgrade", "Upgrade:\r\n websocket")], 400, ""),
        ("a space before a colon", &[("Upgrade", "Upgrade : websocket")], 400, ""),
        ("a space in front of the first header", &[("Host", " Host: a")], 400, ""),
        ("a NUL", &[("Host", "Host: a\0b")], 400, ""),
        ("a bare carriage return", &[("Host", "Host: a\rOrigin: b")], 400, ""),
        ("a header without a name", &[("Host", "Host: a\r\n: b")], 400, ""),
        ("an unknown path", &[("GET", "GET /v1/socket HTTP/1.1")], 404, "not_found"),
        ("a path below ours", &[("GET", "GET /v1/ws/ HTTP/1.1")], 404, "not_found"),
        ("another case", &[("GET", "GET /V1/WS HTTP/1.1")], 404, "not_found"),
        ("the operators' metrics", &[("GET", "GET /metrics HTTP/1.1")], 404, "not_found"),
        ("the operators' liveness", &[("GET", "GET /livez HTTP/1.1")], 404, "not_found"),
        ("the operators' readiness", &[("GET", "GET /readyz HTTP/1.1")], 404, "not_found"),
        ("the operators' state", &[("GET", "GET /debug/state HTTP/1.1")], 404, "not_found"),
        ("an unknown subprotocol", &[("Host", "Host: a\r\nSec-WebSocket-Protocol: graphql-ws")], 400, "bad_request"),
        (
            "two unknown subprotocols",
            &[("Host", "Host: a\r\nSec-WebSocket-Protocol: mqtt, NOTIFIER.V1.JSON")],
            400,
            "bad_request",
        ),
        ("an empty list of subprotocols", &[("Host", "Host: a\r\nSec-WebSocket-Protocol:")], 400, "bad_request"),
    ];
    let node = TestNode::memory().await;
    let mut neighbour = Neighbour::of(&node).await;
    for (name, edits, status, expected) in rows {
        let errors = format!("notifier_errors_total{{code=\"{expected}\"}}");
        let before = node.metric(&errors).await;
        let mut raw = Raw::open(node.address).await;
        raw.send(&request(edits)).await.expect("the node reads");
        let answer = raw.answer().await;
        assert_eq!(answer.status, *status, "{name}: {answer:?}");
        assert_eq!(code(&answer).unwrap_or_default(), *expected, "{name}");
        assert_eq!(answer.header("sec-websocket-accept"), None, "{name}");
        match status {
            405 => assert_eq!(answer.header("allow"), Some("GET"), "{name}"),
            426 => assert_eq!(answer.header("sec-websocket-version"), Some("13"), "{name}"),
            _ => {}
        }
        if !expected.is_empty() {
            assert_eq!(node.metric(&errors).await, before + 1.0, "{name}");
        }
        neighbour.is_served_by(&node).await;
    }
    assert_eq!(node.metric("notifier_connections_opened_total").await, 1.0);
}

#[tokio::test]
async fn a_refusal_of_head_has_no_body() {
    let node = TestNode::memory().await;
    let mut raw = Raw::open(node.address).await;
    raw.send(&head(&["HEAD /v1/ws HTTP/1.1", "Host: a", "Connection: close"])).await.expect("the node reads");
    let answer = String::from_utf8(raw.rest().await).expect("text");
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    assert_eq!(answer.find("\r\n\r\n"), Some(answer.len() - 4), "{answer}");
}

#[tokio::test]
async fn a_request_that_keeps_the_rules_is_accepted_however_it_is_written() {
    // The edits, and the subprotocol in the answer.
    let rows: &[(&str, Edits, Option<&str>)] = &[
        ("as in the RFC", &[], None),
        ("a query", &[("GET", "GET /v1/ws?since=1 HTTP/1.1")], None),
        ("an absolute target", &[("GET", "GET http://node.test/v1/ws HTTP/1.1")], None),
        ("another case", &[("Upgrade", "UPGRADE: WebSocket"), ("Connection", "connection: UPGRADE")], None),
        ("several tokens", &[("Connection", "Connection: keep-alive, Upgrade")], None),
        ("a header in two lines", &[("Connection", "Connection: keep-alive\r\nConnection: Upgrade")], None),
        (
            "one subprotocol",
            &[("Host", "Host: a\r\nSec-WebSocket-Protocol: notifier.v1.proto")],
            Some("notifier.v1.proto"),
        ),
        (
            "the client's first choice of those we know",
            &[("Host", "Host: a\r\nSec-WebSocket-Protocol: mqtt, notifier.v1.json, notifier.v1.proto")],
            Some("notifier.v1.json"),
        ),
        (
            "subprotocols in two lines",
            &[("Host", "Host: a\r\nSec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Protocol: notifier.v1.proto")],
            Some("notifier.v1.proto"),
        ),
        (
            "a compression that is not to be had",
            &[("Host", "Host: a\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits")],
            None,
        ),
    ];
    let node = TestNode::memory().await;
    let mut neighbour = Neighbour::of(&node).await;
    for (name, edits, subprotocol) in rows {
        let mut raw = Raw::open(node.address).await;
        raw.send(&request(edits)).await.expect("the node reads");
        let answer = raw.answer().await;
        assert_eq!(answer.status, 101, "{name}: {answer:?}");
        assert_eq!(answer.header("sec-websocket-accept"), Some(ACCEPT), "{name}");
        assert_eq!(answer.header("sec-websocket-protocol"), *subprotocol, "{name}");
        assert_eq!(answer.header("sec-websocket-extensions"), None, "{name}");
        neighbour.is_served_by(&node).await;
    }
}

/// RFC 9112 2.2 lets a server take a line feed for the end of a line, and the
/// HTTP library does. A proxy in front may see one header there where it sees two.
#[tokio::test]
async fn a_bare_line_feed_ends_no_line() {
    let node = TestNode::memory().await;
    let mut neighbour = Neighbour::of(&node).await;
    let whole = String::from_utf8(request(&[])).expect("text");
    let publish = |lines: &str, body: &str| format!("POST /v1/publish/a HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n{body}");
    let rows = [
        ("all of them", whole.replace("\r\n", "\n"), 400),
        ("one in front", format!("\n{whole}"), 400),
        ("the request line", whole.replacen("\r\n", "\n", 1), 400),
        ("a header", whole.replacen("Host: node.test\r\n", "Host: node.test\n", 1), 400),
        ("the last line", whole.replace("\r\n\r\n", "\r\n\n"), 400),
        ("a header within another", whole.replacen("node.test", "node.test\nContent-Length: 5", 1), 400),
        ("a chunk's size", publish("Transfer-Encoding: chunked", "1\n1\r\n0\r\n\r\n"), 400),
        ("a body", publish("Content-Length: 3", "\n1\n"), 200),
        ("a chunk", publish("Transfer-Encoding: chunked", "3\r\n\n1\n\r\n0\r\n\r\n"), 200),
    ];
    for (name, bytes, status) in rows {
        for before in
            ["", &publish("Content-Length: 2", "\n2"), &publish("Transfer-Encoding: chunked", "1\r\n\n\r\n0\r\n\r\n")]
        {
            let mut raw = Raw::open(node.address).await;
            raw.send(format!("{before}{bytes}").as_bytes()).await.expect("the node reads");
            if !before.is_empty() {
                assert_eq!(raw.answer().await.status, 200, "{name}");
            }
            assert_eq!(raw.answer().await.status, status, "{name}");
            if status == 400 {
                assert_eq!(raw.try_answer().await.map(|answer| answer.status), None, "{name}: it is the last answer");
            }
        }
        neighbour.is_served_by(&node).await;
    }
}

#[tokio::test]
async fn a_body_with_two_lengths_is_refused_and_so_is_what_comes_behind_it() {
    let node = TestNode::memory().await;
    let mut neighbour = Neighbour::of(&node).await;
    for lines in [
        "Content-Length: 6\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 6",
        "transfer-encoding: chunked\r\nX: y\r\nCONTENT-LENGTH:6",
    ] {
        let hidden = "POST /v1/publish/a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n1";
        let bytes = format!("POST /v1/publish/a HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n0\r\n\r\n{hidden}");
        let mut raw = Raw::open(node.address).await;
        raw.send(bytes.as_bytes()).await.expect("the node reads");
        assert_eq!(raw.answer().await.status, 400, "{lines}");
        assert_eq!(raw.try_answer().await.map(|answer| answer.status), None, "{lines}");
        neighbour.is_served_by(&node).await;
    }
    assert_eq!(node.metric("notifier_accepts_failed_total{reason=\"bad_head\"}").await, 3.0);
}

#[tokio::test]
async fn a_refused_upgrade_is_the_last_request_of_its_connection() {
    let node = TestNode::memory().await;
    let mut raw = Raw::open(node.address).await;
    raw.send(&[request(&[("Sec-WebSocket-Key", "")]), request(&[])].concat()).await.expect("the node reads");
    let answer = raw.answer().await;
    assert_eq!((answer.status, answer.header("connection")), (400, Some("close")));
    assert_eq!(raw.try_answer().await.map(|answer| answer.status), None);
}

#[tokio::test]
async fn a_body_is_refused_and_never_read_as_a_request() {
    let inner = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n";
    let length = format!("Host: a\r\nContent-Length: {}", inner.len());
    let chunked = format!("{:x}\r\n{inner}\r\n0\r\n\r\n", inner.len());
    let rows = [("a length", length.as_str(), inner), ("chunks", "Host: a\r\nTransfer-Encoding: chunked", &chunked)];
    let node = TestNode::memory().await;
    let mut neighbour = Neighbour::of(&node).await;
    for (name, lines, body) in rows {
        let mut raw = Raw::open(node.address).await;
        raw.send(&[&request(&[("Host", lines)]), body.as_bytes()].concat()).await.expect("the node reads");
        let answer = raw.answer().await;
        assert_eq!((answer.status, code(&answer).as_deref()), (400, Some("bad_request")), "{name}");
        // The next answer, if there is any, is to the next request.
        let next = request(&[("GET", "PATCH /v1/ws HTTP/1.1")]);
        if raw.send(&next).await.is_ok() {
            let status = raw.try_answer().await.map(|answer| answer.status);
            assert!(matches!(status, None | Some(405)), "{name}: {status:?}");
        }
        neighbour.is_served_by(&node).await;
    }
}

#[tokio::test]
async fn a_head_is_accepted_up_to_its_limits_and_refused_above() {
    let node = TestNode::memory().await;
    let mut neighbour = Neighbour::of(&node).await;
    let cookie = |bytes: usize| format!("Cookie: {}", "x".repeat(bytes));
    let many = |count: usize| vec!["X: y"; count].join("\r\n");
    let target = |bytes: usize| format!("GET /v1/ws?{} HTTP/1.1", "x".repeat(bytes));
    let rows = [
        ("a large site's cookies", "Host", format!("Host: a\r\n{}", cookie(15 * 1024)), 101),
        ("more than limits.header_bytes", "Host", format!("Host: a\r\n{}", cookie(17 * 1024)), 431),
        ("far more", "Host", format!("Host: a\r\n{}", cookie(1024 * 1024)), 431),
        ("a long target", "GET", target(17 * 1024), 431),
        ("as many headers as hyper takes", "Host", format!("Host: a\r\n{}", many(95)), 101),
        ("more headers", "Host", format!("Host: a\r\n{}", many(96)), 431),
    ];
    for (name, start, line, status) in rows {
        let mut raw = Raw::open(node.address).await;
        // The node may have said no and gone before everything is sent.
        let _ = raw.send(&request(&[(start, &line)])).await;
        assert_eq!(raw.try_answer().await.map(|answer| answer.status), Some(status), "{name}");
        neighbour.is_served_by(&node).await;
    }
}

#[tokio::test]
async fn what_is_no_http_1_ends_the_connection() {
    let node = TestNode::memory().await;
    let mut neighbour = Neighbour::of(&node).await;
    let rows: [(&str, &[u8], &[u16]); 4] = [
        ("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[]),
        ("a TLS handshake", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", &[400]),
        ("a client of NATS", b"CONNECT {\"verbose\":false}\r\nPING\r\n", &[400]),
        ("noise", b"\0\0\0\0\r\n\r\n", &[400]),
    ];
    for (name, bytes, statuses) in rows {
        let mut raw = Raw::open(node.address).await;
        raw.send(bytes).await.expect("the node reads");
        let mut answers = Vec::new();
        while let Some(answer) = raw.try_answer().await {
            answers.push(answer.status);
        }
        assert_eq!(answers, statuses, "{name}");
        neighbour.is_served_by(&node).await;
    }
}

#[tokio::test]
async fn who_does_not_finish_the_head_in_time_is_cut_off() {
    let node = TestNode::with(|config| config.limits.handshake_time = SHORT.into()).await;
    let mut neighbour = Neighbour::of(&node).await;
    let start = Instant::now();
    let (silent, mut dripping) = (Raw::open(node.address).await, Raw::open(node.address).await);
    let drip = async {
        for byte in request(&[]).into_iter().cycle() {
            if dripping.send(&[byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(SHORT / 20).await;
        }
    };
    soon("the end of what drips", drip).await;
    assert_eq!(silent.rest().await, b"");
    assert!(start.elapsed() >= SHORT);
    eventually("none but the neighbour", || async { node.internal_json("/debug/state").await["connections"] == 1 })
        .await;
    neighbour.is_served_by(&node).await;
}

#[tokio::test]
async fn what_comes_right_behind_the_request_is_not_lost() {
    let node = TestNode::memory().await;
    let request = request(&[]);
    // Longer than the node reads at once, and than a head may be.
    let connect = text(&json!({"id": 1, "connect": {"client": {"name": "x".repeat(40_000)}}}));
    let subscribe = text(&json!({"id": 2, "subscribe": {"subject": "a"}}));
    let bytes = [&request[..], &connect, &subscribe].concat();
    // All at once; cut inside the first head, inside its payload, between the frames, inside the second.
    let second = bytes.len() - subscribe.len();
    for cut in [bytes.len(), request.len() + 1, request.len() + 100, second, second + 1, bytes.len() - 1] {
        let mut raw = Raw::open(node.address).await;
        raw.send(&bytes[..cut]).await.expect("the node reads");
        assert_eq!(raw.answer().await.status, 101);
        raw.send(&bytes[cut..]).await.expect("the node reads");
        for id in [1, 2] {
            let frames = raw.frame().await.expect("a frame").lines();
            assert_eq!(frames[0]["replyTo"], id, "cut at {cut}: {frames:?}");
        }
    }
}
