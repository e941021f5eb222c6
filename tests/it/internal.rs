//! What operators see.

use std::{process::Stdio, sync::Arc};

use bytes::Bytes;
use notifier::{config::Secret, metrics::SERIES};
use serde_json::json;
use tokio::{io::AsyncWriteExt as _, process::Command};

use hyper::{Request, Response, header};
use rustls::version::TLS13;

use super::{
    handshake::raw::{Neighbour, Raw, head},
    world::{
        Authority, TestNode,
        certificates::handshake,
        node::{ask, ask_over},
        soon,
    },
};

#[tokio::test]
async fn the_internal_pages_tell_the_state_of_the_node() {
    let node = TestNode::memory().await;
    let mut client = node.client().await;
    client.subscribe("a").await;
    assert_eq!(node.internal("/livez").await, (200, "{\"live\":true}\n".into()));
    let ready = node.internal_json("/readyz").await;
    assert_eq!(ready, json!({"ready": true, "reasons": [], "broker": {"kind": "memory", "memory": "connected"}}));
    let state = node.internal_json("/debug/state").await;
    assert_eq!((&state["connections"], &state["topics"], &state["leaving"]), (&json!(1), &json!(1), &json!(false)));
    assert_eq!(node.internal("/nowhere").await.0, 404);
}

#[tokio::test]
async fn every_documented_series_is_exported_and_nothing_clients_send_adds_one() {
    let node = TestNode::memory().await;
    let text = node.internal("/metrics").await.1;
    for series in SERIES {
        assert!(text.contains(&format!("# HELP {} ", series.name)), "{}", series.name);
    }
    let before = count_series(&text);
    for number in 0..200 {
        let mut client = node.client().await;
        client.subscribe(&format!("unique.{number}")).await;
        node.publish(&format!("unique.{number}"), "1").await;
        client.event().await;
        client.send(json!({"id": 1, "subscribe": {"subject": format!("bad..{number}")}})).await;
        client.expect("error").await;
    }
    node.until_metric("notifier_connections", |count| count == 0.0).await;
    assert_eq!(count_series(&node.internal("/metrics").await.1), before);
}

fn count_series(text: &str) -> usize {
    text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).count()
}

#[tokio::test]
async fn promtool_finds_nothing_wrong_with_the_metrics() {
    let node = TestNode::memory().await;
    let mut client = node.client().await;
    client.subscribe("a").await;
    node.publish("a", "1").await;
    client.event().await;
    let text = node.internal("/metrics").await.1;
    assert_eq!(soon("promtool", promtool(&text)).await, (true, String::new()));
}

/// `promtool check metrics`: whether it passed, and what it said.
async fn promtool(metrics: &str) -> (bool, String) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/promtool.sh");
    let path = Command::new(script).stderr(Stdio::inherit()).output().await.expect("the script runs");
    let path = String::from_utf8(path.stdout).expect("a path");
    let mut check = Command::new(path.trim())
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool runs");
    check.stdin.take().expect("piped").write_all(metrics.as_bytes()).await.expect("it reads");
    let output = check.wait_with_output().await.expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

const TOKEN: &str = "4f0c1f8a5e2b7d93";

fn get(path: &str, token: Option<&str>) -> Request<http_body_util::Full<Bytes>> {
    let mut request = Request::get(path);
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    request.body(Bytes::new().into()).expect("a request")
}

fn challenge(response: &Response<Bytes>) -> (u16, Option<&str>) {
    let challenge = response.headers().get(header::WWW_AUTHENTICATE).map(|value| value.to_str().expect("text"));
    (response.status().as_u16(), challenge)
}

#[tokio::test]
async fn with_a_token_everything_but_probes_asks_for_it() {
    let node = TestNode::with(|config| config.server.internal_token = Some(Secret::from(TOKEN.to_owned()))).await;
    for path in ["/metrics", "/debug/state", "/nowhere"] {
        assert_eq!(challenge(&ask(node.internal, get(path, None)).await), (401, Some("Bearer")), "{path}");
        assert_eq!(ask(node.internal, get(path, Some("4f0c1f8a5e2b7d94"))).await.status(), 401, "{path}");
        assert_ne!(ask(node.internal, get(path, Some(TOKEN))).await.status(), 401, "{path}");
    }
    for path in ["/livez", "/readyz"] {
        assert_eq!(challenge(&ask(node.internal, get(path, None)).await), (200, None), "{path}");
    }
}

