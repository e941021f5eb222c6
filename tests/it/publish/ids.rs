//! What clients call their events: by that their own repeats are known again,
//! and nothing else.

use async_nats::HeaderMap;
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use crate::{
    durable::on_every_broker,
    world::{Kind, NatsServer, Shop, TestNode, Ws, soon, tokens},
};

on_every_broker!(
    a_users_repeats_are_stored_once_whatever_way_they_come,
    an_id_is_its_users_and_its_subjects_own,
    clients_without_a_token_share_one_space_by_subject,
    readers_see_what_the_client_said,
);

/// A shop whose clients have tokens and may do everything.
async fn shop(kind: Kind) -> Shop {
    Shop::with(kind, |config| {
        tokens::with_secret(config);
        config.auth.allow_anonymous = true;
    })
    .await
}

fn token(user: &str) -> String {
    tokens::token_of(user, &[])
}

async fn publish(client: &mut Ws, subject: &str, id: &str, data: u64) -> Value {
    client.send(json!({"id": 4, "publish": {"subject": subject, "event": {"id": id, "data": data}}})).await;
    client.expect("published").await["published"].take()
}

/// What is stored in `SHOP` at a place.
fn stored(seq: u64) -> Value {
    json!({"stream": "SHOP", "seq": seq})
}

fn duplicate(seq: u64) -> Value {
    json!({"stream": "SHOP", "seq": seq, "duplicate": true})
}

/// Publishes as a service does, straight into JetStream; the acknowledgement.
async fn serve(nats: &NatsServer, subject: &'static str, headers: &[(&str, &str)]) -> Value {
    let mut map = HeaderMap::new();
    headers.iter().for_each(|(name, value)| map.append(*name, *value));
    let answer = nats.client().await.request_with_headers(subject, map, "7".into()).await.expect("an answer");
    serde_json::from_slice(&answer.payload).expect("JSON")
}

#[tokio::test]
async fn a_clients_id_keeps_no_event_of_a_service_out_and_tells_nothing_of_it() {
    let shop = shop(Kind::Nats).await;
    let mut reader = Ws::with_token(shop.node.address, &token("u2")).await;
    reader.subscribe("order.>").await;
    let mut client = Ws::with_token(shop.node.address, &token("u1")).await;
    assert_eq!(publish(&mut client, "cart.u1", "order-1001-paid", 1).await, stored(1));
    let served = serve(shop.nats(), "order.u2.1001", &[("Nats-Msg-Id", "order-1001-paid")]).await;
    assert_eq!((&served["seq"], served.get("duplicate")), (&json!(2), None), "{served}");
    let event = reader.stored().await;
    assert_eq!((&event["id"], &event["data"]), (&json!("order-1001-paid"), &json!(7)));
    // Nor does it tell that a service has used it, on whatever subject.
    let served = serve(shop.nats(), "order.u2.1002", &[("Nats-Msg-Id", "order-1002-paid")]).await;
    assert_eq!(served["seq"], 3, "{served}");
    assert_eq!(publish(&mut client, "order.u2.1002", "order-1002-paid", 2).await, stored(4));
    // A service's repeats are known as before.
    let again = serve(shop.nats(), "order.u2.1002", &[("Nats-Msg-Id", "order-1002-paid")]).await;
    assert_eq!((&again["seq"], &again["duplicate"]), (&json!(3), &json!(true)), "{again}");
}

async fn a_users_repeats_are_stored_once_whatever_way_they_come(kind: Kind) {
    let shop = shop(kind).await;
    let mut client = Ws::with_token(shop.node.address, &token("u1")).await;
    assert_eq!(publish(&mut client, "cart.u1", "c-1", 1).await, stored(1));
    assert_eq!(publish(&mut client, "cart.u1", "c-1", 1).await, duplicate(1));
    let bearer = format!("Bearer {}", token("u1"));
    for name in ["Nats-Msg-Id", "ce-id"] {
        let headers = [(name, "c-1"), ("authorization", &bearer)];
        assert_eq!(shop.store("cart.u1", &headers, "1").await, duplicate(1), "{name}");
    }
    client.close().await;
    let mut again = Ws::with_token(shop.node.address, &token("u1")).await;
    assert_eq!(publish(&mut again, "cart.u1", "c-1", 1).await, duplicate(1));
    assert_eq!(publish(&mut again, "cart.u1", "c-2", 1).await, stored(2));
}

