//! The rules that hold for every frame, in both encodings.

use std::time::Duration;

use notifier::{
    client::{Client, ClientError},
    codec::Encoding,
    proto::{
        ClientFrame, Connect, Event, Ping, Publish, ServerFrame, Subscribe, client_frame::Body as Ask,
        server_frame::Body,
    },
};
use serde_json::json;

use super::world::{TestNode, Ws, soon};

#[tokio::test]
async fn both_encodings_carry_the_same_events() {
    let node = TestNode::memory().await;
    let mut events = Vec::new();
    let url = format!("ws://{}", node.address);
    let mut clients = Vec::new();
    for encoding in Encoding::OFFERED {
        let (mut client, welcome) = Client::connect(&url, encoding, Connect::default()).await.expect("welcomed");
        assert_eq!(welcome.heartbeat_ms, 25_000);
        assert_eq!(welcome.limits.expect("limits").subscriptions, 512);
        let subscribe = Subscribe { subject: "shop.cart.*".into(), ..Subscribe::default() };
        client.send(ClientFrame { id: 1, body: Some(Ask::Subscribe(subscribe)) }).await.expect("sent");
        let subscribed = soon("subscribed", client.next()).await.expect("a frame");
        assert!(matches!(subscribed, ServerFrame { reply_to: 1, body: Some(Body::Subscribed(_)) }));
        clients.push(client);
    }
    node.publish("shop.cart.u42", r#"{"qty":2}"#).await;
    for client in &mut clients {
        match soon("an event", client.next()).await.expect("a frame").body {
            Some(Body::Event(event)) => events.push(event),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(events[0], events[1]);
    assert_eq!((events[0].subject.as_str(), &events[0].data[..]), ("shop.cart.u42", &br#"{"qty":2}"#[..]));
}

#[tokio::test]
async fn frames_that_this_node_does_not_serve_are_answered_as_unsupported() {
    let node = TestNode::memory().await;
    for encoding in Encoding::OFFERED {
        let url = format!("ws://{}", node.address);
        let (mut client, _) = Client::connect(&url, encoding, Connect::default()).await.expect("welcomed");
        // A frame of a later version looks like one without a body.
        client.send(ClientFrame { id: 1, body: None }).await.expect("sent");
        match soon("an answer", client.next()).await.expect("a frame") {
            ServerFrame { reply_to: 1, body: Some(Body::Error(error)) } => {
                assert_eq!((error.code.as_str(), error.retryable), ("unsupported", false));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn without_an_id_only_refusals_are_answered() {
    let node = TestNode::memory().await;
    let mut client = node.client().await;
    client.send(json!({"publish": {"subject": "a", "event": {"data": 1}}})).await;
    client.send(json!({"unsubscribe": {"subject": "a"}})).await;
    client.send(json!({"some_future_frame": {}})).await;
    client.send(json!({"publish": {"subject": "a.*"}})).await;
    let error = client.expect("error").await;
    assert_eq!((&error["error"]["code"], error.get("replyTo")), (&json!("bad_subject"), None));
}

#[tokio::test]
async fn what_is_no_frame_ends_the_connection_with_a_reason() {
    let node = TestNode::memory().await;
    let rows = [
        "hello",
        "{\"connect\":{}}{}",
        "[]",
        "{\"subscribe\":{\"subject\":\"a\"}}",
        "{\"connect\":{}}\n{\"connect\":{}}",
        "{\"connect\":{\"subscriptions\":7}}",
        &format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000)),
        &format!("{{\"connect\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000)),
    ];
    for text in rows {
        let mut client = Ws::open(node.address).await;
        client.send_text(text).await;
        let (code, reason, frames) = client.closed().await;
        assert_eq!((code, reason.as_str()), (4500, "bad_frame"), "{text:.60}");
        assert_eq!(frames.last().expect("an error first")["error"]["code"], "bad_frame", "{text:.60}");
    }
    let url = format!("ws://{}", node.address);
    let (mut client, _) = Client::connect(&url, Encoding::Proto, Connect::default()).await.expect("welcomed");
    let again = ClientFrame { id: 0, body: Some(Ask::Connect(Connect::default())) };
    client.send(again).await.expect("sent");
    let refused = soon("a refusal", client.next()).await.expect_err("a refusal");
    assert!(matches!(refused, ClientError::Refused { code, .. } if code == "bad_frame"));
}

#[tokio::test]
async fn welcome_tells_the_limits_that_a_client_has_to_keep() {
    let node = TestNode::with(|config| {
        config.limits.bytes_per_second = 10_000.into();
        config.limits.bytes_burst = 100_000.into();
        config.limits.idle_time = Duration::from_secs(90).into();
        config.limits.user_connections = 7;
        config.limits.wildcard_shapes = 9;
    })
    .await;
    let mut client = Ws::open(node.address).await;
    client.send(json!({"connect": {}})).await;
    let mut welcome = client.expect("welcome").await["welcome"].take();
    let limits = welcome["limits"].take();
    let expected = json!({
        "messageBytes": 65_536, "subscriptions": 512, "subjectBytes": 256, "subjectTokens": 16,
        "framesPerSecond": 100, "framesBurst": 1_000, "eventBytes": 1_048_576,
        "bytesPerSecond": 10_000, "bytesBurst": 100_000, "idleMs": 90_000, "userConnections": 7,
        "requestsInFlight": 16, "requestMs": 5_000, "publishesInFlight": 256, "fetchesInFlight": 4,
        "wildcardShapes": 9, "fetchEvents": 1_000, "connectBytes": 65_536,
    });
    assert_eq!(limits, expected);
    assert_eq!((&welcome["broker"], &welcome["version"]), (&json!("ok"), &json!(env!("CARGO_PKG_VERSION"))));
    assert_eq!(
        welcome["features"],
        json!(["ping", "cancel", "frame_errors", "subscription_ids", "connect_after", "replaces"])
    );
}

#[tokio::test]
async fn a_value_of_the_wrong_type_concerns_its_frame_alone() {
    let node = TestNode::memory().await;
    let mut client = node.client().await;
    client.subscribe("a").await;
    let lines = [
        r#"{"id":1,"publish":{"subject":"a","event":{"data":1}}}"#,
        r#"{"id":2,"publish":{"subject":"a","event":{"data":2,"headers":{"n":2}}}}"#,
        r#"{"id":3,"publish":{"subject":"a","event":{"data":3}}}"#,
        r#"{"id":4.5,"publish":{"subject":"a","event":{"data":4}}}"#,
        r#"{"id":5,"subscribe":{"subject":"\ud800"}}"#,
    ];
    client.send_text(&lines.join("\n")).await;
    let (mut refused, mut events) = (Vec::new(), Vec::new());
    // Three errors, two events, and two times `published`.
    for _ in 0..7 {
        let frame = client.next().await;
        if let Some(error) = frame.get("error") {
            assert_eq!(error["code"], "bad_request", "{error}");
            refused.push((frame["replyTo"].as_u64(), error["message"].as_str().unwrap_or_default().to_owned()));
        }
        events.extend(frame.get("event").map(|event| event["data"].clone()));
    }
    let of = |id: Option<u64>| &refused.iter().find(|(reply_to, _)| *reply_to == id).expect("refused").1;
    assert!(of(Some(2)).contains("`publish.event.headers.n`"), "{refused:?}");
    assert!(of(None).contains("`id`"), "{refused:?}");
    assert!(of(Some(5)).contains("`subscribe.subject`"), "{refused:?}");
    assert_eq!(events, [json!(1), json!(3)]);
}

#[tokio::test]
async fn a_ping_is_answered_with_the_clock_of_the_node() {
    let node = TestNode::memory().await;
    let url = format!("ws://{}", node.address);
    for encoding in Encoding::OFFERED {
        let (mut client, welcome) = Client::connect(&url, encoding, Connect::default()).await.expect("welcomed");
        for id in [0, 7] {
            client.send(ClientFrame { id, body: Some(Ask::Ping(Ping::default())) }).await.expect("sent");
            match soon("a pong", client.next()).await.expect("a frame") {
                ServerFrame { reply_to, body: Some(Body::Pong(pong)) } => {
                    assert!(reply_to == id && pong.time >= welcome.server_time, "{pong:?}");
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_client_that_keeps_the_limits_told_in_welcome_is_never_refused() {
    let node = TestNode::with(|config| config.limits.subscriptions = 3).await;
    let mut client = Ws::open(node.address).await;
    client.send(json!({"connect": {}})).await;
    let welcome = client.expect("welcome").await["welcome"].take();
    assert_eq!(welcome["limits"]["subscriptions"], 3);
    assert_eq!(welcome["limits"]["messageBytes"], 65_536);
    for name in ["a", "b", "c"] {
        client.subscribe(name).await;
    }
    client.send(json!({"id": 8, "subscribe": {"subject": "d"}})).await;
    let error = client.expect("error").await;
    assert_eq!((&error["replyTo"], &error["error"]["code"]), (&json!(8), &json!("subscription_limit")));
    // Again is not one more.
    client.subscribe("c").await;
    client.send(json!({"id": 9, "unsubscribe": {"subject": "a"}})).await;
    client.expect("unsubscribed").await;
    client.subscribe("d").await;
}

#[tokio::test]
async fn a_silent_client_is_pinged_and_then_given_up() {
    let node = TestNode::with(|config| config.server.heartbeat = std::time::Duration::from_secs(1).into()).await;
    // Reads nothing, so that not even its library answers the WebSocket Ping.
    let silent = node.client().await;
    let mut lively = node.client().await;
    let closed = "notifier_connections_closed_total{reason=\"ping_timeout\"}";
    let ping = lively.ping().await;
    assert_eq!((&ping["broker"], ping.get("positions")), (&json!("ok"), None));
    assert!(ping["time"].is_u64(), "{ping}");
    let until_given_up = node.until_metric(closed, |count| count == 1.0);
    tokio::select! {
        () = until_given_up => {}
        () = async { loop { lively.ping().await; } } => {}
    }
    lively.subscribe("still.here").await;
    drop(silent);
}

#[tokio::test]
async fn a_client_cannot_forge_where_its_event_stands() {
    let node = TestNode::memory().await;
    let url = format!("ws://{}", node.address);
    let (mut client, _) = Client::connect(&url, Encoding::Proto, Connect::default()).await.expect("welcomed");
    let subscribe = Subscribe { subject: ">".into(), ..Subscribe::default() };
    client.send(ClientFrame { id: 1, body: Some(Ask::Subscribe(subscribe)) }).await.expect("sent");
    soon("subscribed", client.next()).await.expect("a frame");
    let forged = Event { subject: "other".into(), stream: "S".into(), seq: 7, ..Event::default() };
    let publish = Publish { subject: "mine".into(), event: Some(forged) };
    client.send(ClientFrame { id: 0, body: Some(Ask::Publish(publish)) }).await.expect("sent");
    loop {
        if let Some(Body::Event(event)) = soon("an event", client.next()).await.expect("a frame").body {
            assert_eq!((event.subject.as_str(), event.stream.as_str(), event.seq), ("mine", "", 0));
            return;
        }
    }
}
