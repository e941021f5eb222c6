//! Values end: of a `latest` subject that has expired, was deleted or was purged, each client ends with the state of
//! the stream, whether it was there or away.

use std::collections::BTreeMap;

use async_nats::HeaderMap;
use notifier::config::{Config, Span};
use serde_json::{Value, json};

use super::{
    super::world::{NatsServer, TestNode, Ws, eventually, soon},
    Kind, Shop, on_every_broker, positions,
};

/// The values that a client knows, by subject.
type Values = BTreeMap<String, Value>;

/// Takes an event as clients do.
fn apply(values: &mut Values, event: &Value) {
    let subject = event["subject"].as_str().expect("a subject").to_owned();
    if event.get("gone").is_some() {
        assert!(event.get("data").is_none() && event.get("dataBase64").is_none(), "{event}");
        values.remove(&subject);
    } else {
        values.insert(subject, event["data"].clone());
    }
}

/// A client that shows values.
struct Page {
    client: Ws,
    values: Values,
    positions: Value,
}

impl Page {
    /// One that begins, or goes on from where another was.
    async fn open(node: &TestNode, before: Option<&Self>) -> Self {
        let mut client = node.client().await;
        let mut values = before.map(|before| before.values.clone()).unwrap_or_default();
        let after = before.map_or(json!([]), |before| before.positions.clone());
        client.send(json!({"id": 1, "subscribe": {"subject": "price.*", "after": after}})).await;
        let mut told = Values::new();
        loop {
            let frame = client.next().await;
            let replay = &frame["replay"];
            for event in replay["events"].as_array().map(Vec::as_slice).unwrap_or_default() {
                apply(&mut values, event);
                apply(&mut told, event);
            }
            if replay["complete"] == true {
                assert_eq!((&replay["stream"], &replay["snapshot"]), (&json!("PRICES"), &json!(true)));
                values = told.clone();
            }
            if frame.get("subscribed").is_some() {
                return Self { client, values, positions: positions(&frame["subscribed"]) };
            }
        }
    }

    /// Takes events until one says that a value is gone; returns why.
    async fn until_gone(&mut self) -> Value {
        loop {
            let mut event = soon("an event", self.client.stored()).await;
            apply(&mut self.values, &event);
            if let Some(gone) = event.get_mut("gone") {
                return gone.take();
            }
        }
    }
}

fn values(of: &[(&str, u64)]) -> Values {
    of.iter().map(|(subject, number)| ((*subject).into(), json!(number))).collect()
}

/// Publishes as a service does, with headers.
async fn put(nats: &NatsServer, subject: &str, headers: &[(&str, &str)], data: &'static str) {
    let mut map = HeaderMap::new();
    headers.iter().for_each(|(name, value)| map.insert(*name, *value));
    let client = nats.client().await;
    client.publish_with_headers(subject.to_owned(), map, data.into()).await.expect("published");
    client.flush().await.expect("flushed");
}

/// Whatever is asked for what is stored, `price.a` is not in it.
async fn is_left_out(node: &TestNode) {
    assert_eq!(Page::open(node, None).await.values, values(&[("price.b", 2)]));
    let mut client = node.client().await;
    let (before, _) = client.resume("price.a", json!({ "snapshot": true })).await;
    assert!(before.is_empty(), "{before:?}");
    for path in ["subject=price.a", "subject=price.a&last=true", "subject=price.*&last=true", "subject=price.*"] {
        let answer = node.get(&format!("/v1/fetch?{path}")).await;
        let answer: Value = serde_json::from_slice(answer.body()).expect("JSON");
        let events = answer["fetched"]["events"].as_array().map(Vec::as_slice).unwrap_or_default();
        assert!(events.iter().all(|event| event["subject"] == "price.b"), "{path} {answer}");
    }
    assert_eq!(node.get("/v1/last/price.a").await.status(), 404);
}

