//! What would be accepted and reach nobody, or reach them without its content.

use bytes::Bytes;
use serde_json::{Value, json};

use super::super::world::{TestNode, Ws};

#[tokio::test]
async fn a_path_with_slashes_for_dots_is_refused_with_what_was_meant() {
    let node = TestNode::memory().await;
    let mut client = node.client().await;
    client.subscribe(">").await;
    for prefix in ["/v1/publish/", "/v1/request/"] {
        for (path, meant) in
            [("shop/cart/u1", "shop.cart.u1"), ("/shop.cart", "shop.cart"), ("shop.cart/", "shop.cart")]
        {
            let answer = node.post(&format!("{prefix}{path}"), &[], "1".into()).await;
            let body: Value = serde_json::from_slice(answer.body()).expect("JSON");
            assert_eq!((answer.status().as_u16(), &body["error"]["code"]), (400, &json!("bad_subject")), "{path}");
            let message = body["error"]["message"].as_str().expect("a message");
            assert!(message.contains(&format!("{prefix}{meant}\"")) && message.contains("%2F"), "{message}");
        }
    }
    assert_eq!(client.events_until_now().await, []);
    let answer = node.post("/v1/publish/shop%2Fcart.u1", &[], "1".into()).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(client.event().await, ("shop/cart.u1".to_owned(), json!(1)));
}

#[tokio::test]
async fn a_field_beside_the_one_it_belongs_into_is_refused_and_the_connection_goes_on() {
    let node = TestNode::memory().await;
    let mut client = node.client().await;
    client.subscribe(">").await;
    let rows = [
        (json!({"publish": {"subject": "a", "data": 1}}), "publish.event"),
        (json!({"publish": {"subject": "a", "event": {}, "dataBase64": "MQ=="}}), "publish.event"),
        (json!({"publish": {"subject": "a"}, "event": {"data": 1}}), "publish"),
        (json!({"publish": {"subject": "a", "id": "o-1", "event": {"data": 1}}}), "publish.event"),
        (json!({"request": {"subject": "a", "data": 1}}), "request.event"),
        (json!({"subscribe": {"subject": "b", "stream": "S", "epoch": "1", "seq": 2}}), "subscribe.after"),
        (json!({"fetch": {"subject": "b"}, "last": true}), "fetch"),
    ];
    for (mut frame, place) in rows {
        frame["id"] = json!(7);
        client.send(frame.clone()).await;
        let error = client.next().await;
        assert_eq!((&error["replyTo"], &error["error"]["code"]), (&json!(7), &json!("bad_request")), "{frame}");
        let message = error["error"]["message"].as_str().expect("a message");
        assert!(message.ends_with(&format!("put it inside `{place}`")), "{message}");
    }
    // It has gone nowhere, and what is unknown is passed over as before.
    client.send(json!({"publish": {"subject": "a", "ttlMs": 5, "event": {"data": 1, "priority": 2}}})).await;
    assert_eq!(client.event().await, ("a".to_owned(), json!(1)));
}

#[tokio::test]
async fn who_connects_and_would_ask_for_nothing_is_told() {
    let node = TestNode::memory().await;
    let mut client = Ws::open(node.address).await;
    client.send(json!({"id": 1, "connect": {"subject": "shop.>"}})).await;
    let error = client.expect("error").await;
    assert_eq!((&error["replyTo"], &error["error"]["code"]), (&json!(1), &json!("bad_frame")));
    assert!(error.to_string().contains("`connect.subscriptions`"), "{error}");
    assert_eq!(client.closed().await.0, 4500);
}

#[tokio::test]
async fn a_form_s_media_type_says_nothing_whatever_its_parameters() {
    let node = TestNode::memory().await;
    let mut client = node.client().await;
    client.subscribe("a").await;
    for form in ["application/x-www-form-urlencoded; charset=utf-8", "Application/X-Www-Form-Urlencoded"] {
        let answer = node.post("/v1/publish/a", &[("content-type", form)], "{\"qty\":3}".into()).await;
        assert_eq!(answer.status(), 200);
        let event = client.expect("event").await["event"].take();
        assert_eq!((&event["data"], &event["contentType"]), (&json!({"qty": 3}), &Value::Null), "{form}");
    }
}

#[tokio::test]
async fn an_encoded_body_is_refused_with_415() {
    let node = TestNode::memory().await;
    let mut client = node.client().await;
    client.subscribe("a").await;
    for prefix in ["/v1/publish/", "/v1/request/"] {
        for coding in ["gzip", "identity, br", "x"] {
            let body = Bytes::from_static(b"\x1f\x8b\x08");
            let answer = node.post(&format!("{prefix}a"), &[("content-encoding", coding)], body).await;
            let told: Value = serde_json::from_slice(answer.body()).expect("JSON");
            assert_eq!((answer.status().as_u16(), &told["error"]["code"]), (415, &json!("unsupported_encoding")));
            assert_eq!(answer.headers()["accept-encoding"], "identity", "{coding}");
        }
    }
    let answer = node.post("/v1/publish/a", &[("content-encoding", "Identity")], "1".into()).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(client.event().await.1, json!(1));
}
