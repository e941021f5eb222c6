//! Clients that others have written, as they come: they subscribe, receive,
//! answer pings by themselves and see the farewell.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::LazyLock,
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::world::{NatsServer, TestNode, soon};

const EVENTS: usize = 500;

/// The Python that has `websockets`; `ws` is installed along with it.
static PYTHON: LazyLock<PathBuf> = LazyLock::new(|| {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/peers.sh");
    let output = Command::new(script).stderr(Stdio::inherit()).output().expect("the script runs");
    assert!(output.status.success(), "the peers cannot be installed");
    String::from_utf8(output.stdout).expect("a path").trim().into()
});

/// Runs a script of tests/peers; resolves to the line it prints.
fn peer(program: &Path, script: &str, url: &str, subprotocol: &str) -> oneshot::Receiver<Value> {
    let mut command = Command::new(program);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers").join(script)).args([url, subprotocol]);
    let (tell, told) = oneshot::channel();
    // The node lives on this thread, so another one has to wait for the process.
    thread::spawn(move || {
        let output = command.stderr(Stdio::inherit()).output().expect("the peer runs");
        assert!(output.status.success(), "the peer fails");
        tell.send(serde_json::from_slice(&output.stdout).expect("a line of JSON"))
    });
    told
}

/// What a peer says of a node that it has listened to from `connect` to the end.
async fn listen(program: &Path, script: &str, subprotocol: &str) -> Value {
    let mut node = TestNode::with(|config| config.server.heartbeat = Duration::from_millis(300).into()).await;
    let mut told = peer(program, script, &format!("ws://{}/v1/ws", node.address), subprotocol);
    node.until_metric("notifier_subscriptions", |count| count == 1.0).await;

    // In one message, so that they come in batches.
    let mut publisher = node.client().await;
    let publish = |number| json!({"id": number, "publish": {"subject": "a", "event": {"data": number}}}).to_string();
    publisher.send_text(&(0..EVENTS).map(publish).collect::<Vec<_>>().join("\n")).await;
    while publisher.expect("published").await["replyTo"] != EVENTS - 1 {}
    publisher.close().await;
    node.until_metric("notifier_connections", |count| count == 1.0).await;

    // All that a listener sends are pongs, of 6 bytes. Five of them are more
    // heartbeats than a client may miss.
    let received = node.metric("notifier_received_bytes_total").await;
    tokio::select! {
        () = node.until_metric("notifier_received_bytes_total", |now| now >= received + 5.0 * 6.0) => {}
        early = &mut told => panic!("the peer has ended before the node did: {}", early.expect("a result")),
    }

    node.leave();
    let result = soon("the peer's end", told).await.expect("a result");
    node.gone().await;
    result
}

/// Compares what does not depend on time.
fn assert_complete(mut result: Value, subprotocol: &str) {
    assert!(result["heartbeats"].take().as_u64() >= Some(5), "{result}");
    assert!(result["largestBatch"].take().as_u64() > Some(1), "{result}");
    assert_eq!(
        result,
        json!({
            "protocol": subprotocol,
            // Both offer permessage-deflate.
            "extensions": "",
            "binary": subprotocol == "notifier.v1.proto",
            "kinds": ["welcome", "subscribed", "event", "goaway"],
            "events": (0..EVENTS).collect::<Vec<_>>(),
            "heartbeats": null,
            "largestBatch": null,
            "code": 4001,
            "reason": "draining",
        })
    );
}

#[tokio::test]
async fn the_npm_package_ws_is_served() {
    // Installs both.
    LazyLock::force(&PYTHON);
    for subprotocol in ["notifier.v1.json", "notifier.v1.proto"] {
        let mut result = listen(Path::new("node"), "ws.mjs", subprotocol).await;
        let pings = result.as_object_mut().expect("an object").remove("pings");
        assert!(pings.and_then(|pings| pings.as_u64()) >= Some(5), "{result}");
        assert_complete(result, subprotocol);
    }
}

#[tokio::test]
async fn the_python_package_websockets_is_served() {
    for subprotocol in ["notifier.v1.json", "notifier.v1.proto"] {
        let result = listen(&PYTHON, "websockets_client.py", subprotocol).await;
        assert_complete(result, subprotocol);
    }
}

/// What the official SDK of CloudEvents publishes in both modes, over HTTP and to NATS, comes back to it whole.
async fn publishes_and_reads_cloud_events(program: &Path, script: &str, subject: &str) {
    let nats = NatsServer::start().await;
    let node = TestNode::nats(&nats).await;
    let told = peer(program, script, &format!("http://{}", node.address), &nats.url());
    let mut result = soon("the peer's end", told).await.expect("a result");
    let events = result.as_array_mut().expect("events");
    assert_eq!(events.len(), 12);
    for event in events {
        let got = event["got"].as_object_mut().expect("an event");
        assert_eq!(got.remove("notifiersubject"), Some(json!(subject)));
        assert_eq!(event["got"], event["sent"]);
    }
}

#[tokio::test]
async fn the_python_sdk_of_cloud_events_publishes_and_reads() {
    publishes_and_reads_cloud_events(&PYTHON, "cloudevents_client.py", "ce.python").await;
}

#[tokio::test]
async fn the_javascript_sdk_of_cloud_events_publishes_and_reads() {
    LazyLock::force(&PYTHON);
    publishes_and_reads_cloud_events(Path::new("node"), "cloudevents.mjs", "ce.js").await;
}
