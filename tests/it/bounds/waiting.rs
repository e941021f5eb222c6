//! What waits for NATS, or for services there.

use serde_json::{Value, json};

use super::{KIB, MIB, Row, crowd, patient_at, send_all};
use crate::{
    attacks::errors,
    frames::{JSON, connected, text},
    world::{NatsServer, shop::STREAMS},
};

fn publish(subject: &str, event: &Value) -> Value {
    json!({"publish": {"subject": subject, "event": event}})
}

#[tokio::test]
async fn publishes_that_wait_for_their_turn() {
    const COUNT: usize = 16;
    let headers: Value =
        (0..64).map(|number| (format!("h{number}"), json!("v"))).collect::<serde_json::Map<_, _>>().into();
    let rows = [
        ("waiting publishes of nothing", json!({}), 2_200),
        ("waiting publishes of many headers", json!({ "headers": headers }), 200),
        ("waiting publishes of data", json!({"data": "x".repeat(40_000)}), 30),
    ];
    for (name, event, count) in rows {
        let nats = NatsServer::jetstream().await;
        let limits = "[limits]\npublishes_in_flight = 1\nbytes_per_second = \"1GiB\"\nbytes_burst = \"1MiB\"\n";
        let node = patient_at(&nats, &format!("{STREAMS}{limits}")).await;
        let mut crowd = crowd(COUNT, |_| connected(&node, JSON)).await;
        let row = Row::of(name, &node);
        nats.pause().await;
        for raw in &mut crowd {
            // One by one where they are large: a message has 64 KiB.
            for part in vec![publish("cart.u1", &event); count].chunks(if count > 1_000 { 64 } else { 1 }) {
                send_all(raw, part).await;
            }
        }
        node.until_metric(&errors("in_flight_limit"), |refused| refused >= COUNT as f64).await;
        row.is_full(COUNT as u64 * MIB);
    }
}

#[tokio::test]
async fn reads_that_wait_for_their_turn() {
    const COUNT: usize = 8;
    let nats = NatsServer::jetstream().await;
    let node = patient_at(
        &nats,
        "[limits]\nfetches_in_flight = 1\nbytes_per_second = \"1GiB\"\nbytes_burst = \"1MiB\"\n\
         [[streams]]\nname = \"SHOP\"\nsubjects = [\"cart.>\"]\nwindow = { bytes = \"1B\" }\n\
         [[subjects]]\npattern = \"cart.>\"\ndelivery = \"durable\"\nstream = \"SHOP\"\n",
    )
    .await;
    // Something that is not in memory.
    for number in 0..20 {
        node.publish("cart.u1", number.to_string()).await;
    }
    let mut crowd = crowd(COUNT, |_| connected(&node, JSON)).await;
    let row = Row::of("waiting reads", &node);
    nats.pause().await;
    let fetch: Vec<Value> = (1..=4_500).map(|id| json!({"id": id, "fetch": {"subject": "cart.u1"}})).collect();
    let fill = async {
        for raw in &mut crowd {
            send_all(raw, &fetch).await;
        }
        node.until_metric(&errors("in_flight_limit"), |refused| refused >= COUNT as f64).await;
    };
    let ((), most) = row.most(fill).await;
    row.compare(most, COUNT as u64 * MIB);
}

#[tokio::test]
async fn requests_that_no_service_answers() {
    const COUNT: usize = 8;
    const EACH: usize = 500;
    let nats = NatsServer::start().await;
    let (_service, _asked) = nats.listener("ask.>").await;
    let node = patient_at(
        &nats,
        &format!("[limits]\nrequest_time = \"10m\"\nrequests_in_flight = {EACH}\nbytes_burst = \"1GiB\"\n"),
    )
    .await;
    let mut crowd = crowd(COUNT, |_| connected(&node, JSON)).await;
    let row = Row::of("waiting requests", &node);
    let data = "x".repeat(1_500);
    let request = |id| json!({"id": id, "request": {"subject": "ask.a", "event": {"data": data}}});
    for raw in &mut crowd {
        for first in (1..=EACH).step_by(20) {
            send_all(raw, &(first..first + 20).map(request).collect::<Vec<_>>()).await;
        }
    }
    node.until_metric("notifier_requests_waiting", |waiting| waiting == (COUNT * EACH) as f64).await;
    // What they asked has left.
    row.is_full((COUNT * EACH) as u64 * 2 * KIB);
}