async fn an_id_is_its_users_and_its_subjects_own(kind: Kind) {
    let shop = shop(kind).await;
    let [mut one, mut other] =
        [Ws::with_token(shop.node.address, &token("u1")).await, Ws::with_token(shop.node.address, &token("u2")).await];
    let mut nobody = shop.node.client().await;
    assert_eq!(publish(&mut one, "cart.all", "c-1", 1).await, stored(1));
    assert_eq!(publish(&mut other, "cart.all", "c-1", 2).await, stored(2));
    assert_eq!(publish(&mut nobody, "cart.all", "c-1", 3).await, stored(3));
    assert_eq!(publish(&mut one, "order.all", "c-1", 4).await, stored(4));
    assert_eq!(publish(&mut other, "cart.all", "c-1", 2).await, duplicate(2));
    let (replayed, _) = Ws::with_token(shop.node.address, &token("u3"))
        .await
        .resume("cart.all", json!({"after": [], "snapshot": true}))
        .await;
    assert_eq!(replayed.last().map(|event| (&event["id"], &event["data"])), Some((&json!("c-1"), &json!(3))));
}

async fn clients_without_a_token_share_one_space_by_subject(kind: Kind) {
    let shop = shop(kind).await;
    let [mut one, mut other] = [shop.node.client().await, shop.node.client().await];
    assert_eq!(publish(&mut one, "cart.a", "c-1", 1).await, stored(1));
    assert_eq!(publish(&mut other, "cart.a", "c-1", 1).await, duplicate(1));
    assert_eq!(publish(&mut other, "cart.b", "c-1", 1).await, stored(2));
}

/// As it comes, out of the memory of the node, and out of the stream.
async fn readers_see_what_the_client_said(kind: Kind) {
    for window in ["64MiB", "1B"] {
        let shop = Shop::with(kind, |config| config.streams[0].window.bytes = window.parse().expect("a size")).await;
        let (mut reader, _, subscribed) = shop.resume("cart.>", &json!([])).await;
        let mut client = shop.node.client().await;
        let ids = ["c-1", " M\u{fc}ller, 50%\u{a0}", "ntf.x"];
        for (seq, id) in (1..).zip(ids) {
            assert_eq!(publish(&mut client, "cart.a", id, 1).await, stored(seq));
            assert_eq!(reader.stored().await["id"], id);
        }
        for number in 0..3 {
            shop.inject("cart.later", number.to_string()).await;
        }
        shop.until_followed().await;
        let (_, replayed, _) = shop.resume("cart.a", &subscribed["positions"]).await;
        let told: Vec<_> = replayed.iter().map(|event| &event["id"]).collect();
        assert_eq!(told, ids, "{window}");
        let answer = shop.node.get("/v1/last/cart.a").await;
        let answer: Value = serde_json::from_slice(answer.body()).expect("JSON");
        assert_eq!(answer["event"]["id"], "ntf.x");
    }
}

#[tokio::test]
async fn services_read_what_the_client_said_and_only_they_can_write_it_themselves() {
    let nats = NatsServer::start().await;
    let node = TestNode::nats_with(&nats, |config| {
        config.events.forward_headers = vec!["Notifier-Id".into(), "Nats-Msg-Id".into()];
    })
    .await;
    let (service, mut heard) = nats.listener("shop.>").await;
    let mut client = node.client().await;
    client.subscribe("shop.>").await;
    client.send(json!({"publish": {"subject": "shop.a", "event": {"id": "a b", "type": "t", "data": 1}}})).await;
    let event = client.stored().await;
    assert_eq!((&event["id"], event.get("headers")), (&json!("a b"), None), "{event}");
    let message = soon("an event", heard.next()).await.expect("a message");
    let headers = message.headers.expect("headers");
    let value = |name: &str| headers.get(name).map(|value| value.as_str());
    assert!(value("Nats-Msg-Id").is_some_and(|id| id.starts_with("ntf.") && id.len() == 47), "{headers:?}");
    assert_eq!((value("Notifier-Id"), value("ce-id")), (Some("a%20b"), Some("a%20b")));
    // A service may say what its own event is called, and nothing more by that.
    let mut own = HeaderMap::new();
    own.insert("Notifier-Id", "x");
    own.insert("Nats-Msg-Id", "y");
    service.publish_with_headers("shop.b", own, "2".into()).await.expect("published");
    assert_eq!(client.stored().await["id"], "x");
    for name in ["Notifier-Id", "notifier-id", "Nats-Msg-Id"] {
        let event = json!({"headers": {name: "x"}});
        client.send(json!({"id": 1, "publish": {"subject": "shop.a", "event": event}})).await;
        assert_eq!(client.expect("error").await["error"]["code"], "bad_request", "{name}");
    }
    assert_eq!(node.post("/v1/publish/shop.a", &[("Notifier-Id", "x")], "1".into()).await.status(), 400);
}