/// `price.a` ends in some way while one client is there and another is away.
async fn ends(shop: &Shop, headers: &[(&str, &str)], data: &'static str, end: &[(&str, &str)], why: &str) {
    put(shop.nats(), "price.a", headers, data).await;
    put(shop.nats(), "price.b", &[], "2").await;
    let both = values(&[("price.a", 1), ("price.b", 2)]);
    eventually("both values", || async { Page::open(&shop.node, None).await.values == both }).await;
    let (mut there, away) = (Page::open(&shop.node, None).await, Page::open(&shop.node, None).await);
    assert_eq!((&there.values, &away.values), (&both, &both));
    let away = Page { client: shop.node.client().await, ..away };
    if !end.is_empty() {
        put(shop.nats(), "price.a", end, "").await;
    }
    assert_eq!(there.until_gone().await, why);
    assert_eq!(there.values, values(&[("price.b", 2)]));
    let later = Shop::node(shop.nats.as_ref(), |_| {}).await;
    for node in [&shop.node, &later] {
        is_left_out(node).await;
        assert_eq!(Page::open(node, Some(&away)).await.values, there.values);
        assert_eq!(Page::open(node, Some(&there)).await.values, there.values);
    }
    // And begins again.
    put(shop.nats(), "price.a", &[], "3").await;
    apply(&mut there.values, &soon("an event", there.client.stored()).await);
    assert_eq!(there.values["price.a"], 3);
}

#[tokio::test]
async fn a_value_whose_time_is_over_is_gone() {
    let shop = Shop::open(Kind::Nats).await;
    ends(&shop, &[("Nats-TTL", "2s")], "1", &[], "expired").await;
}

#[tokio::test]
async fn a_value_that_is_deleted_is_gone() {
    let shop = Shop::open(Kind::Nats).await;
    ends(&shop, &[], "1", &[("KV-Operation", "DEL")], "deleted").await;
}

#[tokio::test]
async fn a_value_that_is_purged_is_gone() {
    let shop = Shop::open(Kind::Nats).await;
    ends(&shop, &[], "1", &[("KV-Operation", "PURGE"), ("Nats-Rollup", "sub")], "purged").await;
}

on_every_broker!(
    a_value_that_a_client_deletes_is_gone,
    a_durable_subject_has_no_values_that_could_be_gone,
    a_value_that_becomes_too_old_is_gone,
);

/// Over HTTP or a WebSocket, for who is there and who was away.
async fn a_value_that_a_client_deletes_is_gone(kind: Kind) {
    let shop = Shop::open(kind).await;
    let mut publisher = shop.node.client().await;
    for over_http in [true, false] {
        shop.publish("price.a", [1]).await;
        shop.publish("price.b", [2]).await;
        shop.until_followed().await;
        let (mut there, away) = (Page::open(&shop.node, None).await, Page::open(&shop.node, None).await);
        assert_eq!((&there.values, &away.values), (&values(&[("price.a", 1), ("price.b", 2)]), &there.values));
        let away = Page { client: shop.node.client().await, ..away };
        if over_http {
            shop.store("price.a", &[("kv-operation", "DEL")], "").await;
        } else {
            let event = json!({"headers": {"KV-Operation": "DEL"}});
            publisher.send(json!({"id": 2, "publish": {"subject": "price.a", "event": event}})).await;
            assert_eq!(publisher.expect("published").await["published"]["stream"], "PRICES");
        }
        assert_eq!(there.until_gone().await, "deleted");
        assert_eq!(there.values, values(&[("price.b", 2)]));
        is_left_out(&shop.node).await;
        assert_eq!(Page::open(&shop.node, Some(&away)).await.values, there.values);
    }
}

/// Where all events count, the end of a value is an event as any other.
async fn a_durable_subject_has_no_values_that_could_be_gone(kind: Kind) {
    let shop = Shop::open(kind).await;
    let (mut client, ..) = shop.resume("cart.*", &json!([])).await;
    shop.store("cart.a", &[("KV-Operation", "DEL")], "1").await;
    let event = soon("an event", client.stored()).await;
    assert!(event["data"] == 1 && event.get("gone").is_none(), "{event}");
}

