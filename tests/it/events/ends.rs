//! How an event stream ends: each time its reader is told why, and comes back or not.

use std::time::Duration;

use notifier::config::{Overflow, Span};
use serde_json::{Value, json};

use super::{live, numbers};
use crate::world::{Kind, Shop, TestNode, event_stream::EventReader, eventually, tokens};

#[tokio::test]
async fn a_reader_is_told_to_go_before_its_node_leaves_and_misses_nothing_elsewhere() {
    let mut shop = Shop::open(Kind::Nats).await;
    let other = Shop::node(shop.nats.as_ref(), |_| {}).await;
    let mut reader = live(&shop.node, "?subject=cart.*").await;
    shop.publish("cart.a", [1]).await;
    assert_eq!(reader.events(1).await, numbers([1]));
    shop.node.leave();
    let rest = reader.rest().await;
    assert_eq!(rest[0]["goaway"]["windowMs"], 200, "{rest:?}");
    assert_eq!(rest[1..], [json!({"goaway": {"reason": "draining"}})]);
    assert!(reader.retry.is_some_and(|retry| (100..1_000).contains(&retry)), "{:?}", reader.retry);
    let mut reader = EventReader::resume(other.address, "?subject=cart.*", &reader.id).await;
    reader.expect("welcome").await;
    assert_eq!(reader.expect("subscribed").await["recovered"], true);
    drop(reader);
    shop.node.gone().await;
}

#[tokio::test]
async fn a_reader_is_warned_of_the_end_of_its_token_and_told_of_it() {
    let node = TestNode::with(|config| {
        tokens::with_secret(config);
        config.auth.query_parameter = Some("token".into());
        config.auth.leeway = Duration::ZERO.into();
    })
    .await;
    let mut claims = tokens::claims("u42", &[]);
    claims["exp"] = json!(tokens::now() + 2);
    let query = format!("?subject=shop.u42.cart&token={}", tokens::token(&claims));
    let mut reader = EventReader::open(node.address, &query).await;
    assert_eq!(reader.status, 200, "{}", reader.head);
    let rest = reader.rest().await;
    let names: Vec<&str> =
        rest.iter().flat_map(|frame| frame.as_object().expect("a frame").keys()).map(String::as_str).collect();
    assert!(names.contains(&"tokenExpiring"), "{rest:?}");
    assert_eq!(rest.last(), Some(&json!({"goaway": {"reason": "token_expired"}})));
    // Final, also for an EventSource: it stops.
    eventually("the end", || async { EventReader::open(node.address, &query).await.status == 401 }).await;
}

#[tokio::test]
async fn a_reader_that_is_too_slow_is_ended_and_its_neighbour_misses_nothing() {
    let node = TestNode::with(|config| {
        config.limits.outbox_bytes = "64KiB".parse().expect("a size");
        config.limits.close_time = Duration::from_millis(200).into();
    })
    .await;
    let stalled = live(&node, "?subject=load").await;
    let mut lively = live(&node, "?subject=load").await;
    let slow = "notifier_connections_closed_total{reason=\"slow_consumer\"}";
    let data = json!("x".repeat(8_000));
    let mut sent = 0;
    while node.metric(slow).await == 0.0 {
        assert!(sent < 20_000, "160 MB and not yet closed");
        for _ in 0..4 {
            node.publish("load", data.to_string()).await;
            sent += 1;
        }
        assert_eq!(lively.events(4).await, [&data; 4].map(Value::clone));
    }
    node.until_metric("notifier_connections", |count| count == 1.0).await;
    assert_eq!(node.metric("notifier_outbox_bytes").await, 0.0);
    drop(stalled);
}

#[tokio::test]
async fn a_slow_reader_of_a_stream_catches_up_with_ids_that_hold() {
    let shop = Shop::with(Kind::Nats, |config| {
        // Room for a few events: an answer that finds twice as much waiting ends the connection.
        config.limits.outbox_bytes = "128KiB".parse().expect("a size");
        config.limits.send_buffer = "16KiB".parse().expect("a size");
        config.limits.live_overflow = Overflow::Drop;
        config.limits.stall_time = Span::seconds(60);
    })
    .await;
    let query = "?subject=cart.*&subject=price.*";
    let mut reader = EventReader::open(shop.node.address, query).await;
    reader.expect("welcome").await;
    reader.expect("subscribed").await;
    reader.expect("subscribed").await;
    let filling = "x".repeat(40_000);
    for number in 0..300 {
        shop.store("cart.a", &[], &json!([number, filling]).to_string()).await;
    }
    shop.node.until_metric("notifier_lagging", |lagging| lagging == 1.0).await;
    let mut next = 0;
    // Cut now and then: nothing is missing, and nothing comes twice.
    while next < 300 {
        for event in reader.events(40.min(300 - next)).await {
            assert_eq!(event[0], next);
            next += 1;
        }
        reader = EventReader::resume(shop.node.address, query, &reader.id).await;
        reader.expect("welcome").await;
    }
}

#[tokio::test]
async fn while_nats_is_away_a_stream_waits_and_then_goes_on() {
    let mut shop = Shop::open(Kind::Nats).await;
    let mut reader = live(&shop.node, "?subject=cart.*").await;
    shop.publish("cart.a", [1]).await;
    assert_eq!(reader.events(1).await, numbers([1]));
    shop.nats.as_mut().expect("it runs on NATS").kill();
    while reader.ping().await["broker"] != "down" {}
    // One that comes meanwhile is welcome too.
    let mut late = EventReader::resume(shop.node.address, "?subject=cart.*", &reader.id).await;
    assert_eq!(late.expect("welcome").await["broker"], "down");
    shop.nats.as_mut().expect("it runs on NATS").restart().await;
    shop.node.until_ready().await;
    while reader.ping().await["broker"] != "ok" {}
    shop.publish("cart.a", [2]).await;
    assert_eq!(reader.events(1).await, numbers([2]));
    assert_eq!(late.events(1).await, numbers([2]));
}
