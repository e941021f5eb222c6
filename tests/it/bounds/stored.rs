//! What is kept of streams, and read from them.

use serde_json::json;

use super::{KIB, MIB, PATIENT, Row, crowd, narrow, patient, patient_at, send_all};
use crate::{
    frames::{JSON, connected, text},
    world::{NatsServer, TestNode, eventually},
};

/// Messages that a node has read from NATS.
const RECEIVED: &str = "notifier_messages_received_total";

/// A stream of which a node keeps so much.
fn stream(window: &str, more: &str) -> String {
    format!(
        "[[streams]]\nname = \"SHOP\"\nsubjects = [\"cart.>\"]\nwindow = {{ bytes = \"{window}\" }}\n{more}\n\
         [[subjects]]\npattern = \"cart.>\"\ndelivery = \"durable\"\nstream = \"SHOP\"\n"
    )
}

/// Has a service store events, and waits until the node has heard of all.
async fn store(nats: &NatsServer, node: &TestNode, count: usize, headers: Option<&[u8]>, data: &[u8]) {
    let before = node.metric(RECEIVED).await;
    let mut service = nats.publisher().await;
    for number in 0..count {
        service.publish(format!("cart.{number}").as_bytes(), b"", headers, data).await;
    }
    service.flush().await;
    node.until_metric(RECEIVED, |received| received >= before + count as f64).await;
}

#[tokio::test]
async fn the_window_of_a_stream() {
    let nats = NatsServer::jetstream().await;
    let config = format!("{}[events]\nforward_headers = [\"h\"]\n", stream("16MiB", ""));
    let node = patient_at(&nats, &config).await;
    let row = Row::of("window", &node);
    // An event counts some 980 bytes.
    store(&nats, &node, 20_000, Some(b"NATS/1.0\r\nh: v\r\n\r\n"), b"1").await;
    row.is_full(16 * MIB);
}

#[tokio::test]
async fn a_stream_in_the_process() {
    const COUNT: usize = 24_000;
    let node = patient(&format!("{}[limits]\nbytes_burst = \"1GiB\"\n", stream("1B", "max_bytes = \"8MiB\""))).await;
    let mut client = connected(&node, JSON).await;
    let row = Row::of("stream in the process", &node);
    for first in (0..COUNT).step_by(200) {
        let publish = |number: usize| json!({"publish": {"subject": "cart.a", "event": {"id": number.to_string()}}});
        send_all(&mut client, &(first..first + 200).map(publish).collect::<Vec<_>>()).await;
    }
    node.until_metric("notifier_messages_published_total", |count| count == COUNT as f64).await;
    // The events, and the identifiers of those that have gone already.
    row.is_full(8 * MIB + COUNT as u64 * 256);
}

#[tokio::test]
async fn bodies_of_requests_that_a_stream_in_the_process_keeps() {
    const COUNT: usize = 4_000;
    let node = patient(&stream("1B", "max_bytes = \"256MiB\"")).await;
    let row = Row::of("bodies that are kept", &node);
    crowd(COUNT, |_| node.publish("cart.a", "1")).await;
    row.is_full(COUNT as u64 * KIB);
}

#[tokio::test]
async fn reads_of_what_is_not_in_memory_that_nobody_takes() {
    const READERS: usize = 8;
    const SUBJECTS: usize = 8;
    let nats = NatsServer::jetstream().await;
    let node = patient_at(&nats, &stream("1B", "")).await;
    let data = format!("{:?}", "x".repeat(60_000));
    for _ in 0..16 {
        store(&nats, &node, SUBJECTS, None, data.as_bytes()).await;
    }
    let mut deaf = crowd(READERS, |_| narrow(&node)).await;
    let row = Row::of("reads of clients", &node);
    for raw in &mut deaf {
        for id in 1..=SUBJECTS {
            let fetch = json!({"id": id, "fetch": {"subject": format!("cart.{}", id - 1)}});
            raw.send(&text(&fetch)).await.expect("the node reads");
        }
    }
    // Four of them, and one more encoded.
    let bound = READERS as u64 * 5 * MIB;
    let full = async {
        node.until_metric("notifier_outboxes_waiting", |count| count == READERS as f64).await;
        eventually("reads", || async { row.grown() > bound / 2 }).await;
    };
    let ((), most) = row.most(full).await;
    row.compare(most, bound);
}

