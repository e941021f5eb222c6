//! Sequences without an event: what is missing because an operator deleted it
//! is no alarm, what was lost on its way to the node is read from the stream.

use notifier::config::Config;
use serde_json::{Value, json};

use super::{
    super::world::{TestNode, Ws, eventually, shop::STREAMS},
    Kind, Shop, numbers, positions,
};

async fn delete(shop: &Shop, seqs: impl IntoIterator<Item = u64>) {
    for seq in seqs {
        shop.nats().api("STREAM.MSG.DELETE.SHOP", &json!({ "seq": seq })).await;
    }
}

#[tokio::test]
async fn what_was_deleted_inside_a_stream_is_no_alarm() {
    let forgetful = |config: &mut Config| config.streams[0].window.bytes = "1KiB".parse().expect("a size");
    let roomy = |_: &mut Config| {};
    for change in [&roomy as &dyn Fn(&mut Config), &forgetful] {
        let shop = Shop::with(Kind::Nats, change).await;
        let (_, _, subscribed) = shop.resume("cart.*", &json!([])).await;
        for number in 1..=60 {
            shop.publish(&format!("cart.u{}", number % 3), [number]).await;
        }
        delete(&shop, [1, 2, 20, 21, 22, 40, 59, 60]).await;
        let there = |number: &u64| ![1, 2, 20, 21, 22, 40, 59, 60].contains(number);
        // Of who knew the events before, and of a node that never did.
        let late = Shop::node(Some(shop.nats()), change).await;
        let mut after = positions(&subscribed);
        // The first one to be there: what is below was dropped, which is another matter.
        after[0]["seq"] = 3.into();
        for (pattern, of) in [("cart.u1", Some(1)), ("cart.*", None), ("cart.>", None), (">", None)] {
            let expected: Vec<_> =
                (4..=60).filter(there).filter(|number| of.is_none_or(|of| number % 3 == of)).collect();
            let mut newcomer = late.client().await;
            let (replayed, again) = newcomer.resume(pattern, json!({ "after": after })).await;
            assert_eq!((numbers(&replayed), &again["recovered"]), (expected, &json!(true)), "{pattern}");
        }
        for node in [&shop.node, &late] {
            for series in ["notifier_gaps_reported_total", "notifier_stream_lag"] {
                eventually(series, || async { node.metric(series).await == 0.0 }).await;
            }
        }
    }
}

/// A process that loses each so many-th event on its way from the stream, and a
/// client that has been there from the beginning.
async fn lossy(shop: &Shop, every: u64) -> (TestNode, Ws) {
    let every = every.to_string();
    let node = TestNode::process(shop.nats(), STREAMS, &[("NOTIFIER_TEST_DROP_REPUBLISHED", &every)]).await;
    let mut client = node.client().await;
    client.resume("cart.*", json!({})).await;
    (node, client)
}

/// Events came once and in order, and each hole was noticed and filled.
async fn healed(node: &TestNode) -> f64 {
    eventually("no lag", || async { node.metric("notifier_stream_lag").await == 0.0 }).await;
    let detected = node.metric("notifier_gaps_detected_total").await;
    assert_eq!(node.metric("notifier_gaps_healed_total").await, detected);
    assert_eq!(node.metric("notifier_gaps_reported_total").await, 0.0);
    detected
}

#[tokio::test]
async fn what_was_lost_on_its_way_is_read_from_the_stream() {
    const EVENTS: u64 = 200;
    for every in [2, 7] {
        let shop = Shop::open(Kind::Nats).await;
        let (node, mut client) = lossy(&shop, every).await;
        let (mut observer, _, _) = shop.resume("cart.*", &json!([])).await;
        for number in 1..=EVENTS {
            shop.publish(&format!("cart.u{}", number % 3), [number]).await;
            if number % 20 == 0 {
                shop.publish("order.1", [0]).await;
            }
        }
        let mut seqs: Vec<Vec<Value>> = Vec::new();
        for client in [&mut client, &mut observer] {
            let mut events = Vec::new();
            for _ in 0..EVENTS {
                events.push(client.stored().await);
            }
            assert_eq!(numbers(&events), (1..=EVENTS).collect::<Vec<_>>(), "one in {every} is lost");
            seqs.push(events.into_iter().map(|mut event| event["seq"].take()).collect());
        }
        assert_eq!(seqs[0], seqs[1]);
        assert!(healed(&node).await > 0.0);
        assert!(client.events_until_now().await.is_empty());
        shop.has_no_consumers().await;
    }
}

#[tokio::test]
async fn a_lost_last_event_comes_though_nothing_follows_it() {
    let shop = Shop::open(Kind::Nats).await;
    let (node, mut client) = lossy(&shop, 3).await;
    // Each third is lost, and nothing betrays it but the stream itself.
    for round in 0..3 {
        shop.publish("cart.u1", [round * 3, round * 3 + 1, round * 3 + 2]).await;
        for number in 0..3 {
            assert_eq!(client.stored().await["data"], round * 3 + number);
        }
    }
    assert!(healed(&node).await >= 3.0);
}

#[tokio::test]
async fn where_everything_is_lost_everything_still_comes() {
    let shop = Shop::open(Kind::Nats).await;
    let (node, mut client) = lossy(&shop, 1).await;
    for round in 0..2 {
        shop.publish("cart.u1", round * 50..round * 50 + 50).await;
        for number in 0..50 {
            assert_eq!(client.stored().await["data"], round * 50 + number);
        }
    }
    assert!(healed(&node).await >= 2.0);
}
