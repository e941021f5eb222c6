//! Subscribing: who gets what, from when to when.

use serde_json::json;

use super::world::{NatsServer, TestNode, eventually};

#[tokio::test]
async fn a_client_gets_what_a_service_publishes_with_plain_nats() {
    let nats = NatsServer::start().await;
    let node = TestNode::nats(&nats).await;
    let mut client = node.client().await;
    client.send(json!({"id": 1, "subscribe": {"subject": "shop.cart.*"}})).await;
    let subscribed = client.expect("subscribed").await;
    assert_eq!(subscribed, json!({"replyTo": 1, "subscribed": {"subject": "shop.cart.*", "delivery": "live"}}));
    let service = nats.client().await;
    service.publish("shop.cart.u42", r#"{"qty":2}"#.into()).await.expect("published");
    let event = client.expect("event").await;
    assert_eq!(event["event"]["subject"], "shop.cart.u42");
    assert_eq!(event["event"]["data"], json!({"qty": 2}));
    assert!(event["event"]["time"].as_u64() > Some(1_700_000_000_000));
}

#[tokio::test]
async fn events_flow_from_subscribed_on_and_not_after_unsubscribed() {
    let nats = NatsServer::start().await;
    let node = TestNode::nats(&nats).await;
    let service = nats.client().await;
    // Repeated, because what it rules out is a race.
    for round in 0..50 {
        let subject = format!("race.{round}");
        let mut client = node.client().await;
        client.subscribe(&subject).await;
        service.publish(subject.clone(), "1".into()).await.expect("published");
        assert_eq!(client.event().await, (subject.clone(), json!(1)));
        client.send(json!({"id": 2, "unsubscribe": {"subject": subject}})).await;
        assert_eq!(client.next().await, json!({"replyTo": 2, "unsubscribed": {"subject": subject}}));
        service.publish(subject, "2".into()).await.expect("published");
        service.flush().await.expect("written");
        assert_eq!(client.events_until_now().await, []);
    }
}

#[tokio::test]
async fn a_pattern_is_opened_by_its_first_member_and_closed_by_its_last() {
    let nats = NatsServer::start().await;
    let node = TestNode::nats(&nats).await;
    let (mut first, mut second) = (node.client().await, node.client().await);
    first.subscribe("a.*").await;
    second.subscribe("a.*").await;
    second.subscribe("b").await;
    assert_eq!(node.metric("notifier_topics").await, 2.0);
    assert_eq!(node.metric("notifier_subscriptions").await, 3.0);
    first.close().await;
    node.until_metric("notifier_subscriptions", |count| count == 2.0).await;
    assert_eq!(node.metric("notifier_topics").await, 2.0);
    second.send(json!({"id": 3, "unsubscribe": {"subject": "a.*"}})).await;
    second.expect("unsubscribed").await;
    assert_eq!(node.metric("notifier_topics").await, 1.0);
    drop(second);
    node.until_metric("notifier_topics", |count| count == 0.0).await;
    eventually("nothing left", || async { node.internal_json("/debug/state").await["connections"] == 0 }).await;
}

#[tokio::test]
async fn subscribing_again_is_confirmed_again_and_delivers_once() {
    let node = TestNode::memory().await;
    let mut client = node.client().await;
    client.subscribe("a").await;
    client.subscribe("a").await;
    node.publish("a", "1").await;
    assert_eq!(client.event().await.1, json!(1));
    assert_eq!(client.events_until_now().await, []);
    assert_eq!(node.metric("notifier_subscriptions").await, 1.0);
}

#[tokio::test]
async fn connect_brings_its_subscriptions_along() {
    let node = TestNode::memory().await;
    let mut client = super::world::Ws::open(node.address).await;
    client
        .send(
            json!({"id": 5, "connect": {"subscriptions": [{"subject": "a"}, {"subject": "b..c"}, {"subject": "c.>"}]}}),
        )
        .await;
    assert_eq!(client.expect("welcome").await["replyTo"], 5);
    let mut bodies = [client.next().await, client.next().await, client.next().await];
    bodies.sort_by_key(ToString::to_string);
    assert_eq!(bodies[0]["error"]["code"], "bad_subject");
    assert_eq!(bodies[0]["error"]["subject"], "b..c");
    assert_eq!(bodies[1]["subscribed"]["subject"], "a");
    assert_eq!(bodies[2]["subscribed"]["subject"], "c.>");
}

#[tokio::test]
async fn a_client_that_takes_everything_delays_nobodys_subscription() {
    let nats = NatsServer::start().await;
    let node = TestNode::nats(&nats).await;
    let (mut greedy, mut other) = (node.client().await, node.client().await);
    greedy.subscribe(">").await;
    greedy.subscribe("*.*.*").await;
    for number in 0..3 {
        let subject = format!("a.{number}");
        let subscribed = other.subscribe(&subject);
        // What confirms it must not wait for a time-out of 5 s.
        tokio::time::timeout(std::time::Duration::from_secs(3), subscribed).await.expect("confirmed at once");
    }
}

#[tokio::test]
async fn a_wildcard_subscriber_gets_no_subject_of_the_messaging_system() {
    let nats = NatsServer::start().await;
    let node = TestNode::nats(&nats).await;
    let mut client = node.client().await;
    client.subscribe(">").await;
    let service = nats.client().await;
    for subject in ["_INBOX.abc.1", "$JS.API.INFO", "$KV.bucket.key"] {
        service.publish(subject, "secret".into()).await.expect("published");
    }
    service.publish("open", "1".into()).await.expect("published");
    assert_eq!(client.event().await, ("open".to_owned(), json!(1)));
}

#[tokio::test]
async fn subscribing_twice_before_it_is_live_is_confirmed_once_when_it_is() {
    let mut nats = NatsServer::start().await;
    let node = TestNode::nats(&nats).await;
    let mut client = node.client().await;
    nats.kill();
    while client.ping().await["broker"] != "down" {}
    for id in [1, 2] {
        client.send(json!({"id": id, "subscribe": {"subject": "twice"}})).await;
    }
    assert_eq!(client.events_until_now().await, [], "nothing is live yet");
    nats.restart().await;
    assert_eq!(client.expect("subscribed").await["replyTo"], 2);
    let service = nats.client().await;
    service.publish("twice", "1".into()).await.expect("published");
    assert_eq!(client.event().await.1, json!(1));
    assert_eq!(client.events_until_now().await, []);
}