#[tokio::test]
async fn replays_that_nobody_takes() {
    const READERS: usize = 32;
    let nats = NatsServer::jetstream().await;
    let node = patient_at(&nats, &stream("1B", "")).await;
    store(&nats, &node, 128, None, format!("{:?}", "x".repeat(60_000)).as_bytes()).await;
    let answer = node.get("/v1/fetch?subject=cart.%3E&limit=1").await;
    let mut answer: serde_json::Value = serde_json::from_slice(answer.body()).expect("JSON");
    let mut after = answer["fetched"]["positions"].take();
    after[0]["seq"] = json!(0);
    let mut deaf = crowd(READERS, |_| narrow(&node)).await;
    let row = Row::of("replays", &node);
    for raw in &mut deaf {
        send_all(raw, &[json!({"subscribe": {"subject": "cart.>", "after": after}})]).await;
    }
    node.until_metric("notifier_outboxes_waiting", |count| count == READERS as f64).await;
    row.is_full(READERS as u64 * (256 + 64 + 512) * KIB);
}

#[tokio::test]
async fn newest_values_that_are_taken_slowly() {
    const READERS: usize = 32;
    let nats = NatsServer::jetstream().await;
    let latest = "[[streams]]\nname = \"PRICES\"\nsubjects = [\"cart.>\"]\nwindow = { bytes = \"1B\" }\n\
                  max_messages_per_subject = 1\n[[subjects]]\npattern = \"cart.>\"\ndelivery = \"latest\"\nstream = \"PRICES\"\n";
    let node = patient_at(&nats, latest).await;
    store(&nats, &node, 64, None, format!("{:?}", "x".repeat(60_000)).as_bytes()).await;
    let mut deaf = crowd(READERS, |_| narrow(&node)).await;
    let row = Row::of("newest values", &node);
    for raw in &mut deaf {
        raw.send(&text(&json!({"subscribe": {"subject": "cart.>"}}))).await.expect("the node reads");
    }
    node.until_metric("notifier_outboxes_waiting", |count| count == READERS as f64).await;
    row.is_full(READERS as u64 * (256 + 64 + 256) * KIB);
}

#[tokio::test]
async fn events_behind_a_hole_that_cannot_be_read() {
    let nats = NatsServer::jetstream_with(
        "authorization { users: [\
         { user: node, password: n, permissions: { publish: { deny: [\"$JS.API.DIRECT.GET.>\", \"$JS.API.STREAM.MSG.GET.>\"] } } },\
         { user: service, password: s } ] }",
    )
    .await;
    let url = nats.url().replace("nats://", "nats://node:n@");
    let environment =
        [PATIENT, &[("NOTIFIER_BROKER__NATS__URLS", &*url), ("NOTIFIER_TEST_DROP_REPUBLISHED", "50")]].concat();
    let config = format!("{}[events]\nforward_headers = [\"h\"]\n", stream("1B", ""));
    let node = TestNode::process(&nats, &config, &environment).await;
    let row = Row::of("events behind a hole", &node);
    let received = node.metric(RECEIVED).await;
    let mut service = nats.user("service", "s").await;
    for number in 0..20_000 {
        service.publish(format!("cart.{number}").as_bytes(), b"", Some(b"NATS/1.0\r\nh: v\r\n\r\n"), b"1").await;
    }
    service.flush().await;
    node.until_metric(RECEIVED, |count| count >= received + 19_000.0).await;
    assert!(node.metric("notifier_gaps_detected_total").await > 0.0);
    row.is_full(16 * MIB);
}