/// A key-value bucket, whose keys are no subjects for clients: the stream sources it under clean subjects.
#[tokio::test]
async fn a_bucket_is_followed_by_a_stream_that_sources_it() {
    let nats = NatsServer::jetstream().await;
    let bucket = json!({"name": "KV_prices", "subjects": ["$KV.prices.>"], "max_msgs_per_subject": 1,
        "allow_rollup_hdrs": true, "deny_delete": true, "allow_direct": true, "discard": "new", "allow_msg_ttl": true});
    nats.api("STREAM.CREATE.KV_prices", &bucket).await;
    let source = json!({"name": "KV_prices", "subject_transforms": [{"src": "$KV.prices.>", "dest": "price.>"}]});
    nats.api(
        "STREAM.CREATE.PRICES",
        &json!({"name": "PRICES", "subjects": ["price.*"], "sources": [source],
        "max_msgs_per_subject": 1, "max_bytes": 1 << 30, "max_msg_size": 1 << 20}),
    )
    .await;
    let node = Shop::node(Some(&nats), |_| {}).await;
    put(&nats, "$KV.prices.a", &[], "1").await;
    put(&nats, "$KV.prices.b", &[], "2").await;
    let both = values(&[("price.a", 1), ("price.b", 2)]);
    eventually("both values", || async { Page::open(&node, None).await.values == both }).await;
    let mut page = Page::open(&node, None).await;
    put(&nats, "$KV.prices.a", &[("KV-Operation", "DEL")], "").await;
    assert_eq!(page.until_gone().await, "deleted");
    is_left_out(&node).await;
    put(&nats, "$KV.prices.b", &[("KV-Operation", "PURGE"), ("Nats-Rollup", "sub")], "").await;
    assert_eq!(page.until_gone().await, "purged");
    put(&nats, "$KV.prices.c", &[("Nats-TTL", "1s")], "3").await;
    assert_eq!(page.until_gone().await, "expired");
    assert!(page.values.is_empty(), "{:?}", page.values);
}

/// An operator removes a value, of which the stream keeps no trace: who is there is told, and who comes back is given
/// all values, on the same node and on one that starts later.
async fn is_removed(change: fn(&mut Config), request: &str, body: Value) {
    let shop = Shop::with(Kind::Nats, change).await;
    put(shop.nats(), "price.b", &[], "2").await;
    put(shop.nats(), "price.a", &[], "1").await;
    let both = values(&[("price.a", 1), ("price.b", 2)]);
    eventually("both values", || async { Page::open(&shop.node, None).await.values == both }).await;
    let (mut there, away) = (Page::open(&shop.node, None).await, Page::open(&shop.node, None).await);
    let away = Page { client: shop.node.client().await, ..away };
    shop.nats().api(request, &body).await;
    assert_eq!(there.until_gone().await, "purged");
    assert_eq!(there.values, values(&[("price.b", 2)]));
    let later = Shop::node(shop.nats.as_ref(), change).await;
    for node in [&shop.node, &later] {
        is_left_out(node).await;
        assert_eq!(Page::open(node, Some(&away)).await.values, there.values);
    }
    // What comes is told in the usual way, and whoever has had it needs no more.
    put(shop.nats(), "price.a", &[], "3").await;
    apply(&mut there.values, &soon("an event", there.client.stored()).await);
    assert_eq!(there.values["price.a"], 3);
    let now = Page::open(&shop.node, Some(&there)).await;
    assert_eq!(now.values, there.values);
    let (replayed, subscribed) = there.client.resume("price.b", json!({ "after": now.positions })).await;
    assert!(replayed.is_empty() && subscribed["recovered"] == true, "{replayed:?} {subscribed}");
}

#[tokio::test]
async fn a_value_that_an_operator_purges_is_gone() {
    is_removed(|_| {}, "STREAM.PURGE.PRICES", json!({ "filter": "price.a" })).await;
}

#[tokio::test]
async fn a_value_that_an_operator_deletes_is_gone() {
    is_removed(|_| {}, "STREAM.MSG.DELETE.PRICES", json!({ "seq": 2 })).await;
}

/// The embedded broker marks nothing, and JetStream does.
async fn a_value_that_becomes_too_old_is_gone(kind: Kind) {
    let shop = Shop::with(kind, |config| config.streams[1].max_age = Some(Span::seconds(2))).await;
    let mut there = Page::open(&shop.node, None).await;
    shop.publish("price.a", [1]).await;
    apply(&mut there.values, &soon("an event", there.client.stored()).await);
    let away = Page::open(&shop.node, None).await;
    assert_eq!((&away.values, &there.values), (&values(&[("price.a", 1)]), &values(&[("price.a", 1)])));
    let away = Page { client: shop.node.client().await, ..away };
    assert_eq!(there.until_gone().await, "expired");
    assert!(there.values.is_empty() && Page::open(&shop.node, Some(&away)).await.values.is_empty());
}
