//! Stored subjects: nothing lost, nothing twice, in the order of the stream.
//! Every test runs on both brokers.

mod batches;
mod disasters;
mod drift;
mod fetching;
mod gone;
mod holes;
mod nothing_lost;
mod older;
mod outages;
mod poison;
mod removed;
mod seams;
mod slow;
mod streams_begin_anew;

use serde_json::{Value, json};

use super::world::{Kind, NatsServer, Shop};

/// Runs each of these on every broker: a module for each `Kind`.
macro_rules! on_every_broker {
    ($($name:ident),+ $(,)?) => {
        mod memory {
            use super::*;
            $(#[tokio::test] async fn $name() { super::$name(Kind::Memory).await; })+
        }
        mod nats {
            use super::*;
            $(#[tokio::test] async fn $name() { super::$name(Kind::Nats).await; })+
        }
    };
}
pub(super) use on_every_broker;

on_every_broker!(
    an_event_tells_where_it_is_stored,
    a_client_resumes_where_it_was,
    overlapping_patterns_bring_an_event_once_and_in_order,
    a_pattern_may_reach_stored_and_live_subjects,
    an_event_with_the_same_id_is_stored_once,
    a_position_of_another_stream_is_void,
    a_position_that_the_stream_has_not_reached_is_void,
    a_position_that_no_number_in_json_can_say_is_refused,
    what_retention_has_dropped_is_told,
    a_latest_subscription_begins_with_the_newest_values,
    a_snapshot_of_durable_subjects_is_the_newest_of_each,
    a_heartbeat_says_how_far_everything_has_been_sent,
    a_replay_has_a_limit_that_is_told,
    what_streams_republish_is_for_nodes_only,
    a_subscription_that_is_given_up_brings_nothing_more,
);

/// The data of events, which are numbers here.
fn numbers(events: &[Value]) -> Vec<u64> {
    events.iter().map(|event| event["data"].as_u64().expect("a number")).collect()
}

/// The positions of a subscription.
pub(crate) fn positions(subscribed: &Value) -> Value {
    subscribed["positions"].clone()
}

async fn an_event_tells_where_it_is_stored(kind: Kind) {
    let shop = Shop::open(kind).await;
    let (mut client, before, subscribed) = shop.resume("cart.>", &json!([])).await;
    assert!(before.is_empty());
    assert_eq!(subscribed["delivery"], "durable");
    assert_eq!(subscribed["positions"][0]["stream"], "SHOP");
    let published = shop.store("cart.u1", &[("Nats-Msg-Id", "a")], "7").await;
    assert_eq!(published, json!({"stream": "SHOP", "seq": 1}));
    let event = client.stored().await;
    assert_eq!((&event["subject"], &event["stream"], &event["seq"]), (&json!("cart.u1"), &json!("SHOP"), &json!(1)));
    assert_eq!((&event["id"], &event["data"]), (&json!("a"), &json!(7)));
    assert!(event["time"].as_u64().is_some_and(|time| time > 1_700_000_000_000), "{event}");
}

async fn a_client_resumes_where_it_was(kind: Kind) {
    let shop = Shop::open(kind).await;
    let (mut client, _, subscribed) = shop.resume("cart.*", &json!([])).await;
    shop.publish("cart.u1", 1..=3).await;
    for number in 1..=3 {
        assert_eq!(client.stored().await["data"], number);
    }
    client.close().await;
    shop.publish("order.1", 100..=104).await;
    shop.publish("cart.u2", 4..=9).await;
    // Else the last of them may come behind `subscribed`, as a live one.
    shop.until_followed().await;
    let mut after = positions(&subscribed);
    after[0]["seq"] = 3.into();
    let mut last = 0;
    for (round, pattern) in (0..).zip(["cart.*", "cart.u2", "cart.>"]) {
        let (mut client, replayed, subscribed) = shop.resume(pattern, &after).await;
        assert_eq!(numbers(&replayed), (4..=9 + round).collect::<Vec<_>>(), "{pattern}");
        assert_eq!(subscribed["recovered"], true);
        last = shop.publish("cart.u2", [10 + round]).await;
        let event = client.stored().await;
        assert_eq!((&event["data"], &event["seq"]), (&json!(10 + round), &json!(last)));
    }
    after[0]["seq"] = last.into();
    let (_, replayed, _) = shop.resume("cart.*", &after).await;
    assert!(replayed.is_empty());
}

async fn overlapping_patterns_bring_an_event_once_and_in_order(kind: Kind) {
    let shop = Shop::open(kind).await;
    let mut client = shop.node.client().await;
    for pattern in ["cart.*", "cart.u1", ">", "order.*"] {
        client.resume(pattern, json!({})).await;
    }
    for round in 0..20 {
        shop.publish("cart.u1", [round * 3]).await;
        shop.publish("order.1", [round * 3 + 1]).await;
        shop.publish("cart.u2", [round * 3 + 2]).await;
    }
    for number in 0..60 {
        let event = client.stored().await;
        assert_eq!((&event["data"], &event["seq"]), (&json!(number), &json!(number + 1)));
    }
    // Giving one up takes nothing from the others.
    client.send(json!({"id": 2, "unsubscribe": {"subject": "cart.*"}})).await;
    client.expect("unsubscribed").await;
    shop.publish("cart.u1", [60]).await;
    assert_eq!(client.stored().await["data"], 60);
}

async fn a_pattern_may_reach_stored_and_live_subjects(kind: Kind) {
    let shop = Shop::open(kind).await;
    let (mut client, _, subscribed) = shop.resume(">", &json!([])).await;
    let mut streams: Vec<_> =
        subscribed["positions"].as_array().expect("positions").iter().map(|place| place["stream"].clone()).collect();
    streams.sort_by_key(ToString::to_string);
    assert_eq!(streams, ["PRICES", "SHOP"]);
    // The strongest of what its subjects promise.
    assert_eq!(subscribed["delivery"], "durable");
    shop.publish("cart.u1", [1]).await;
    assert_eq!(client.stored().await["stream"], "SHOP");
    shop.publish("price.a", [2]).await;
    assert_eq!(client.stored().await["stream"], "PRICES");
    shop.publish("chat.a", [3]).await;
    let event = client.stored().await;
    assert_eq!((&event["data"], event.get("stream")), (&json!(3), None));
}

async fn an_event_with_the_same_id_is_stored_once(kind: Kind) {
    let shop = Shop::open(kind).await;
    let (mut client, _, _) = shop.resume("order.*", &json!([])).await;
    let first = shop.store("order.1", &[("Nats-Msg-Id", "o-1")], "1").await;
    let again = shop.store("order.1", &[("Nats-Msg-Id", "o-1")], "1").await;
    assert_eq!(first, json!({"stream": "SHOP", "seq": 1}));
    assert_eq!(again, json!({"stream": "SHOP", "seq": 1, "duplicate": true}));
    shop.publish("order.1", [2]).await;
    assert_eq!(client.stored().await["data"], 1);
    assert_eq!(client.stored().await["data"], 2);
    client.send(json!({"id": 5, "publish": {"subject": "order.1", "event": {"id": "o-1", "data": 1}}})).await;
    assert_eq!(client.expect("published").await["published"], json!({"stream": "SHOP", "seq": 1, "duplicate": true}));
}

async fn a_position_of_another_stream_is_void(kind: Kind) {
    let shop = Shop::open(kind).await;
    shop.publish("cart.u1", 1..=3).await;
    shop.until_followed().await;
    let (mut client, before, subscribed) =
        shop.resume("cart.*", &json!([{"stream": "SHOP", "epoch": "12", "seq": 2}])).await;
    assert_eq!(before[0]["gap"]["reason"], "reset");
    assert_eq!(numbers(&before[1..]), [1, 2, 3], "all that the stream has");
    assert_eq!(subscribed.get("recovered"), None);
    shop.publish("cart.u1", [4]).await;
    assert_eq!(client.stored().await["data"], 4);
}

async fn a_position_that_the_stream_has_not_reached_is_void(kind: Kind) {
    let shop = Shop::open(kind).await;
    shop.publish("cart.u1", 1..=3).await;
    let (_, _, subscribed) = shop.resume("cart.*", &json!([])).await;
    let mut after = positions(&subscribed);
    after[0]["seq"] = 1_000.into();
    let (_, before, subscribed) = shop.resume("cart.*", &after).await;
    assert_eq!(before[0]["gap"]["reason"], "reset");
    assert_eq!(subscribed.get("recovered"), None);
}

async fn a_position_that_no_number_in_json_can_say_is_refused(kind: Kind) {
    let shop = Shop::open(kind).await;
    let (mut client, _, subscribed) = shop.resume("cart.*", &json!([])).await;
    for epoch in [&positions(&subscribed)[0]["epoch"], &json!("12")] {
        for seq in [1 << 53, u64::MAX] {
            let after = json!([{"stream": "SHOP", "epoch": epoch, "seq": seq}]);
            for verb in ["subscribe", "fetch"] {
                client.send(json!({"id": 3, (verb): {"subject": "order.*", "after": after}})).await;
                let frame = client.expect("error").await;
                assert_eq!((&frame["replyTo"], &frame["error"]["code"]), (&json!(3), &json!("bad_request")), "{frame}");
                assert!(frame.to_string().contains("below 2^53"), "{frame}");
            }
        }
    }
    // The connection goes on, and so does its subscription.
    shop.publish("cart.u1", [1]).await;
    assert_eq!(client.stored().await["data"], 1);
}

async fn what_retention_has_dropped_is_told(kind: Kind) {
    let few = |config: &mut notifier::config::Config| {
        config.streams[0].max_messages = Some(5);
        config.streams[0].window.bytes = "1KiB".parse().expect("a size");
    };
    let shop = Shop::with(kind, few).await;
    let (_, _, subscribed) = shop.resume("cart.*", &json!([])).await;
    shop.publish("cart.u1", 1..=20).await;
    shop.until_followed().await;
    let mut after = positions(&subscribed);
    after[0]["seq"] = 3.into();
    let (_, before, subscribed) = shop.resume("cart.*", &after).await;
    let gap = json!({"subject": "cart.*", "stream": "SHOP", "fromSeq": 4, "toSeq": 15, "reason": "expired"});
    assert_eq!(before[0]["gap"], gap);
    assert_eq!(numbers(&before[1..]), (16..=20).collect::<Vec<_>>());
    assert_eq!(subscribed.get("recovered"), None);
}

async fn a_latest_subscription_begins_with_the_newest_values(kind: Kind) {
    let shop = Shop::open(kind).await;
    shop.publish("price.a", 1..=5).await;
    shop.publish("price.b", 6..=7).await;
    shop.until_followed().await;
    let (mut client, before, subscribed) = shop.resume("price.*", &json!([])).await;
    assert_eq!(numbers(&before), [5, 7]);
    assert_eq!((&subscribed["delivery"], subscribed.get("recovered")), (&json!("latest"), None));
    shop.publish("price.a", [8]).await;
    assert_eq!(client.stored().await["data"], 8);
    // Who resumes gets what has changed.
    let (_, before, again) = shop.resume("price.*", &positions(&subscribed)).await;
    assert_eq!((numbers(&before), &again["recovered"]), (vec![8], &json!(true)));
    let last: Value = serde_json::from_slice(shop.node.get("/v1/last/price.b").await.body()).expect("JSON");
    assert_eq!(last["event"]["data"], 7);
}

async fn a_snapshot_of_durable_subjects_is_the_newest_of_each(kind: Kind) {
    // Nothing is in memory, everything is, and some of it is.
    for bytes in ["1B", "64MiB", "1500B"] {
        let shop = Shop::with(kind, |config| config.streams[0].window.bytes = bytes.parse().expect("a size")).await;
        for user in 0..5 {
            shop.publish(&format!("cart.u{user}"), [user * 10, user * 10 + 1]).await;
        }
        shop.until_followed().await;
        let mut client = shop.node.client().await;
        let (before, _) = client.resume("cart.*", json!({"snapshot": true})).await;
        assert_eq!(numbers(&before), [1, 11, 21, 31, 41], "{bytes}");
        shop.publish("cart.u0", [2]).await;
        assert_eq!(client.stored().await["data"], 2);
    }
}

async fn a_heartbeat_says_how_far_everything_has_been_sent(kind: Kind) {
    let shop = Shop::with(kind, |config| config.server.heartbeat = "500ms".parse().expect("a time")).await;
    let (mut client, _, subscribed) = shop.resume("cart.u1", &json!([])).await;
    let last = shop.publish("order.1", 1..=5).await;
    loop {
        let ping = client.ping().await;
        let position = &ping["positions"][0];
        assert_eq!((&position["stream"], &position["epoch"]), (&json!("SHOP"), &subscribed["positions"][0]["epoch"]));
        if position["seq"] == last {
            break;
        }
    }
}

async fn a_replay_has_a_limit_that_is_told(kind: Kind) {
    let shop = Shop::with(kind, |config| config.limits.replay_events = 10).await;
    let (_, _, subscribed) = shop.resume("cart.*", &json!([])).await;
    shop.publish("cart.u1", 1..=200).await;
    shop.until_followed().await;
    let (mut client, before, subscribed) = shop.resume("cart.*", &positions(&subscribed)).await;
    let (gap, events) = before.split_last().expect("something");
    let replayed = events.len() as u64;
    assert!((10..200).contains(&replayed));
    assert_eq!(numbers(events), (1..=replayed).collect::<Vec<_>>());
    assert_eq!((&gap["gap"]["fromSeq"], &gap["gap"]["toSeq"]), (&json!(replayed + 1), &json!(200)));
    assert_eq!((&gap["gap"]["reason"], subscribed.get("recovered")), (&json!("overflow"), None));
    shop.publish("cart.u1", [201]).await;
    assert_eq!(client.stored().await["data"], 201);
}

async fn what_streams_republish_is_for_nodes_only(kind: Kind) {
    let shop = Shop::open(kind).await;
    let mut client = shop.node.client().await;
    for subject in ["ntf.SHOP.cart.u1", "ntf.SHOP.>"] {
        client.send(json!({"id": 1, "subscribe": {"subject": subject}})).await;
        assert_eq!(client.expect("error").await["error"]["code"], "forbidden");
    }
    client.send(json!({"id": 1, "publish": {"subject": "ntf.SHOP.cart.u1", "event": {"data": 1}}})).await;
    assert_eq!(client.expect("error").await["error"]["code"], "forbidden");
    // A pattern that reaches them does not bring them.
    client.resume(">", json!({})).await;
    shop.publish("cart.u1", [1]).await;
    shop.publish("chat.a", [2]).await;
    let mut subjects = vec![client.stored().await["subject"].clone(), client.stored().await["subject"].clone()];
    subjects.sort_by_key(ToString::to_string);
    assert_eq!(subjects, ["cart.u1", "chat.a"]);
}

async fn a_subscription_that_is_given_up_brings_nothing_more(kind: Kind) {
    let shop = Shop::open(kind).await;
    let (mut client, _, _) = shop.resume("cart.*", &json!([])).await;
    client.send(json!({"id": 2, "unsubscribe": {"subject": "cart.*"}})).await;
    client.expect("unsubscribed").await;
    shop.publish("cart.u1", [1]).await;
    shop.until_followed().await;
    client.resume("order.*", json!({})).await;
    shop.publish("order.1", [2]).await;
    assert_eq!(client.stored().await["data"], 2);
}
