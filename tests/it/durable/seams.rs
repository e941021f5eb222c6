//! Where replay ends and live begins: publishing goes on while clients resume,
//! leave, lag and vanish, and each sees the stream once and in order.

use std::time::Duration;

use futures_util::future::join_all;
use notifier::{
    client::Client,
    codec::Encoding,
    config::Config,
    proto::{ClientFrame, Connect, Position, Subscribe, Unsubscribe, client_frame, server_frame::Body},
};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{
    super::world::{PATIENCE, full_size, soon},
    Kind, Shop, numbers, on_every_broker, positions,
};

on_every_broker!(
    resuming_at_any_place_while_events_flow_misses_nothing,
    two_who_resume_at_the_same_place_are_independent,
    a_long_replay_ends_when_it_is_given_up,
    a_connection_that_closes_during_a_replay_leaves_nothing_behind,
    subscribing_again_with_a_position_replays_again,
    a_laggard_that_subscribes_anew_gets_nothing_twice,
);

const USERS: u64 = 5;
const EVENTS: u64 = 3_000;

/// Which user's cart an event of a sequence is of.
fn subject(seq: u64) -> String {
    format!("cart.u{}", seq % USERS)
}

/// The sequences that a pattern matches, of all that were published.
fn matches(pattern: &str, seq: u64) -> bool {
    pattern.ends_with(['*', '>']) || pattern == subject(seq)
}

/// A client that resumes and leaves again and again, somewhere behind.
async fn wander(url: String, epoch: String, number: usize) {
    let encoding = Encoding::OFFERED[number % 2];
    let (mut client, _) = Client::connect(&url, encoding, Connect::default()).await.expect("welcomed");
    let pattern = ["cart.*", "cart.u1", "cart.>", "cart.u3", ">"][number % 5].to_owned();
    let mut at = 0;
    while at < EVENTS - USERS {
        // Sometimes further back than it was.
        let from = if fastrand::bool() { at } else { fastrand::u64(0..=at) };
        let after = vec![Position { stream: "SHOP".into(), epoch: epoch.clone(), seq: from, ..Position::default() }];
        let subscribe = Subscribe { subject: pattern.clone(), after, snapshot: false };
        send(&mut client, client_frame::Body::Subscribe(subscribe)).await;
        let mut next = from + 1;
        let mut left = fastrand::u64(1..400);
        let mut asked = false;
        loop {
            let frame = timeout(PATIENCE * 3, client.next()).await.expect("a frame").expect("an open connection");
            let events = match frame.body {
                Some(Body::Replay(replay)) => replay.events,
                Some(Body::Event(event)) => vec![event],
                Some(Body::Subscribed(subscribed)) => {
                    assert!(subscribed.recovered);
                    continue;
                }
                Some(Body::Unsubscribed(_)) => break,
                Some(Body::Ping(_)) => continue,
                other => panic!("{other:?}"),
            };
            for event in events {
                while !matches(&pattern, next) {
                    next += 1;
                }
                assert_eq!((event.seq, event.subject.as_str()), (next, &*subject(next)), "{pattern} from {from}");
                at = at.max(next);
                next += 1;
                left = left.saturating_sub(1);
            }
            if !asked && (left == 0 || at >= EVENTS - USERS) {
                asked = true;
                let unsubscribe = Unsubscribe { subject: pattern.clone() };
                send(&mut client, client_frame::Body::Unsubscribe(unsubscribe)).await;
            }
        }
    }
    client.close().await;
}

async fn send(client: &mut Client, body: client_frame::Body) {
    client.send(ClientFrame { id: 1, body: Some(body) }).await.expect("an open connection");
}

