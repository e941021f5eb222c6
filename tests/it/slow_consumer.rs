//! A slow reader hurts only itself.

use std::time::Duration;

use serde_json::json;

use super::{
    frames::{JSON, text},
    handshake::raw::Raw,
    world::{NatsServer, TestNode, soon},
};

#[tokio::test]
async fn a_client_that_stops_reading_is_closed_and_its_neighbours_miss_nothing() {
    let nats = NatsServer::start().await;
    let node = TestNode::nats_with(&nats, |config| {
        config.limits.outbox_bytes = "64KiB".parse().expect("a size");
        config.limits.close_time = Duration::from_millis(200).into();
    })
    .await;
    let (mut stalled, mut lively) = (node.client().await, node.client().await);
    stalled.subscribe("load").await;
    lively.subscribe("load").await;
    let service = nats.client().await;
    let padding = "x".repeat(8_000);
    let slow = "notifier_connections_closed_total{reason=\"slow_consumer\"}";
    let mut sent = 0;
    while node.metric(slow).await == 0.0 {
        assert!(sent < 20_000, "160 MB and not yet closed");
        // Less at once than the queue holds, so that whoever reads is not slow.
        for _ in 0..4 {
            service
                .publish("load", json!({"n": sent, "padding": padding}).to_string().into())
                .await
                .expect("published");
            sent += 1;
        }
        for number in sent - 4..sent {
            assert_eq!(lively.event().await.1["n"], number);
        }
    }
    assert!(node.metric("notifier_drops_total{reason=\"slow_consumer\"}").await >= 1.0);
    node.until_metric("notifier_connections", |count| count == 1.0).await;
    assert_eq!(node.metric("notifier_outbox_bytes").await, 0.0);
    assert_eq!(node.metric("notifier_outboxes_waiting").await, 0.0);
    lively.subscribe("still.here").await;
    drop(stalled);
}

#[tokio::test]
async fn a_client_that_lags_gets_everything_in_order_in_fewer_messages() {
    let node = TestNode::with(|config| {
        config.limits.outbox_bytes = "64MiB".parse().expect("a size");
        config.limits.outbox_frames = 100_000;
        // It takes nothing for as long as the publishing lasts.
        config.limits.stall_time = Duration::from_secs(60).into();
    })
    .await;
    let mut client = node.client().await;
    client.subscribe("load").await;
    let padding = "x".repeat(500);
    let total = 6_000;
    for number in 0..total {
        if number % 1_000 == 0 {
            // The embedded broker drops what its feed cannot take.
            node.until_metric("notifier_deliveries_total", |count| count >= number as f64).await;
        }
        node.inject("load", json!({"n": number, "padding": padding}).to_string()).await;
    }
    soon("all events", async {
        for number in 0..total {
            assert_eq!(client.event().await.1["n"], number);
        }
    })
    .await;
    assert_eq!(node.metric("notifier_drops_total{reason=\"slow_consumer\"}").await, 0.0);
}

/// A client that speaks only when the test has it read, and whose kernel takes little by itself.
async fn narrow(node: &TestNode) -> Raw {
    let mut raw = Raw::open_narrow(node.address).await.upgrade(JSON).await;
    raw.send(&text(&json!({"connect": {"subscriptions": [{"subject": "load"}]}}))).await.expect("the node reads");
    raw
}

#[tokio::test]
async fn a_client_that_sips_is_closed_and_one_that_reads_slowly_gets_everything() {
    let node = TestNode::with(|config| {
        // 256 KiB within a stall time are enough.
        config.limits.outbox_bytes = "2MiB".parse().expect("a size");
        config.limits.send_buffer = "16KiB".parse().expect("a size");
        config.limits.stall_time = Duration::from_secs(5).into();
    })
    .await;
    let (mut sips, mut slow) = (narrow(&node).await, node.client().await);
    slow.subscribe("load").await;
    node.until_metric("notifier_subscriptions", |count| count == 2.0).await;
    let padding = "x".repeat(8_000);
    for number in 0..80 {
        node.publish("load", json!({"n": number, "padding": padding}).to_string()).await;
    }
    let sipping = async {
        // 20 kB/s: more in each stall time than the kernel holds, and for 32 s.
        while sips.sip(1_024).await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let reading = async {
        for number in 0..80 {
            assert_eq!(slow.event().await.1["n"], number);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    soon("its end", async { tokio::join!(sipping, reading) }).await;
    assert_eq!(node.metric("notifier_connections_closed_total{reason=\"slow_consumer\"}").await, 1.0);
    slow.subscribe("still.here").await;
}
