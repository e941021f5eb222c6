//! NATS goes away and comes back; nobody has to do anything.

use std::time::Duration;

use serde_json::json;

use super::world::{NatsServer, TestNode, Ws, eventually, soon};

#[tokio::test]
async fn clients_stay_connected_are_told_and_live_again_by_themselves() {
    let mut nats = NatsServer::start().await;
    let node = TestNode::nats(&nats).await;
    let mut client = node.client().await;
    client.subscribe("a.>").await;
    for round in 0..3 {
        nats.kill();
        while client.ping().await["broker"] != "down" {}
        node.until_metric("notifier_broker_connected", |value| value == 0.0).await;
        let (status, body) = node.internal("/readyz").await;
        assert_eq!(status, 200, "an outage takes no node out of rotation: {body}");
        assert!(body.contains("\"nats\":\"disconnected\""), "{body}");

        client.send(json!({"id": 3, "publish": {"subject": "a.b", "event": {"data": 1}}})).await;
        let error = client.expect("error").await;
        assert_eq!(
            (&error["error"]["code"], &error["error"]["retryable"]),
            (&json!("broker_unavailable"), &json!(true))
        );
        let answer = node.post("/v1/publish/a.b", &[], "1".into()).await;
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.headers()["retry-after"], "1");

        nats.restart().await;
        while client.ping().await["broker"] != "ok" {}
        node.until_metric("notifier_broker_connected", |value| value == 1.0).await;
        let service = nats.client().await;
        // The node resubscribes with its reconnect; the first to arrive proves it.
        let mut number = 0;
        let (subject, _) = soon("an event after the outage", async {
            loop {
                number += 1;
                service.publish("a.b", json!({"round": round, "n": number}).to_string().into()).await.expect("sent");
                if let Ok(event) = tokio::time::timeout(Duration::from_millis(50), client.event()).await {
                    return event;
                }
            }
        })
        .await;
        assert_eq!(subject, "a.b");
        client.events_until_now().await;
    }
    assert_eq!(node.metric("notifier_connections_opened_total").await, 1.0);
    assert!(node.metric("notifier_broker_events_total{event=\"disconnected\"}").await >= 3.0);
}

#[tokio::test]
async fn a_subscription_made_during_an_outage_is_confirmed_when_nats_is_back() {
    let mut nats = NatsServer::start().await;
    let node = TestNode::nats(&nats).await;
    let mut client = node.client().await;
    nats.kill();
    while client.ping().await["broker"] != "down" {}
    // Who comes now is told at once too.
    let ping = node.client().await.ping().await;
    assert_eq!((&ping["broker"], ping.get("positions")), (&json!("down"), None));
    client.send(json!({"id": 1, "subscribe": {"subject": "late"}})).await;
    // Answered by the hub at once, so that the subscription's silence is its own.
    client.send(json!({"id": 2, "unsubscribe": {"subject": "nothing"}})).await;
    assert_eq!(client.next().await["replyTo"], 2);
    nats.restart().await;
    assert_eq!(client.expect("subscribed").await["replyTo"], 1);
    let service = nats.client().await;
    service.publish("late", "1".into()).await.expect("published");
    assert_eq!(client.event().await.1, json!(1));
}

#[tokio::test]
async fn a_node_starts_without_nats_and_is_ready_once_it_is_there() {
    let mut nats = NatsServer::start().await;
    nats.kill();
    let mut config = super::world::node::config();
    config.broker.kind = notifier::config::BrokerKind::Nats;
    config.broker.nats.urls = vec![nats.url().into()];
    let node = TestNode::start(config).await;
    let (status, body) = node.internal("/readyz").await;
    assert_eq!(status, 503);
    assert!(body.contains("not yet connected to the broker"), "{body}");
    assert_eq!(node.internal("/livez").await.0, 200);
    let failing = async || node.internal_json("/readyz").await["broker"]["failing"].take();
    eventually("a reason, and when it is tried again", || async {
        let failing = failing().await;
        failing[0]["what"] == json!(["publishing", "reading"])
            && failing[0]["nextAttemptSeconds"].is_number()
            && failing[0]["attempts"].as_u64().is_some_and(|attempts| attempts > 1)
    })
    .await;
    let why = failing().await;
    assert!(why[0]["problem"].as_str().is_some_and(|problem| problem.contains("refused")), "{why}");
    nats.restart().await;
    node.until_ready().await;
    assert_eq!(failing().await, json!(null));
    Ws::connected(node.address).await.subscribe("a").await;
}

#[tokio::test]
async fn strict_readiness_takes_the_node_out_of_rotation() {
    let mut nats = NatsServer::start().await;
    let node = TestNode::nats_with(&nats, |config| config.server.strict_readiness = true).await;
    nats.kill();
    eventually("unreadiness", || async { node.internal("/readyz").await.0 == 503 }).await;
}