async fn resuming_at_any_place_while_events_flow_misses_nothing(kind: Kind) {
    let clients = if full_size() { 50 } else { 12 };
    for window in ["16KiB", "200KiB", "64MiB"] {
        let shop = Shop::with(kind, |config| {
            config.streams[0].window.bytes = window.parse().expect("a size");
            config.limits.frames_burst = 100_000;
        })
        .await;
        let (mut client, _, subscribed) = shop.resume("cart.*", &json!([])).await;
        let epoch = subscribed["positions"][0]["epoch"].as_str().expect("an epoch").to_owned();
        let url = format!("ws://{}", shop.node.address);
        let wanderers = (0..clients).map(|number| wander(url.clone(), epoch.clone(), number));
        let publishing = async {
            match &shop.nats {
                Some(nats) => {
                    let jetstream = nats.client().await;
                    for seq in 1..=EVENTS {
                        jetstream.request(subject(seq), seq.to_string().into()).await.expect("stored");
                    }
                }
                None => {
                    for seq in 1..=EVENTS {
                        shop.inject(&subject(seq), seq.to_string()).await;
                        // As fast as it is handed out.
                        client.stored().await;
                    }
                }
            }
        };
        tokio::join!(publishing, join_all(wanderers));
        shop.has_no_consumers().await;
        shop.node.until_metric("notifier_subscriptions", |count| count == 1.0).await;
    }
}

async fn two_who_resume_at_the_same_place_are_independent(kind: Kind) {
    let shop = Shop::open(kind).await;
    let (_, _, subscribed) = shop.resume("cart.*", &json!([])).await;
    shop.publish("cart.u1", 1..=100).await;
    shop.until_followed().await;
    let mut after = positions(&subscribed);
    after[0]["seq"] = 40.into();
    let (one, other) = tokio::join!(shop.resume("cart.*", &after), shop.resume("cart.*", &after));
    let ((one, replayed, _), (mut other, replayed_too, _)) = (one, other);
    assert_eq!(numbers(&replayed), (41..=100).collect::<Vec<_>>());
    assert_eq!(numbers(&replayed_too), numbers(&replayed));
    // What becomes of the one is nothing to the other.
    one.close().await;
    shop.publish("cart.u1", [101]).await;
    assert_eq!(other.stored().await["data"], 101);
    shop.has_no_consumers().await;
}

/// So much that a replay takes its time.
async fn long(kind: Kind) -> (Shop, Value) {
    let narrow = |config: &mut Config| {
        config.limits.outbox_bytes = "64KiB".parse().expect("a size");
        config.limits.send_buffer = "8KiB".parse().expect("a size");
        config.streams[0].window.bytes = "256KiB".parse().expect("a size");
    };
    let shop = Shop::with(kind, narrow).await;
    let (_, _, subscribed) = shop.resume("cart.*", &json!([])).await;
    for number in 0..600 {
        shop.store("cart.u1", &[], &padded(number)).await;
    }
    shop.until_followed().await;
    (shop, positions(&subscribed))
}

fn padded(number: u64) -> String {
    format!("{{\"number\":{number},\"padding\":\"{}\"}}", "x".repeat(16_000))
}

async fn a_long_replay_ends_when_it_is_given_up(kind: Kind) {
    let (shop, after) = long(kind).await;
    let mut client = shop.node.client().await;
    client.send(json!({"id": 1, "subscribe": {"subject": "cart.*", "after": after}})).await;
    client.expect("replay").await;
    client.send(json!({"id": 2, "unsubscribe": {"subject": "cart.*"}})).await;
    let mut frames = 1;
    loop {
        let frame = client.next().await;
        if frame["replyTo"] == 2 {
            break;
        }
        assert!(frame.get("replay").is_some(), "{frame}");
        frames += 1;
    }
    shop.publish("cart.u1", [1]).await;
    client.resume("order.*", json!({})).await;
    shop.publish("order.1", [2]).await;
    assert_eq!(client.stored().await["data"], 2, "nothing comes behind `unsubscribed`");
    let replayed = shop.node.metric("notifier_replayed_total").await;
    assert!(replayed < 600.0, "{replayed} events in {frames} frames");
    shop.has_no_consumers().await;
}

