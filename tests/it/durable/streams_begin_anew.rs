//! Operators delete, recreate and purge streams while clients follow them:
//! nobody waits for what will never come, and nobody is left in the dark.

use notifier::config::Config;
use serde_json::{Value, json};

use super::{
    super::world::{Ws, eventually},
    Kind, Shop, numbers, positions,
};

/// What the stream counts.
async fn state(shop: &Shop) -> Value {
    shop.nats().api("STREAM.INFO.SHOP", &Value::Null).await["state"].clone()
}

/// The stream of these settings.
async fn settings(shop: &Shop) -> Value {
    shop.nats().api("STREAM.INFO.SHOP", &Value::Null).await["config"].clone()
}

/// A client hears that its stream has begun anew; returns its new position.
async fn reset(client: &mut Ws, subject: &str) -> Value {
    let gap = client.expect("gap").await["gap"].take();
    assert_eq!((&gap["subject"], &gap["stream"], &gap["reason"]), (&json!(subject), &json!("SHOP"), &json!("reset")));
    let position = client.ping().await["positions"][0].take();
    assert_eq!(position["stream"], "SHOP");
    position
}

fn forgetful(config: &mut Config) {
    config.streams[0].window.bytes = "1KiB".parse().expect("a size");
}

#[tokio::test]
async fn who_follows_a_stream_that_is_recreated_is_told_and_goes_on() {
    let shop = Shop::open(Kind::Nats).await;
    let (mut literal, _, subscribed) = shop.resume("cart.u1", &json!([])).await;
    let (mut wildcard, _, _) = shop.resume("cart.*", &json!([])).await;
    // Its stream has no part in this.
    let (mut prices, _, _) = shop.resume("price.*", &json!([])).await;
    let old = positions(&subscribed);
    shop.publish("cart.u1", 1..=3).await;
    for client in [&mut literal, &mut wildcard] {
        for number in 1..=3 {
            assert_eq!(client.stored().await["data"], number);
        }
    }
    let settings = settings(&shop).await;
    shop.delete_stream().await;
    shop.nats().api("STREAM.CREATE.SHOP", &settings).await;
    let mut epochs = Vec::new();
    for (client, subject) in [(&mut literal, "cart.u1"), (&mut wildcard, "cart.*")] {
        epochs.push(reset(client, subject).await["epoch"].clone());
    }
    assert_eq!(epochs[0], epochs[1]);
    assert_ne!(epochs[0], old[0]["epoch"]);
    assert_eq!(shop.publish("cart.u1", [4]).await, 1);
    for client in [&mut literal, &mut wildcard] {
        let event = client.stored().await;
        assert_eq!((&event["data"], &event["seq"]), (&json!(4), &json!(1)));
    }
    shop.publish("price.a", [5]).await;
    assert_eq!(prices.stored().await["data"], 5);
    // Who comes back with the old epoch hears the same, and gets what there is.
    let (_, before, again) = shop.resume("cart.u1", &old).await;
    assert_eq!(before[0]["gap"]["reason"], "reset");
    assert_eq!(numbers(&before[1..]), [4]);
    assert_eq!((&again["positions"][0]["epoch"], again.get("recovered")), (&epochs[0], None));
}

#[tokio::test]
async fn a_stream_that_is_deleted_is_created_again_by_the_node() {
    let shop = Shop::open(Kind::Nats).await;
    let (mut client, _, subscribed) = shop.resume("cart.>", &json!([])).await;
    shop.publish("cart.u1", 1..=2).await;
    assert_eq!(numbers(&[client.stored().await, client.stored().await]), [1, 2]);
    for round in 0..3 {
        shop.delete_stream().await;
        let position = reset(&mut client, "cart.>").await;
        assert_ne!(position["epoch"], subscribed["positions"][0]["epoch"]);
        shop.publish("cart.u1", [round]).await;
        let event = client.stored().await;
        assert_eq!((&event["data"], &event["seq"]), (&json!(round), &json!(1)));
    }
    assert_eq!(shop.node.metric("notifier_gaps_detected_total").await, 0.0, "what is gone is no hole");
}

#[tokio::test]
async fn what_is_published_while_a_stream_begins_anew_arrives_once_and_in_order() {
    let shop = Shop::open(Kind::Nats).await;
    let (mut client, _, _) = shop.resume("cart.*", &json!([])).await;
    let settings = settings(&shop).await;
    for round in 1..=5 {
        // Before the node can know: it hears of events of a stream it does not know.
        shop.delete_stream().await;
        shop.nats().api("STREAM.CREATE.SHOP", &settings).await;
        let nats = shop.nats().client().await;
        for number in 1..=20 {
            nats.request("cart.u1", (round * 100 + number).to_string().into()).await.expect("stored");
        }
        // The node may take some of the old numbering's continuation for its own
        // before it looks; what counts is that all is there after the reset.
        let mut seen = Vec::new();
        let mut told = false;
        while !told || seen.last() != Some(&(round * 100 + 20)) {
            let mut frame = client.next().await;
            if frame.get("gap").is_some() {
                assert_eq!(frame["gap"]["reason"], "reset");
                told = true;
                seen.clear();
            } else {
                seen.push(frame["event"]["data"].take().as_u64().expect("a number"));
            }
        }
        assert_eq!(seen, (1..=20).map(|number| round * 100 + number).collect::<Vec<_>>(), "round {round}");
    }
}

