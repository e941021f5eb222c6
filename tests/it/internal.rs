//! What operators see.

use std::process::Stdio;

use notifier::metrics::SERIES;
use serde_json::json;
use tokio::{io::AsyncWriteExt as _, process::Command};

use super::world::{TestNode, soon};

#[tokio::test]
async fn the_internal_pages_tell_the_state_of_the_node() {
    let node = TestNode::memory().await;
    let mut client = node.client().await;
    client.subscribe("a").await;
    assert_eq!(node.internal("/livez").await, (200, "{\"live\":true}\n".into()));
    let ready = node.internal_json("/readyz").await;
    assert_eq!(ready, json!({"ready": true, "reasons": [], "broker": {"kind": "memory"}}));
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