async fn a_connection_that_closes_during_a_replay_leaves_nothing_behind(kind: Kind) {
    let (shop, after) = long(kind).await;
    shop.node.until_metric("notifier_connections", |count| count == 0.0).await;
    let tasks = shop.node.internal_json("/debug/state").await["tasks"].clone();
    for pattern in ["cart.u1", "cart.*", ">"] {
        let mut clients = Vec::new();
        for _ in 0..5 {
            let mut client = shop.node.client().await;
            client.send(json!({"id": 1, "subscribe": {"subject": pattern, "after": after}})).await;
            client.expect("replay").await;
            clients.push(client);
        }
        assert_eq!(shop.node.metric("notifier_subscriptions").await, 5.0);
        // Without a farewell.
        drop(clients);
        for gauge in ["notifier_subscriptions", "notifier_connections", "notifier_lagging", "notifier_outbox_bytes"] {
            shop.node.until_metric(gauge, |count| count == 0.0).await;
        }
    }
    soon("the end of all that was begun", async {
        while shop.node.internal_json("/debug/state").await["tasks"] != tasks {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    shop.has_no_consumers().await;
}

async fn subscribing_again_with_a_position_replays_again(kind: Kind) {
    let shop = Shop::open(kind).await;
    let (mut client, _, subscribed) = shop.resume("cart.*", &json!([])).await;
    shop.publish("cart.u1", 1..=10).await;
    for number in 1..=10 {
        assert_eq!(client.stored().await["data"], number);
    }
    for from in [0, 4, 10] {
        let mut after = positions(&subscribed);
        after[0]["seq"] = from.into();
        let (replayed, again) = client.resume("cart.*", json!({ "after": after })).await;
        assert_eq!(numbers(&replayed), (from + 1..=10).collect::<Vec<_>>());
        assert_eq!((&again["recovered"], &again["positions"][0]["seq"]), (&json!(true), &json!(10)));
    }
    shop.publish("cart.u1", [11]).await;
    assert_eq!(client.stored().await["data"], 11);
    assert!(client.events_until_now().await.is_empty());
    assert_eq!(shop.node.metric("notifier_subscriptions").await, 1.0);
}

async fn a_laggard_that_subscribes_anew_gets_nothing_twice(kind: Kind) {
    let narrow = |config: &mut Config| {
        config.limits.outbox_bytes = "1MiB".parse().expect("a size");
        config.limits.send_buffer = "8KiB".parse().expect("a size");
    };
    let shop = Shop::with(kind, narrow).await;
    let (mut slow, _, _) = shop.resume("cart.*", &json!([])).await;
    for number in 0..700 {
        shop.store("cart.u1", &[], &padded(number)).await;
    }
    shop.node.until_metric("notifier_lagging", |lagging| lagging == 1.0).await;
    // It reads on, until it is served from the stream and half of its outbox is free.
    let mut last = 0;
    while shop.node.metric("notifier_outbox_bytes").await > 600_000.0 {
        last = slow.stored().await["data"]["number"].as_u64().expect("a number");
    }
    assert!(last < 600 && shop.node.metric("notifier_lagging").await == 1.0, "{last}");
    slow.send_text(&format!(
        "{}\n{}",
        json!({"id": 8, "unsubscribe": {"subject": "cart.*"}}),
        json!({"id": 9, "subscribe": {"subject": "cart.*"}})
    ))
    .await;
    shop.node.until_metric("notifier_frames_received_total", |frames| frames >= 4.0).await;
    // It lags again before it has read any of that.
    for number in 700..900 {
        shop.store("cart.u1", &[], &padded(number)).await;
    }
    let mut frame = slow.next().await;
    while frame.get("subscribed").is_none() {
        frame = slow.next().await;
    }
    let from = frame["subscribed"]["positions"][0]["seq"].as_u64().expect("a sequence");
    assert_eq!(from, 700);
    for number in 700..900 {
        assert_eq!(slow.stored().await["data"]["number"], number);
    }
    shop.publish("cart.u1", [1]).await;
    assert_eq!(slow.stored().await["data"], 1);
    shop.node.until_metric("notifier_lagging", |lagging| lagging == 0.0).await;
    shop.has_no_consumers().await;
}
