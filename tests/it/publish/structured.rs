//! CloudEvents in structured mode: from services, over HTTP and over a WebSocket they become the same event.

use async_nats::HeaderMap;
use notifier::event::cloud_event::STRUCTURED;
use serde_json::{Value, json};

use crate::world::{Kind, NatsServer, Shop, TestNode};

fn cloud_event() -> Value {
    json!({
        "specversion": "1.0", "id": "e-1", "source": "/carts", "type": "shop.cart.changed", "subject": "u42",
        "time": "2026-11-22T10:00:00.123456Z", "datacontenttype": "application/vnd.cart+json", "tenant": "blue",
        "priority": 5, "traceparent": "00-ab", "data": {"qty": 2},
    })
}

fn event(subject: &str) -> Value {
    json!({
        "subject": subject, "id": "e-1", "source": "/carts", "type": "shop.cart.changed", "time": 1_795_341_600_123_u64,
        "contentType": "application/vnd.cart+json", "data": {"qty": 2}, "headers": {"ce-priority": "5",
        "ce-subject": "u42", "ce-tenant": "blue", "ce-time": "2026-11-22T10:00:00.123456Z", "traceparent": "00-ab"},
    })
}

#[tokio::test]
async fn a_cloud_event_is_the_event_that_it_says_however_it_comes() {
    let nats = NatsServer::start().await;
    for node in [TestNode::memory().await, TestNode::nats(&nats).await] {
        let mut client = node.client().await;
        client.subscribe("h.*").await;
        let content_type = [("content-type", "application/cloudevents+json; charset=UTF-8")];
        let answer = node.post("/v1/publish/h.http", &content_type, cloud_event().to_string().into()).await;
        assert_eq!(answer.status(), 200, "{:?}", answer.body());
        assert_eq!(client.expect("event").await["event"], event("h.http"));
        let published = json!({"contentType": STRUCTURED, "data": cloud_event()});
        client.send(json!({"id": 1, "publish": {"subject": "h.ws", "event": published}})).await;
        let frames = [client.next().await, client.next().await];
        assert!(frames.iter().any(|frame| frame["event"] == event("h.ws")), "{frames:?}");
    }
    let node = TestNode::nats(&nats).await;
    let mut client = node.client().await;
    client.subscribe("h").await;
    let mut headers = HeaderMap::new();
    headers.insert("content-type", STRUCTURED);
    // Of another event, as some proxies add them.
    headers.insert("ce-id", "other");
    headers.insert("Nats-Msg-Id", "m1");
    let service = nats.client().await;
    service.publish_with_headers("h", headers, cloud_event().to_string().into()).await.expect("published");
    assert_eq!(client.expect("event").await["event"], event("h"));
}

#[tokio::test]
async fn a_stored_cloud_event_is_known_again_by_its_id() {
    let shop = Shop::open(Kind::Nats).await;
    let content_type = [("content-type", STRUCTURED)];
    let mut seen = Vec::new();
    for _ in 0..2 {
        seen.push(shop.store("cart.a", &content_type, &cloud_event().to_string()).await);
    }
    assert_eq!(seen, [json!({"stream": "SHOP", "seq": 1}), json!({"stream": "SHOP", "seq": 1, "duplicate": true})]);
}

#[tokio::test]
async fn what_is_no_cloud_event_is_refused_with_a_reason_and_dropped_where_nobody_can_be_told() {
    let nats = NatsServer::start().await;
    let node = TestNode::nats(&nats).await;
    let mut client = node.client().await;
    client.subscribe("h").await;
    let with = |name: &str, value: Value| {
        let mut event = cloud_event();
        event[name] = value;
        event
    };
    let service = nats.client().await;
    let mut headers = HeaderMap::new();
    headers.insert("Content-Type", STRUCTURED);
    for (number, (event, named)) in [
        (json!([]), "one JSON object"),
        (with("specversion", json!("0.3")), "`specversion`"),
        (with("id", Value::Null), "`id`"),
        (with("time", json!("now")), "`time`"),
        (with("Tenant", json!("blue")), "\"Tenant\""),
        (with("data_base64", json!("AA==")), "both"),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = node.post("/v1/publish/h", &[("content-type", STRUCTURED)], event.to_string().into()).await;
        let error: Value = serde_json::from_slice(answer.body()).expect("JSON");
        assert_eq!((answer.status().as_u16(), &error["error"]["code"]), (400, &json!("bad_request")), "{event}");
        assert!(error.to_string().contains(&named.replace('"', "\\\"")), "{error}");
        client
            .send(json!({"id": 1, "publish": {"subject": "h", "event": {"contentType": STRUCTURED, "data": event}}}))
            .await;
        assert_eq!(client.expect("error").await["error"], error["error"]);
        service.publish_with_headers("h", headers.clone(), event.to_string().into()).await.expect("published");
        let dropped = number as f64 + 1.0;
        node.until_metric("notifier_drops_total{reason=\"bad_cloud_event\"}", |count| count == dropped).await;
    }
    let nested = json!({"datacontenttype": STRUCTURED, "specversion": "1.0", "id": "1", "source": "/", "type": "t"});
    let answer = node.post("/v1/publish/h", &[("content-type", STRUCTURED)], nested.to_string().into()).await;
    assert_eq!(answer.status(), 400, "{:?}", answer.body());
    // The time of an event stands in `time`, and may only be told more exactly.
    for (time, status) in [("2026-11-22T10:00:00.5004Z", "published"), ("2026-11-22T10:00:01Z", "error")] {
        let event = json!({"time": 1_795_341_600_500_u64, "headers": {"ce-time": time}});
        client.send(json!({"id": 2, "publish": {"subject": "other", "event": event}})).await;
        client.expect(status).await;
    }
    assert_eq!(client.events_until_now().await, []);
}