/// A stream that was purged of what one client has received, that client, and
/// from where it had subscribed.
async fn purged() -> (Shop, Ws, Value) {
    let shop = Shop::with(Kind::Nats, forgetful).await;
    let (mut client, _, subscribed) = shop.resume("cart.*", &json!([])).await;
    shop.publish("cart.u1", 1..=20).await;
    for number in 1..=20 {
        assert_eq!(client.stored().await["data"], number);
    }
    shop.nats().api("STREAM.PURGE.SHOP", &json!({})).await;
    (shop, client, subscribed)
}

#[tokio::test]
async fn a_purge_is_no_news_to_who_is_up_to_date() {
    let (shop, mut client, subscribed) = purged().await;
    shop.publish("cart.u1", [21]).await;
    assert_eq!(client.stored().await["data"], 21);
    shop.until_followed().await;
    // Who was away has lost what was purged, and is told.
    for pattern in ["cart.u1", "cart.*", ">"] {
        let (_, before, again) = shop.resume(pattern, &positions(&subscribed)).await;
        let gap = &before[0]["gap"];
        assert_eq!((&gap["reason"], &gap["fromSeq"]), (&json!("expired"), &json!(1)), "{pattern}");
        assert_eq!(again.get("recovered"), None);
        assert_eq!(before.last().expect("something")["data"], 21, "{pattern}");
    }
}

#[tokio::test]
async fn a_purge_of_everything_leaves_nothing_to_wait_for() {
    let (shop, mut client, subscribed) = purged().await;
    // A node that has just come finds nothing, and knows where it is.
    let late = Shop::node(Some(shop.nats()), forgetful).await;
    for pattern in ["cart.u1", "cart.*", ">"] {
        let mut other = late.client().await;
        let (before, again) = other.resume(pattern, json!({ "after": positions(&subscribed) })).await;
        let gap = &before[0]["gap"];
        assert_eq!((&gap["reason"], &gap["fromSeq"], &gap["toSeq"]), (&json!("expired"), &json!(1), &json!(20)));
        assert_eq!((before.len(), again.get("recovered")), (1, None), "{pattern}");
    }
    shop.publish("cart.u1", [21]).await;
    assert_eq!(client.stored().await["data"], 21);
}

/// Deletes the newest events of the stream one by one.
async fn delete_last(shop: &Shop, count: u64) {
    let last = state(shop).await["last_seq"].as_u64().expect("a number");
    for seq in (last + 1 - count..=last).rev() {
        shop.nats().api("STREAM.MSG.DELETE.SHOP", &json!({ "seq": seq })).await;
    }
    assert_eq!(state(shop).await["last_seq"], last);
}

#[tokio::test]
async fn a_last_event_that_is_deleted_is_not_waited_for() {
    let shop = Shop::open(Kind::Nats).await;
    let (mut client, _, subscribed) = shop.resume("cart.*", &json!([])).await;
    shop.publish("cart.u1", 1..=10).await;
    for number in 1..=10 {
        assert_eq!(client.stored().await["data"], number);
    }
    delete_last(&shop, 3).await;
    // A node that has just come has never seen them.
    let late = Shop::node(Some(shop.nats()), |_| {}).await;
    let mut newcomer = late.client().await;
    let (before, again) = newcomer.resume("cart.*", json!({ "after": positions(&subscribed) })).await;
    assert_eq!((numbers(&before), &again["recovered"]), ((1..=7).collect(), &json!(true)));
    shop.publish("cart.u1", [11]).await;
    assert_eq!(client.stored().await["data"], 11);
    assert_eq!(newcomer.stored().await["data"], 11);
    for node in [&shop.node, &late] {
        eventually("no lag", || async { node.metric("notifier_stream_lag").await == 0.0 }).await;
        assert_eq!(node.metric("notifier_gaps_reported_total").await, 0.0);
    }
}

#[tokio::test]
async fn a_last_event_that_is_deleted_while_nats_is_away_is_not_waited_for() {
    for everything in [false, true] {
        let shop = Shop::unmanaged().await;
        let (mut client, _, _) = shop.resume("cart.*", &json!([])).await;
        shop.publish("cart.u1", 1..=3).await;
        for number in 1..=3 {
            assert_eq!(client.stored().await["data"], number);
        }
        // The node hears of nothing meanwhile: events are not republished.
        let fitting = settings(&shop).await;
        let mut silent = fitting.clone();
        silent.as_object_mut().expect("settings").remove("republish");
        shop.nats().api("STREAM.UPDATE.SHOP", &silent).await;
        let nats = shop.nats().client().await;
        for number in 4..=6 {
            nats.request("cart.u1", number.to_string().into()).await.expect("stored");
        }
        if everything {
            shop.nats().api("STREAM.PURGE.SHOP", &json!({})).await;
        } else {
            delete_last(&shop, 2).await;
        }
        shop.nats().api("STREAM.UPDATE.SHOP", &fitting).await;
        shop.publish("cart.u1", [7]).await;
        if everything {
            let gap = client.expect("gap").await["gap"].take();
            assert_eq!((&gap["reason"], &gap["fromSeq"]), (&json!("expired"), &json!(4)), "{gap}");
        } else {
            assert_eq!(client.stored().await["data"], 4);
        }
        assert_eq!(client.stored().await["data"], 7);
        shop.until_followed().await;
    }
}
