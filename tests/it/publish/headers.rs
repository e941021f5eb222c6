//! How many headers an event carries: clients are refused above it, and what
//! services send is cut, whichever way it comes.

use async_nats::HeaderMap;
use futures_util::StreamExt as _;
use notifier::{config::Config, event::headers::ENVELOPE, proto::Envelope};
use prost::Message as _;
use serde_json::{Value, json};

use crate::world::{Kind, Shop, TestNode};

const CUT: &str = "notifier_headers_cut_total";

fn two(config: &mut Config) {
    config.limits.event_headers = 2;
    config.limits.event_header_bytes = "64B".parse().expect("a size");
}

/// Of these two may stay.
const NAMES: [&str; 4] = ["ce-a", "ce-b", "ce-c", "traceparent"];

fn headers(value: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in NAMES {
        headers.insert(name, value);
    }
    headers
}

#[tokio::test]
async fn what_a_service_sends_above_the_limit_is_left_out_and_counted() {
    let shop = Shop::with(Kind::Nats, two).await;
    let (mut client, _, _) = shop.resume("cart.*", &json!([])).await;
    client.subscribe("live").await;
    let service = shop.nats().client().await;
    let long = "x".repeat(54);
    let mut expected = 0.0;
    for subject in ["live", "cart.u1"] {
        for (value, left) in [("1", json!({"ce-a": "1", "traceparent": "1"})), (&long, Value::Null)] {
            service.publish_with_headers(subject, headers(value), "7".into()).await.expect("published");
            let inner = NAMES.map(|name| (name.to_owned(), value.to_owned())).into();
            let envelope = Envelope { headers: inner, data: "7".into(), ..Envelope::default() }.encode_to_vec();
            let mut outer = HeaderMap::new();
            outer.insert("Content-Type", ENVELOPE);
            service.publish_with_headers(subject, outer, envelope.into()).await.expect("published");
            for way in ["headers", "an envelope"] {
                let event = client.expect("event").await["event"].take();
                assert_eq!((&event["headers"], &event["data"]), (&left, &json!(7)), "{subject}, {way}, {value}");
            }
            expected += 2.0;
            assert_eq!(shop.node.metric(CUT).await, expected, "{subject}, {value}");
        }
    }
    // One that fits is whole.
    let mut fitting = HeaderMap::new();
    fitting.insert("ce-z", long.as_str());
    service.publish_with_headers("live", fitting, "8".into()).await.expect("published");
    assert_eq!(client.expect("event").await["event"]["headers"], json!({"ce-z": long}));
    assert_eq!(shop.node.metric(CUT).await, expected);
}

#[tokio::test]
async fn an_answer_of_a_service_is_cut_the_same_way() {
    let shop = Shop::with(Kind::Nats, two).await;
    let service = shop.nats().client().await;
    let mut asked = service.subscribe("ask").await.expect("subscribed");
    service.flush().await.expect("sent");
    let mut client = shop.node.client().await;
    client.send(json!({"id": 1, "request": {"subject": "ask", "event": {"data": 1}}})).await;
    let question = asked.next().await.expect("a question");
    let to = question.reply.expect("somewhere to answer");
    service.publish_with_headers(to, headers("1"), "2".into()).await.expect("answered");
    let answer = client.expect("response").await;
    assert_eq!(answer["response"]["event"]["headers"], json!({"ce-a": "1", "traceparent": "1"}), "{answer}");
    assert_eq!(shop.node.metric(CUT).await, 1.0);
}

#[tokio::test]
async fn what_a_client_sends_above_the_limit_is_refused_by_name() {
    let node = TestNode::with(two).await;
    let mut client = node.client().await;
    let long = "x".repeat(61);
    for headers in [json!({"a": "", "b": "", "c": ""}), json!({"name": long})] {
        client.send(json!({"id": 1, "publish": {"subject": "a", "event": {"headers": headers}}})).await;
        let error = client.expect("error").await["error"].take();
        assert_eq!(error["code"], "bad_request");
        let message = error["message"].as_str().expect("a message");
        assert!(message.contains("limits.event_headers") && message.contains("limits.event_header_bytes"), "{message}");
    }
    let answer = node.post("/v1/publish/a", &[("ce-a", "1"), ("ce-b", "1"), ("ce-c", "1")], "1".into()).await;
    assert_eq!(answer.status().as_u16(), 400);
    client
        .send(json!({"id": 2, "publish": {"subject": "a", "event": {"headers": {"a": "", "b": &long[..62 - 2]}}}}))
        .await;
    assert_eq!(client.next().await, json!({"replyTo": 2, "published": {}}));
}
