//! Subscriptions that NATS refuses a node: clients know, and get what they asked
//! for as soon as that changes.

use std::collections::BTreeSet;

use notifier::config::{Config, Secret};
use serde_json::{Value, json};

use super::world::{NatsServer, Shop, TestNode, Ws, eventually, soon};

const REFUSED: &str = "notifier_feeds_refused";

/// Users of a server: the nodes with these permissions, and a service.
fn users(subscribe: &str) -> String {
    format!(
        "authorization {{ users: [
          {{ user: node, password: p, permissions: {{ subscribe: [{subscribe}], publish: [\">\"] }} }}
          {{ user: service, password: p }} ] }}"
    )
}

fn as_node(config: &mut Config) {
    config.broker.nats.user = Some("node".into());
    config.broker.nats.password = Some(Secret::from("p".to_owned()));
}

async fn service(server: &NatsServer) -> async_nats::Client {
    let options = async_nats::ConnectOptions::with_user_and_password("service".into(), "p".into());
    options.connect(server.url()).await.expect("it gets in")
}

async fn ask(client: &mut Ws, id: u64, subject: &str) {
    client.send(json!({"id": id, "subscribe": {"subject": subject}})).await;
}

async fn is_refused(client: &mut Ws, subject: &str) {
    let frame = client.expect("error").await;
    assert_eq!((&frame["error"]["code"], &frame["error"]["subject"]), (&json!("broker_refused"), &json!(subject)));
    assert_eq!(frame["replyTo"], Value::Null, "its answer is still to come: {frame}");
}

#[tokio::test]
async fn nobody_is_subscribed_to_what_nats_refuses_until_it_allows_it() {
    let own = "\"_ntf.control\", \"_ntf.control.*\", \"_INBOX.>\"";
    let mut server = NatsServer::with(&users(&format!("\"shop.>\", {own}"))).await;
    let node = TestNode::nats_with(&server, as_node).await;
    let service = service(&server).await;
    let (mut first, mut second) = (node.client().await, node.client().await);
    ask(&mut first, 7, "news.a").await;
    is_refused(&mut first, "news.a").await;
    ask(&mut first, 8, ">").await;
    is_refused(&mut first, ">").await;
    // Who comes later is told as well, and nobody else is held up.
    ask(&mut second, 9, "news.a").await;
    is_refused(&mut second, "news.a").await;
    second.subscribe("shop.a").await;
    node.until_metric(REFUSED, |count| count == 2.0).await;
    let (code, _) = node.internal("/readyz").await;
    let state = node.internal_json("/readyz").await;
    assert_eq!((code, &state["broker"]["refused"]["patterns"]), (200, &json!(2)), "{state}");
    // What is given up is not tried any more.
    first.send(json!({"id": 10, "unsubscribe": {"subject": ">"}})).await;
    first.expect("unsubscribed").await;
    node.until_metric(REFUSED, |count| count == 1.0).await;

    server.reload(&users(&format!("\"shop.>\", \"news.*\", {own}")));
    for (client, id) in [(&mut first, 7), (&mut second, 9)] {
        let frame = client.expect("subscribed").await;
        assert_eq!((&frame["replyTo"], &frame["subscribed"]["subject"]), (&json!(id), &json!("news.a")));
    }
    service.publish("news.a", "1".into()).await.expect("published");
    assert_eq!(first.event().await, ("news.a".into(), json!(1)));
    assert_eq!(second.event().await, ("news.a".into(), json!(1)));
    assert_eq!(node.metric(REFUSED).await, 0.0);
    assert_eq!(node.internal_json("/readyz").await["broker"]["refused"], Value::Null);
    assert!(node.metric("notifier_feed_refusals_total").await >= 2.0);
    assert_eq!(node.metric("notifier_broker_events_total{event=\"disconnected\"}").await, 0.0);
}

#[tokio::test]
async fn a_limit_of_nats_is_told_to_those_whom_it_hits_and_to_nobody_else() {
    let server = NatsServer::with(&format!("max_subscriptions: {MOST}")).await;
    some_get_events_and_the_others_know(&server).await;
}

#[tokio::test]
async fn a_limit_of_the_account_is_told_in_the_same_way() {
    let account = "accounts {
        NODES: { users: [{ user: node, password: p }], limits: { max_subscriptions: 24 } } }";
    let server = NatsServer::with(account).await;
    some_get_events_and_the_others_know(&server).await;
}

/// Subscriptions that the servers here take on one connection, and that clients ask for.
const MOST: usize = 24;
const ASKED: usize = 40;

async fn some_get_events_and_the_others_know(server: &NatsServer) {
    let node = TestNode::nats_with(server, |config| {
        as_node(config);
        config.broker.nats.read_connections = 1;
    })
    .await;
    let mut client = node.client().await;
    for number in 0..ASKED {
        ask(&mut client, number as u64 + 1, &format!("news.{number}")).await;
    }
    let (mut live, mut told) = (BTreeSet::new(), BTreeSet::new());
    while live.len() < MOST || live.union(&told).count() < ASKED {
        let frame = client.next().await;
        let place = |body: &str| frame[body]["subject"].as_str().map(ToOwned::to_owned);
        live.extend(place("subscribed"));
        told.extend(place("error"));
    }
    node.until_metric(REFUSED, |count| count == (ASKED - MOST) as f64).await;
    let publish = async || {
        for number in 0..ASKED {
            node.publish(&format!("news.{number}"), "1").await;
        }
    };
    publish().await;
    let mut received = BTreeSet::new();
    while received.len() < MOST {
        received.insert(client.event().await.0);
    }
    assert_eq!(received, live);
    assert_eq!(client.events_until_now().await, []);

    // Where some are given up, others get their place.
    let given_up: Vec<_> = live.iter().take(ASKED - MOST).cloned().collect();
    for subject in &given_up {
        client.send(json!({"unsubscribe": {"subject": subject}})).await;
    }
    let mut late = BTreeSet::new();
    while late.len() < ASKED - MOST {
        let frame = client.expect("subscribed").await;
        late.extend(frame["subscribed"]["subject"].as_str().map(ToOwned::to_owned));
    }
    assert!(late.is_disjoint(&live), "{late:?}");
    node.until_metric(REFUSED, |count| count == 0.0).await;
}

#[tokio::test]
async fn what_is_stored_in_a_refused_pattern_goes_on() {
    let mut server = NatsServer::jetstream_with(&users("\">\"")).await;
    let store = server.store();
    let with = |subscribe: &str| format!("jetstream {{ store_dir: {store:?} }}\n{}", users(subscribe));
    let node = Shop::node(Some(&server), as_node).await;
    let service = service(&server).await;
    let mut client = node.client().await;
    // `cart.u1` is stored, and `chat.u1` is not.
    client.subscribe("*.u1").await;
    server.reload(&with("\"ntf.>\", \"_INBOX.>\", \"_ntf.>\""));
    is_refused(&mut client, "*.u1").await;
    soon("an acknowledgement", service.request("cart.u1", "1".into())).await.expect("stored");
    service.publish("chat.u1", "2".into()).await.expect("published");
    assert_eq!(client.event().await, ("cart.u1".into(), json!(1)));
    ask(&mut client, 5, "*.u1").await;
    let frame = client.expect("error").await;
    assert_eq!((&frame["replyTo"], &frame["error"]["code"]), (&json!(5), &json!("broker_refused")));
    server.reload(&with("\">\""));
    let frame = client.expect("subscribed").await;
    assert_eq!(frame["subscribed"], json!({"subject": "*.u1", "delivery": "durable"}));
    service.publish("chat.u1", "3".into()).await.expect("published");
    assert_eq!(client.event().await, ("chat.u1".into(), json!(3)));
}

#[tokio::test]
async fn what_a_node_may_not_hear_for_itself_is_told_to_operators() {
    let server = NatsServer::with(&users("\"shop.>\", \"_INBOX.>\"")).await;
    let node = TestNode::nats_with(&server, as_node).await;
    eventually("a detail", || async {
        let own = node.internal_json("/readyz").await["broker"]["refused"]["own"].take();
        own == json!(["broker.nats.control_subject"])
    })
    .await;
    assert_eq!(node.internal("/readyz").await.0, 200);
}

#[tokio::test]
async fn a_permission_to_read_that_is_missing_is_told_and_can_be_given_later() {
    let with = |denied: &str| {
        format!(
            "authorization {{ users: [
              {{ user: node, password: p, permissions: {{ publish: {{ allow: [\">\"], deny: [{denied}] }} }} }}
              {{ user: service, password: p }} ] }}"
        )
    };
    let mut server = NatsServer::jetstream_with(&with("\"none\"")).await;
    let store = server.store();
    let node = Shop::node(Some(&server), as_node).await;
    node.publish("cart.u1", "1").await;
    drop(node);
    let denied = with("\"$JS.API.DIRECT.GET.>\"");
    server.kill();
    server.set(&format!("jetstream {{ store_dir: {store:?} }}\n{denied}"));
    server.restart().await;
    let node = TestNode::start(Shop::config(Some(&server), as_node)).await;
    eventually("the reason", || async {
        let failing = node.internal_json("/readyz").await["broker"]["failing"].take();
        let mut list = failing.as_array().into_iter().flatten();
        let of_shop = list.find(|one| one["what"][0] == "reads of the stream SHOP");
        let problem = of_shop.and_then(|one| one["problem"].as_str()).unwrap_or_default();
        problem.contains("Permissions Violation") && problem.contains("publish to `$JS.API.DIRECT.GET.SHOP`")
    })
    .await;
    assert_eq!(node.internal("/readyz").await.0, 503);
    server.reload(&format!("jetstream {{ store_dir: {store:?} }}\n{}", with("\"none\"")));
    node.until_ready().await;
    assert_eq!(node.internal_json("/readyz").await["broker"]["failing"], Value::Null);
}

#[tokio::test]
async fn what_all_is_refused_when_a_node_connects_again_is_told() {
    let with = |subjects: &str| users(&format!("{subjects}, \"_ntf.control\", \"_ntf.control.*\", \"_INBOX.>\""));
    let mut server = NatsServer::with(&with("\"news.*\"")).await;
    let node = TestNode::nats_with(&server, as_node).await;
    let mut client = node.client().await;
    client.subscribe("news.a").await;
    server.kill();
    node.until_metric("notifier_broker_connected", |up| up == 0.0).await;
    server.set(&with("\"shop.*\""));
    server.restart().await;
    is_refused(&mut client, "news.a").await;
    server.reload(&with("\"news.*\""));
    let frame = client.expect("subscribed").await;
    assert_eq!(frame["subscribed"]["subject"], "news.a");
    let service = service(&server).await;
    service.publish("news.a", "1".into()).await.expect("published");
    assert_eq!(client.event().await.1, json!(1));
}
