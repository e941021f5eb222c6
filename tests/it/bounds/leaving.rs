//! What clients ask for and do not take.

use std::net::Ipv4Addr;

use serde_json::json;

use super::{KIB, MIB, Row, crowd, have_done, narrow, patient, subscribe};
use crate::{
    attacks::errors,
    frames::{FIN, PING, frame},
    handshake::raw::{Raw, head},
    world::{event_stream::EventReader, full_size, shop::STREAMS},
};

/// Readers that take nothing.
const DEAF: usize = 40;

#[tokio::test]
async fn events_for_clients_that_read_nothing() {
    let node = patient("[limits]\nlive_overflow = \"drop\"\nbytes_burst = \"1GiB\"\n").await;
    let _deaf = crowd(DEAF, |who| {
        let node = &node;
        async move {
            let mut raw = narrow(node).await;
            have_done(&mut raw, &[subscribe(&format!("own.{who}"))]).await;
            raw
        }
    })
    .await;
    let mut publisher = node.client().await;
    let row = Row::of("outboxes", &node);
    let data = "x".repeat(50_000);
    for _ in 0..8 {
        for who in 0..DEAF {
            publisher.send(json!({"publish": {"subject": format!("own.{who}"), "event": {"data": data}}})).await;
        }
    }
    node.until_metric("notifier_messages_published_total", |count| count == (8 * DEAF) as f64).await;
    node.until_metric("notifier_outbox_bytes", |bytes| bytes >= (DEAF * 250_000) as f64).await;
    // The queue, one chunk more, and the one that is being written; a chunk is an event here.
    row.is_full(DEAF as u64 * (256 + 2 * 49) * KIB);
}

#[tokio::test]
async fn events_for_event_streams_that_read_nothing() {
    let count = if full_size() { 1_000 } else { 200 };
    let node = patient("[limits]\nlive_overflow = \"drop\"\noutbox_bytes = \"64KiB\"\nbytes_burst = \"1GiB\"\n").await;
    let _deaf = crowd(count, |who| {
        let node = &node;
        async move {
            let mut raw = Raw::open_narrow(node.address).await;
            let request = head(&[&format!("GET /v1/events?subject=own.{who} HTTP/1.1"), "Host: a"]);
            raw.send(&request).await.expect("the node reads");
            raw
        }
    })
    .await;
    let mut lively = EventReader::open(node.address, "?subject=lively").await;
    node.until_metric("notifier_subscriptions", |live| live == (count + 1) as f64).await;
    lively.expect("welcome").await;
    lively.expect("subscribed").await;
    let mut publisher = node.client().await;
    let row = Row::of("outboxes of event streams", &node);
    let data = "x".repeat(20_000);
    for round in 0..6 {
        for who in 0..count {
            publisher.send(json!({"publish": {"subject": format!("own.{who}"), "event": {"data": data}}})).await;
        }
        publisher.send(json!({"publish": {"subject": "lively", "event": {"data": round}}})).await;
        assert_eq!(lively.events(1).await, [json!(round)], "the others go on");
    }
    node.until_metric("notifier_outbox_bytes", |bytes| bytes >= (count * 60_000) as f64).await;
    assert_eq!(node.metric("notifier_connections").await, (count + 2) as f64);
    // The queue, one event more, and the one that is being written.
    row.is_full(count as u64 * (64 + 2 * 20) * KIB);
}

#[tokio::test]
async fn the_shortest_frames_for_clients_that_read_nothing() {
    let node = patient("[limits]\nbytes_burst = \"1GiB\"\n").await;
    let mut deaf = crowd(DEAF, |_| {
        let node = &node;
        async move {
            let mut raw = narrow(node).await;
            have_done(&mut raw, &[subscribe("large")]).await;
            raw
        }
    })
    .await;
    node.publish("large", format!("{:?}", "x".repeat(100_000))).await;
    node.until_metric("notifier_outboxes_waiting", |count| count == DEAF as f64).await;
    let row = Row::of("outboxes of short frames", &node);
    for raw in &mut deaf {
        raw.send(&frame(FIN | PING, b"").repeat(8_000)).await.expect("the node reads");
    }
    node.until_metric("notifier_outbox_bytes", |bytes| bytes >= (DEAF * 8_000 * 2) as f64).await;
    // What answers the client itself may be twice as much.
    row.is_full(DEAF as u64 * 2 * 4_096 * 64);
}

#[tokio::test]
async fn answers_over_http_that_nobody_reads() {
    let node =
        patient(&format!("{STREAMS}\n[limits]\nhttp_answer_bytes = \"16MiB\"\nevent_bytes = \"256KiB\"\n")).await;
    for _ in 0..4 {
        node.publish("cart.u1", format!("{:?}", "x".repeat(250_000))).await;
    }
    let row = Row::of("HTTP answers", &node);
    let _deaf = crowd(DEAF, |who| {
        let node = &node;
        async move {
            let mut raw = Raw::open_narrow_from(Ipv4Addr::new(127, 0, 1, who as u8 + 1), node.address).await;
            let question = head(&["GET /v1/fetch?subject=cart.%3E HTTP/1.1", "Host: a"]);
            raw.send(&question).await.expect("the node reads");
            raw
        }
    })
    .await;
    node.until_metric(&errors("overloaded"), |count| count >= (DEAF - 20) as f64).await;
    assert!(node.metric("notifier_http_answer_bytes").await > 12.0 * MIB as f64);
    row.is_full(16 * MIB);
}