#[tokio::test]
async fn a_page_cannot_reach_it_by_a_name_of_its_own() {
    let node = TestNode::with(|config| config.server.internal_hosts = vec!["metrics.test".into()]).await;
    let answers = async |lines: &[&str]| {
        let mut raw = Raw::open(node.internal).await;
        raw.send(&head(lines)).await.expect("the node reads");
        raw.answer().await
    };
    for (host, status) in [
        ("Host: evil.example:9090", 421),
        ("Host: 127.0.0.1.evil.example", 421),
        ("Host: 127.0.0.1:9090", 200),
        ("Host: [::1]:9090", 200),
        ("Host: localhost:9090", 200),
        ("Host: metrics.test:9090", 200),
    ] {
        for path in ["/metrics", "/debug/state", "/admin/connections"] {
            let answer = answers(&[&format!("GET {path} HTTP/1.1"), host]).await;
            assert_eq!(answer.status, status, "{host} {path}");
            assert!(status == 200 || answer.body.contains("server.internal_hosts"), "{answer:?}");
        }
        // The kubelet may ask by any.
        assert_eq!(answers(&["GET /livez HTTP/1.1", host]).await.status, 200, "{host}");
    }
    assert_eq!(answers(&["GET /metrics HTTP/1.0"]).await.status, 200, "who tells none is no browser");
    let disconnect = [
        "POST /admin/disconnect HTTP/1.1",
        "Host: evil.example",
        "Content-Type: application/json",
        "Content-Length: 0",
    ];
    assert_eq!(answers(&disconnect).await.status, 421);
    assert_eq!(node.metric("notifier_internal_refusals_total{reason=\"denied\"}").await, 7.0);
}

#[tokio::test]
async fn a_crowd_on_the_internal_listener_is_turned_away_and_clients_notice_nothing() {
    let node = TestNode::memory().await;
    let mut neighbour = Neighbour::of(&node).await;
    // Each holds a connection of one address, as long as heads may take.
    let mut crowd = Vec::new();
    for _ in 0..64 {
        let mut raw = Raw::open_from([127, 0, 0, 2].into(), node.internal).await;
        raw.send(b"GET").await.expect("the node reads");
        crowd.push(raw);
    }
    let mut refused = Raw::open_from([127, 0, 0, 2].into(), node.internal).await;
    let answer = refused.answer().await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("1")));
    assert!(answer.body.contains("address_limit"), "{answer:?}");
    // Who asks from elsewhere is answered meanwhile.
    assert_eq!(node.metric("notifier_internal_refusals_total{reason=\"connections\"}").await, 1.0);
    drop(crowd);
    // A head that is too large, and one that asks too often.
    let mut large = Raw::open(node.internal).await;
    let _ = large.send(&head(&["GET /livez HTTP/1.1", "Host: a", &format!("X: {}", "y".repeat(20_000))])).await;
    assert_eq!(large.try_answer().await.map(|answer| answer.status), Some(431));
    let mut often = Raw::open_from([127, 0, 0, 3].into(), node.internal).await;
    let mut statuses = std::collections::BTreeMap::new();
    while !statuses.contains_key(&429) {
        often.send(&head(&["GET /livez HTTP/1.1", "Host: a"]).repeat(50)).await.expect("the node reads");
        for _ in 0..50 {
            *statuses.entry(often.answer().await.status).or_insert(0) += 1;
        }
    }
    assert!(statuses[&200] >= 1_000, "{statuses:?}");
    assert!(node.metric("notifier_internal_refusals_total{reason=\"requests\"}").await >= 1.0);
    neighbour.is_served_by(&node).await;
}

#[tokio::test]
async fn a_bare_line_feed_is_refused_on_the_internal_listener_too() {
    let node = TestNode::memory().await;
    for bytes in [
        "GET /metrics HTTP/1.1\nHost: 127.0.0.1\r\n\r\n",
        "POST /admin/disconnect HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
    ] {
        let mut raw = Raw::open(node.internal).await;
        raw.send(bytes.as_bytes()).await.expect("the node reads");
        assert_eq!(raw.answer().await.status, 400);
    }
}

#[tokio::test]
async fn over_tls_operators_show_a_certificate_and_probes_need_none() {
    let authority = Authority::new();
    authority.issue("prometheus", time::Duration::days(1));
    let node = TestNode::with(|config| {
        authority.serve_internal(config);
        config.server.internal_tls.client_ca_file = Some(authority.path("ca.pem"));
    })
    .await;
    for (own, path, status) in [
        (None, "/livez", 200),
        (None, "/readyz", 200),
        (None, "/metrics", 401),
        (Some("prometheus"), "/metrics", 200),
        (Some("prometheus"), "/debug/state", 200),
    ] {
        let client = Arc::new(authority.client(&[&TLS13], own));
        let stream = handshake(node.internal, client).await.expect("a handshake");
        assert_eq!(ask_over(stream, node.internal, get(path, None)).await.status(), status, "{own:?} {path}");
    }
    // Clients of the node are not concerned.
    node.client().await.subscribe("a").await;
}

#[tokio::test]
async fn the_health_check_knows_the_certificate_of_its_node() {
    let (authority, other) = (Authority::new(), Authority::new());
    let node = TestNode::with(|config| {
        authority.serve_internal(config);
        config.server.internal_token = Some(Secret::from(TOKEN.to_owned()));
    })
    .await;
    let check = |cert: Option<std::path::PathBuf>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_notifier"));
        command.args(["healthcheck", "--ready", "--internal", &node.internal.to_string()]);
        if let Some(cert) = cert {
            command.env("NOTIFIER_SERVER__INTERNAL_TLS__CERT_FILE", cert);
        }
        command.output()
    };
    for (cert, healthy) in
        [(Some(authority.path("node.pem")), true), (Some(other.path("node.pem")), false), (None, false)]
    {
        let output = soon("its end", check(cert)).await.expect("the binary runs");
        assert_eq!(output.status.success(), healthy, "{}", String::from_utf8_lossy(&output.stderr));
    }
}
