//! Publishing: over WebSocket, HTTP and NATS, and what subscribers see of it.

mod headers;
mod ids;
mod mistakes;
mod structured;

use async_nats::HeaderMap;
use bytes::Bytes;
use futures_util::StreamExt as _;
use notifier::{event::headers::ENVELOPE, proto::Envelope};
use prost::Message as _;
use serde_json::{Value, json};

use super::world::{Kind, NatsServer, Shop, TestNode, Ws, soon};

#[tokio::test]
async fn an_event_published_by_a_client_reaches_services_and_clients() {
    let nats = NatsServer::start().await;
    let node = TestNode::nats(&nats).await;
    let (mut sender, mut receiver) = (node.client().await, node.client().await);
    receiver.subscribe("shop.>").await;
    let event =
        json!({"id": "m1", "type": "t", "source": "/s", "headers": {"traceparent": "00-1"}, "data": {"qty": 2}});
    sender.send(json!({"id": 4, "publish": {"subject": "shop.cart.u42", "event": event}})).await;
    assert_eq!(sender.next().await, json!({"replyTo": 4, "published": {}}));
    let mut got = receiver.expect("event").await["event"].take();
    assert!(got["time"].take().is_u64());
    let expected = json!({"subject": "shop.cart.u42", "time": null, "id": "m1", "type": "t", "source": "/s",
        "headers": {"traceparent": "00-1"}, "data": {"qty": 2}});
    assert_eq!(got, expected);
}

