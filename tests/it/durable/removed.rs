//! What a stream has removed, nobody is given any more: a node that was running
//! answers as one that is started later, within seconds.

use async_nats::HeaderMap;
use notifier::config::{Config, Span};
use serde_json::{Value, json};

use super::{
    super::world::{TestNode, Ws, eventually, soon},
    Kind, Shop, on_every_broker, positions,
};

on_every_broker!(a_value_ends_when_its_stream_ends_it, what_has_become_too_old_is_told_as_expired);

/// All that a node says of what is stored, whichever way it is asked.
async fn answers(node: &TestNode, after: &Value) -> Value {
    let mut all = Vec::new();
    for wish in [json!({ "after": after }), json!({ "snapshot": true })] {
        let mut client: Ws = node.client().await;
        let (before, subscribed) = client.resume("cart.>", wish).await;
        all.push(json!([before, subscribed["recovered"]]));
    }
    let place = &after[0];
    let (stream, epoch) = (place["stream"].as_str().expect("text"), place["epoch"].as_str().expect("text"));
    for path in
        ["subject=cart.u1", "subject=cart.%3E", "subject=cart.u1&last=true", "subject=cart.%3E&last=true&limit=1"]
    {
        for after in ["".to_owned(), format!("&after={stream}/{epoch}/{}", place["seq"].as_u64().unwrap_or(0))] {
            let answer = node.get(&format!("/v1/fetch?{path}{after}")).await;
            all.push(serde_json::from_slice(answer.body()).expect("JSON"));
        }
    }
    all.into()
}

/// A shop with ten events of two users; where it began, and where it was after four.
async fn stocked(change: fn(&mut Config)) -> (Shop, Value, Value) {
    let shop = Shop::with(Kind::Nats, change).await;
    let (_client, _, subscribed) = shop.resume("cart.*", &json!([])).await;
    let beginning = positions(&subscribed);
    shop.publish("cart.u2", [0]).await;
    for number in 1..=9 {
        shop.publish(&format!("cart.u{}", 1 + number % 3), [number]).await;
    }
    shop.until_followed().await;
    let mut middle = beginning.clone();
    middle[0]["seq"] = 4.into();
    (shop, beginning, middle)
}

/// Until a node that was running says the same as one that is started now, which
/// has to be something else than before.
async fn all_say_the_same(shop: &Shop, change: fn(&mut Config), places: [&Value; 2], before: [Value; 2]) {
    let later = Shop::node(shop.nats.as_ref(), change).await;
    for (place, before) in places.into_iter().zip(before) {
        let expected = answers(&later, place).await;
        assert_ne!(expected, before);
        eventually("the same answers", || async { answers(&shop.node, place).await == expected }).await;
    }
}

fn plain(_: &mut Config) {}

/// Most is older than the window, and read from pages that are kept for others.
fn forgetful(config: &mut Config) {
    config.streams[0].window.bytes = "2KiB".parse().expect("a size");
}

async fn a_request_removes(change: fn(&mut Config), request: &str, body: Value) {
    let (shop, beginning, middle) = stocked(change).await;
    let mut before = Vec::new();
    for place in [&beginning, &middle] {
        before.push(answers(&shop.node, place).await);
    }
    shop.nats().api(request, &body).await;
    let before = before.try_into().expect("two");
    all_say_the_same(&shop, change, [&beginning, &middle], before).await;
}

#[tokio::test]
async fn a_purged_subject_is_gone_on_every_node() {
    for change in [plain as fn(&mut Config), forgetful] {
        a_request_removes(change, "STREAM.PURGE.SHOP", json!({ "filter": "cart.u1" })).await;
    }
}

#[tokio::test]
async fn a_deleted_event_is_gone_on_every_node() {
    for change in [plain as fn(&mut Config), forgetful] {
        a_request_removes(change, "STREAM.MSG.DELETE.SHOP", json!({ "seq": 7 })).await;
    }
}

#[tokio::test]
async fn a_purge_up_to_a_sequence_is_told_as_expired() {
    a_request_removes(plain, "STREAM.PURGE.SHOP", json!({ "seq": 7 })).await;
}

#[tokio::test]
async fn a_purge_of_everything_is_told_as_expired() {
    a_request_removes(plain, "STREAM.PURGE.SHOP", Value::Null).await;
}

/// A rollup of one subject, as a key-value store writes it to purge a key, and of all.
#[tokio::test]
async fn a_rollup_ends_what_is_older() {
    for (what, operation) in [("sub", Some("PURGE")), ("all", None)] {
        let (shop, beginning, middle) = stocked(plain).await;
        let mut config = shop.nats().api("STREAM.INFO.SHOP", &Value::Null).await["config"].take();
        config["allow_rollup_hdrs"] = true.into();
        shop.nats().api("STREAM.UPDATE.SHOP", &config).await;
        let before = [answers(&shop.node, &beginning).await, answers(&shop.node, &middle).await];
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Rollup", what);
        if let Some(operation) = operation {
            headers.insert("KV-Operation", operation);
        }
        let client = shop.nats().client().await;
        let (mut live, ..) = shop.resume("cart.u1", &json!([])).await;
        client.publish_with_headers("cart.u1", headers, "".into()).await.expect("published");
        soon("the marker itself", live.stored()).await;
        all_say_the_same(&shop, plain, [&beginning, &middle], before).await;
    }
}

async fn a_value_ends_when_its_stream_ends_it(kind: Kind) {
    let shop = Shop::with(kind, |config| config.streams[1].max_age = Some(Span::seconds(1))).await;
    shop.publish("price.a", [1]).await;
    shop.until_followed().await;
    let value = async || {
        let answer = shop.node.get("/v1/fetch?subject=price.a&last=true").await;
        let answer: Value = serde_json::from_slice(answer.body()).expect("JSON");
        answer["fetched"]["events"].as_array().map(Vec::len).unwrap_or_default()
    };
    eventually("no value", async || value().await == 0).await;
    let mut client = shop.node.client().await;
    let (before, _) = client.resume("price.*", json!({})).await;
    assert!(before.is_empty(), "{before:?}");
}

async fn what_has_become_too_old_is_told_as_expired(kind: Kind) {
    let shop = Shop::with(kind, |config| config.streams[0].max_age = Some(Span::seconds(1))).await;
    let (_client, _, subscribed) = shop.resume("cart.*", &json!([])).await;
    shop.publish("cart.u1", 1..=3).await;
    shop.until_followed().await;
    eventually("a gap", || async {
        let (_, replayed, _) = shop.resume("cart.*", &positions(&subscribed)).await;
        replayed.len() == 1 && replayed[0]["gap"]["reason"] == "expired"
    })
    .await;
}
