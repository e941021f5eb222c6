//! What operators see.

use std::{process::Stdio, sync::Arc};

use bytes::Bytes;
use notifier::{config::Secret, metrics::SERIES};
use serde_json::json;
use tokio::{io::AsyncWriteExt as _, process::Command};

use hyper::{Request, Response, header};
use rustls::version::TLS13;

use super::world::{
    Authority, TestNode,
    certificates::handshake,
    node::{ask, ask_over},
    soon,
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