#[tokio::test]
async fn an_event_is_published_with_curl() {
    let node = TestNode::memory().await;
    let mut client = node.client().await;
    client.subscribe("shop.*").await;
    let form = [("content-type", "application/x-www-form-urlencoded"), ("ce-type", "a%20b"), ("x-internal", "1")];
    let answer = node.post("/v1/publish/shop.m%C3%BCller", &form, Bytes::from_static(b"{\"qty\":3}")).await;
    assert_eq!((answer.status().as_u16(), &answer.body()[..]), (200, &b"{\"published\":{}}\n"[..]));
    let event = client.expect("event").await["event"].take();
    assert_eq!(event["subject"], "shop.m\u{fc}ller");
    assert_eq!((&event["data"], &event["type"]), (&json!({"qty": 3}), &json!("a b")));
    assert_eq!((&event["headers"], &event["contentType"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn whatever_a_service_publishes_arrives_whole() {
    let nats = NatsServer::start().await;
    let node = TestNode::nats(&nats).await;
    let mut client = node.client().await;
    client.subscribe("raw").await;
    let service = nats.client().await;
    let rows: &[(&[u8], Value)] = &[
        (b"{\"a\":\n[1,\r\n2]}", json!({"data": {"a": [1, 2]}})),
        (b"null", json!({"data": null})),
        (b"hello", json!({"dataBase64": "aGVsbG8="})),
        (b"\"\xff\"", json!({"dataBase64": "Iv8i"})),
        (b"", json!({})),
    ];
    for (payload, expected) in rows {
        service.publish("raw", Bytes::copy_from_slice(payload)).await.expect("published");
        let event = client.expect("event").await["event"].take();
        for key in ["data", "dataBase64"] {
            assert_eq!(event.get(key), expected.get(key), "{payload:?}");
        }
    }
}

#[tokio::test]
async fn headers_of_nats_and_cloud_events_and_envelopes_are_understood() {
    let nats = NatsServer::start().await;
    let node = TestNode::nats(&nats).await;
    let mut client = node.client().await;
    client.subscribe("h").await;
    let service = nats.client().await;
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("Nats-Msg-Id", "forged"),
        ("Nats-Msg-Id", "m1"),
        ("Content-Type", "application/json"),
        ("ce-type", "shop.changed"),
        ("ce-source", "/shop"),
        ("ce-time", "2026-11-22T10:00:00Z"),
        ("ce-tenant", "blue"),
        ("traceparent", "00-ab"),
        ("X-Internal", "stays"),
    ] {
        headers.append(name, value);
    }
    service.publish_with_headers("h", headers, "1".into()).await.expect("published");
    let expected = json!({"subject": "h", "id": "m1", "time": 1_795_341_600_000_u64, "type": "shop.changed",
        "source": "/shop", "contentType": "application/json", "headers": {"ce-tenant": "blue", "traceparent": "00-ab"},
        "data": 1});
    assert_eq!(client.expect("event").await["event"], expected);

    let envelope = Envelope { id: "e1".into(), time: 5, data: "{}".into(), ..Envelope::default() };
    let mut headers = HeaderMap::new();
    headers.insert("Content-Type", ENVELOPE);
    service.publish_with_headers("h", headers.clone(), envelope.encode_to_vec().into()).await.expect("published");
    let expected = json!({"subject": "h", "id": "e1", "time": 5, "data": {}});
    assert_eq!(client.expect("event").await["event"], expected);

    service.publish_with_headers("h", headers, "no envelope".into()).await.expect("published");
    node.until_metric("notifier_drops_total{reason=\"bad_envelope\"}", |count| count == 1.0).await;
    assert_eq!(client.events_until_now().await, []);
}

#[tokio::test]
async fn what_cannot_be_published_is_refused_with_a_reason() {
    let node = TestNode::with(|config| config.limits.event_bytes = "1KiB".parse().expect("a size")).await;
    let mut client = node.client().await;
    let large = "x".repeat(2_000);
    let header = |name: &str| json!({"headers": {name: "1"}});
    let rows = [
        ("a..b", json!({}), "bad_subject", 400),
        ("a.*", json!({}), "bad_subject", 400),
        ("$JS.API.STREAM.DELETE.S", json!({}), "forbidden", 403),
        ("$SYS.REQ.SERVER.PING", json!({}), "forbidden", 403),
        ("a", json!({"data": large}), "too_large", 413),
        ("a", header("Nats-Sequence"), "bad_request", 400),
        ("a", header("notifier-user"), "bad_request", 400),
        ("a", header("a b"), "bad_request", 400),
        ("a", json!({"headers": {"a": "b\r\nc"}}), "bad_request", 400),
        ("a", json!({"id": "x\ny"}), "bad_request", 400),
        ("a", header("Content-Type"), "bad_request", 400),
        ("a", json!({"contentType": ENVELOPE, "dataBase64": ""}), "bad_request", 400),
        ("a", json!({"time": 1u64 << 53}), "bad_request", 400),
    ];
    for (subject, event, code, _) in &rows {
        client.send(json!({"id": 1, "publish": {"subject": subject, "event": event}})).await;
        let error = client.expect("error").await;
        assert_eq!((&error["error"]["code"], &error["replyTo"]), (&json!(code), &json!(1)), "{subject} {event}");
        let message = error["error"]["message"].as_str().expect("a message");
        assert!(!message.is_empty() && (*code != "too_large" || message.contains("limits.event_bytes")), "{message}");
    }
    for (subject, event, code, status) in &rows[..5] {
        let answer = node.post(&format!("/v1/publish/{subject}"), &[], event.to_string().into()).await;
        let body: Value = serde_json::from_slice(answer.body()).expect("JSON");
        assert_eq!((answer.status().as_u16(), &body["error"]["code"]), (*status, &json!(code)));
        assert!(*status != 413 || body.to_string().contains("limits.event_bytes"), "{body}");
    }
    for name in ["Nats-Sequence", "nats-expected-stream", "Notifier-User", "NOTIFIER-ROLES", "notifier-x"] {
        let answer = node.post("/v1/publish/a", &[(name, "1")], "1".into()).await;
        let body: Value = serde_json::from_slice(answer.body()).expect("JSON");
        assert_eq!((answer.status().as_u16(), &body["error"]["code"]), (400, &json!("bad_request")), "{name}");
    }
    assert!(node.metric("notifier_errors_total{code=\"bad_subject\"}").await >= 4.0);
}

#[tokio::test]
async fn an_event_above_the_limit_is_counted_and_not_relayed() {
    let nats = NatsServer::start().await;
    let small = |config: &mut notifier::config::Config| config.limits.event_bytes = "1KiB".parse().expect("a size");
    let node = TestNode::nats_with(&nats, small).await;
    let mut client = node.client().await;
    client.subscribe("big").await;
    let service = nats.client().await;
    service.publish("big", vec![b'1'; 2_000].into()).await.expect("published");
    service.publish("big", "1".into()).await.expect("published");
    assert_eq!(client.event().await.1, json!(1));
    assert_eq!(node.metric("notifier_drops_total{reason=\"too_large\"}").await, 1.0);
}

#[tokio::test]
async fn subjects_that_no_client_could_ask_for_are_counted() {
    let nats = NatsServer::start().await;
    let node = TestNode::nats(&nats).await;
    let mut client = node.client().await;
    client.subscribe("odd.>").await;
    let service = nats.client().await;
    // NATS takes what our grammar refuses.
    service.publish("odd.a*b", "1".into()).await.expect("published");
    service.publish("odd.\u{202e}", "2".into()).await.expect("published");
    service.publish("odd.fine", "3".into()).await.expect("published");
    assert_eq!(client.event().await.1, json!(3));
    assert_eq!(node.metric("notifier_drops_total{reason=\"bad_subject\"}").await, 2.0);
}

#[tokio::test]
async fn what_a_client_publishes_right_before_it_leaves_is_published() {
    let node = TestNode::memory().await;
    let mut receiver = node.client().await;
    receiver.subscribe("last.words").await;
    for number in 0..20 {
        let mut client = node.client().await;
        // Not awaited in between, so both frames may arrive in one read.
        client.send(json!({"publish": {"subject": "last.words", "event": {"data": number}}})).await;
        client.close().await;
        assert_eq!(receiver.event().await.1, json!(number));
    }
}

#[tokio::test]
async fn services_read_who_sends_an_event() {
    let nats = NatsServer::jetstream().await;
    let node = Shop::node(Some(&nats), |_| {}).await;
    let (_service, mut heard) = nats.listener(">").await;
    let mut client = Ws::open(node.address).await;
    client.send(json!({"connect": {}})).await;
    let connection = client.expect("welcome").await["welcome"]["connection"].take();
    // What is stored, and what is not.
    for subject in ["cart.u42", "seen.u42"] {
        let mut stamps = async || loop {
            let message = soon("an event", heard.next()).await.expect("a message");
            if message.subject.as_str() == subject {
                let headers = message.headers.expect("headers");
                let value = |name: &str| headers.get(name).map(|value| value.as_str().to_owned());
                return [value("Notifier-User"), value("Notifier-Connection"), value("Notifier-Roles")];
            }
        };
        client.send(json!({"id": 1, "publish": {"subject": subject, "event": {"data": 1}}})).await;
        client.expect("published").await;
        assert_eq!(
            stamps().await,
            [Some(String::new()), connection.as_str().map(String::from), Some("anonymous".to_owned())]
        );
        node.publish(subject, "1").await;
        assert_eq!(stamps().await, [Some(String::new()), None, Some("anonymous".to_owned())]);
    }
}

#[tokio::test]
async fn who_sends_an_event_is_shown_to_clients_only_where_the_configuration_says_so() {
    for kind in [Kind::Memory, Kind::Nats] {
        for (forward, expected) in
            [(vec![], Value::Null), (vec!["Notifier-User".to_owned()], json!({"notifier-user": ""}))]
        {
            let shop = Shop::with(kind, |config| config.events.forward_headers = forward).await;
            let (mut sender, mut receiver) = (shop.node.client().await, shop.node.client().await);
            for subject in ["cart.u42", "seen.u42"] {
                receiver.subscribe(subject).await;
                sender.send(json!({"id": 1, "publish": {"subject": subject, "event": {"data": 1}}})).await;
                sender.expect("published").await;
                assert_eq!(receiver.stored().await["headers"], expected, "{kind:?} {subject}");
            }
        }
    }
}

#[tokio::test]
async fn both_brokers_show_clients_the_same_headers() {
    let nats = NatsServer::start().await;
    for node in [TestNode::memory().await, TestNode::nats(&nats).await] {
        let mut client = node.client().await;
        client.subscribe("h").await;
        let headers = json!({"Traceparent": "", "X-Internal": "1", "ce-Tenant": "a b"});
        client.send(json!({"publish": {"subject": "h", "event": {"headers": headers, "data": 1}}})).await;
        let event = client.expect("event").await;
        assert_eq!(event["event"]["headers"], json!({"traceparent": "", "ce-tenant": "a b"}));
    }
}
