//! Resuming below what the node has in memory: the stream is read in the way
//! that costs it least.

use serde_json::{Value, json};

use super::{Kind, Shop, numbers, on_every_broker, positions};

on_every_broker!(
    a_single_subject_is_read_by_itself,
    a_pattern_with_few_changed_subjects_is_merged_in_order,
    a_pattern_with_many_changed_subjects_is_read_in_order,
    all_of_a_stream_is_read_in_order,
    many_clients_with_patterns_of_their_own_ask_together,
    who_resumes_while_events_flow_misses_nothing,
);

/// A shop whose node keeps next to nothing in memory.
async fn forgetful(kind: Kind) -> Shop {
    Shop::with(kind, |config| config.streams[0].window.bytes = "1KiB".parse().expect("a size")).await
}

/// The beginning of the stream.
async fn beginning(shop: &Shop) -> Value {
    let (_, _, subscribed) = shop.resume("cart.>", &json!([])).await;
    positions(&subscribed)
}

async fn asked(shop: &Shop, kind: &str) -> f64 {
    shop.node.metric(&format!("notifier_stream_requests_total{{kind=\"{kind}\"}}")).await
}

async fn a_single_subject_is_read_by_itself(kind: Kind) {
    let shop = forgetful(kind).await;
    let after = beginning(&shop).await;
    for round in 0..30 {
        shop.publish("cart.u1", [round]).await;
        shop.publish("cart.u2", [1_000 + round]).await;
    }
    shop.until_followed().await;
    let (_, replayed, subscribed) = shop.resume("cart.u1", &after).await;
    assert_eq!(numbers(&replayed), (0..30).collect::<Vec<_>>());
    assert_eq!(subscribed["recovered"], true);
}

async fn a_pattern_with_few_changed_subjects_is_merged_in_order(kind: Kind) {
    let shop = forgetful(kind).await;
    let after = beginning(&shop).await;
    for round in 0..90 {
        shop.publish(&format!("cart.u{}.items", round % 9), [round]).await;
        shop.publish(&format!("order.{round}"), [1_000 + round]).await;
    }
    shop.until_followed().await;
    let (_, replayed, subscribed) = shop.resume("cart.*.items", &after).await;
    assert_eq!(numbers(&replayed), (0..90).collect::<Vec<_>>());
    assert_eq!(subscribed["recovered"], true);
}

async fn a_pattern_with_many_changed_subjects_is_read_in_order(kind: Kind) {
    let shop = forgetful(kind).await;
    let after = beginning(&shop).await;
    for round in 0..150 {
        shop.publish(&format!("cart.u{round}"), [round]).await;
        shop.publish(&format!("order.{round}"), [1_000 + round]).await;
    }
    shop.until_followed().await;
    let (_, replayed, _) = shop.resume("cart.*", &after).await;
    assert_eq!(numbers(&replayed), (0..150).collect::<Vec<_>>());
}

async fn all_of_a_stream_is_read_in_order(kind: Kind) {
    let shop = forgetful(kind).await;
    let after = beginning(&shop).await;
    for round in 0..100 {
        shop.publish("cart.u1", [2 * round]).await;
        shop.publish("order.7", [2 * round + 1]).await;
    }
    shop.until_followed().await;
    let (_, replayed, _) = shop.resume(">", &after).await;
    assert_eq!(numbers(&replayed), (0..200).collect::<Vec<_>>());
}

async fn many_clients_with_patterns_of_their_own_ask_together(kind: Kind) {
    let shop = forgetful(kind).await;
    let after = beginning(&shop).await;
    for user in 0..40 {
        shop.publish(&format!("cart.u{user}.a"), [user * 10]).await;
        shop.publish(&format!("cart.u{user}.b"), [user * 10 + 1]).await;
    }
    shop.until_followed().await;
    let before = asked(&shop, "newest").await;
    let resumes = (0..40_u64).map(|user| {
        let (shop, after) = (&shop, &after);
        async move {
            let (_client, replayed, _) = shop.resume(&format!("cart.u{user}.>"), after).await;
            assert_eq!(numbers(&replayed), [user * 10, user * 10 + 1]);
        }
    });
    futures_util::future::join_all(resumes).await;
    if matches!(kind, Kind::Nats) {
        let questions = asked(&shop, "newest").await - before;
        assert!(questions < 20.0, "{questions} for 40 clients");
    }
}

async fn who_resumes_while_events_flow_misses_nothing(kind: Kind) {
    for window in ["1KiB", "20KiB", "64MiB"] {
        let small = |config: &mut notifier::config::Config| {
            config.streams[0].window.bytes = window.parse().expect("a size");
        };
        let shop = Shop::with(kind, small).await;
        let after = beginning(&shop).await;
        let publishing = async {
            for number in 0..600 {
                shop.publish("cart.u1", [number]).await;
            }
        };
        let resuming = async {
            for _ in 0..12 {
                let (mut client, replayed, _) = shop.resume("cart.*", &after).await;
                let mut seen = numbers(&replayed);
                let goal = seen.len() + 20;
                while seen.len() < goal.min(600) {
                    seen.push(client.stored().await["data"].as_u64().expect("a number"));
                }
                assert_eq!(seen, (0..seen.len() as u64).collect::<Vec<_>>(), "{window}");
            }
        };
        tokio::join!(publishing, resuming);
    }
}

#[tokio::test]
async fn a_node_that_starts_has_the_newest_events_in_memory() {
    let shop = Shop::open(Kind::Nats).await;
    let after = beginning(&shop).await;
    for number in 0..50 {
        shop.publish(&format!("cart.u{}", number % 5), [number]).await;
    }
    shop.publish("price.a", [1]).await;
    let node = Shop::node(shop.nats.as_ref(), |_| {}).await;
    let mut client = node.client().await;
    let (replayed, subscribed) = client.resume("cart.*", json!({ "after": after })).await;
    assert_eq!((numbers(&replayed), &subscribed["recovered"]), ((0..50).collect(), &json!(true)));
    let (newest, _) = client.resume("price.*", json!({})).await;
    assert_eq!(numbers(&newest), [1]);
    assert_eq!(node.metric("notifier_window_misses_total").await, 0.0);
    for kind in ["newest", "subject"] {
        assert_eq!(node.metric(&format!("notifier_stream_requests_total{{kind=\"{kind}\"}}")).await, 0.0);
    }
}