#[tokio::test]
async fn publishes_that_no_stream_acknowledges() {
    const COUNT: usize = 32;
    const EACH: usize = 256;
    let nats = NatsServer::jetstream().await;
    let node = patient_at(&nats, &format!("{STREAMS}[limits]\npublishes_in_flight = {EACH}\n")).await;
    let mut crowd = crowd(COUNT, |_| connected(&node, JSON)).await;
    let row = Row::of("unacknowledged publishes", &node);
    nats.pause().await;
    let fill = async {
        for raw in &mut crowd {
            send_all(raw, &vec![publish("cart.u1", &json!({})); EACH]).await;
        }
        node.until_metric("notifier_publishes_waiting", |waiting| waiting >= (COUNT * EACH) as f64 * 0.9).await;
    };
    let ((), most) = row.most(fill).await;
    // And the commands for NATS.
    row.compare(most, (COUNT * EACH) as u64 * KIB / 2 + MIB);
}

#[tokio::test]
async fn live_events_that_nats_does_not_take() {
    let nats = NatsServer::start().await;
    let node = patient_at(&nats, "[limits]\nevent_bytes = \"256KiB\"\nbytes_burst = \"1GiB\"\n").await;
    let mut client = connected(&node, JSON).await;
    let row = Row::of("live events for NATS", &node);
    nats.pause().await;
    let mut taken = 0;
    while node.post("/v1/publish/live.a", &[], vec![b'1'; 250_000].into()).await.status() == 200 {
        taken += 1;
        assert!(taken < 200, "50 MB are taken, and NATS takes nothing");
    }
    // Short ones: the client's queue has a place for each of 2,048.
    let data = "x".repeat(3_000);
    for _ in 0..150 {
        send_all(&mut client, &vec![publish("live.a", &json!({"data": data})); 16]).await;
    }
    node.until_metric("notifier_messages_published_total", |count| count >= f64::from(taken + 2_000)).await;
    row.is_full(16 * MIB);
}

#[tokio::test]
async fn requests_that_nats_does_not_take() {
    const COUNT: usize = 16;
    let nats = NatsServer::start().await;
    let node =
        patient_at(&nats, "[limits]\nrequest_time = \"10m\"\nrequests_in_flight = 20\nbytes_burst = \"1GiB\"\n").await;
    let mut crowd = crowd(COUNT, |_| connected(&node, JSON)).await;
    let row = Row::of("commands for NATS", &node);
    nats.pause().await;
    let data = "x".repeat(60_000);
    let fill = async {
        for raw in &mut crowd {
            for id in 1..=20 {
                let request = json!({"id": id, "request": {"subject": "ask.a", "event": {"data": data}}});
                raw.send(&text(&request)).await.expect("the node reads");
            }
        }
        node.until_metric(&errors("broker_unavailable"), |refused| refused >= 1.0).await;
    };
    let ((), most) = row.most(fill).await;
    // What waits, as much that is being written, and what a buffer that grows leaves behind.
    row.compare(most, 20 * MIB);
}

/// Members of a pattern that are more than one turn serves by itself.
const MEMBERS: usize = 1_000;

#[tokio::test]
async fn events_that_wait_for_many_members() {
    let nats = NatsServer::start().await;
    let node =
        patient_at(&nats, "[limits]\nbacklog_bytes = \"16MiB\"\nlive_overflow = \"drop\"\noutbox_bytes = \"1KiB\"\n")
            .await;
    let _crowd = crowd(MEMBERS, |_| {
        let node = &node;
        async move {
            let mut raw = super::narrow(node).await;
            super::have_done(&mut raw, &[super::subscribe("hot")]).await;
            raw
        }
    })
    .await;
    let row = Row::of("backlog", &node);
    let mut service = nats.publisher().await;
    let fill = async {
        let overflow = || async { node.metric("notifier_drops_total{reason=\"broker_overflow\"}").await > 0.0 };
        while !overflow().await {
            for _ in 0..20_000 {
                service.publish(b"hot", b"", None, b"1").await;
            }
            service.flush().await;
        }
    };
    let ((), most) = row.most(fill).await;
    row.compare(most, 16 * MIB);
}
