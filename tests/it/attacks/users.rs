//! Everything for one user.

use serde_json::json;

use super::errors;
use crate::world::{TestNode, Ws, eventually, tokens};

async fn comes_in(node: &TestNode, user: &str) -> Result<Ws, (u16, String)> {
    let mut client = Ws::open(node.address).await;
    client.send(json!({"id": 7, "connect": {"token": tokens::token_of(user, &[])}})).await;
    let answer = client.next().await;
    if answer.get("welcome").is_some() {
        return Ok(client);
    }
    assert_eq!((&answer["replyTo"], &answer["error"]["code"]), (&json!(7), &json!("user_full")), "{answer}");
    // So soon nobody knows whether those who are there live.
    assert_eq!(answer["error"]["retryable"], true);
    let (code, reason, _) = client.closed().await;
    Err((code, reason))
}

#[tokio::test]
async fn a_user_with_all_connections_they_may_have_gets_no_further_one() {
    let node = TestNode::with(|config| {
        tokens::with_secret(config);
        let grant = serde_json::from_value(json!({"role": "*", "subscribe": ["a"]})).expect("a grant");
        config.grants = vec![grant];
        config.limits.user_connections = 3;
    })
    .await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(comes_in(&node, "u42").await.expect("room"));
    }
    for _ in 0..10 {
        assert_eq!(comes_in(&node, "u42").await.err(), Some((4410, "user_full".into())));
    }
    assert_eq!(node.metric(&errors("user_full")).await, 10.0);
    comes_in(&node, "u43").await.expect("another user").subscribe("a").await;
    // Those who are there notice nothing, and who leaves makes room.
    held[0].subscribe("a").await;
    held.pop().expect("a client").close().await;
    eventually("room for one more", || async { comes_in(&node, "u42").await.is_ok() }).await;
}

#[tokio::test]
async fn a_user_holds_so_many_shapes_of_wildcards_over_all_connections() {
    let node = TestNode::with(|config| {
        tokens::with_secret(config);
        let grant = serde_json::from_value(json!({"role": "*", "subscribe": [">"]})).expect("a grant");
        config.grants = vec![grant];
        config.limits.wildcard_shapes = 3;
    })
    .await;
    let refused = |answer: &serde_json::Value| {
        let error = &answer["error"];
        assert_eq!((&error["code"], &error["subject"]), (&json!("wildcard_limit"), &json!("*.a")), "{answer}");
        assert!(error["message"].as_str().expect("a text").contains("in 3 different shapes"), "{answer}");
    };
    let mut one = comes_in(&node, "u42").await.expect("room");
    for pattern in ["a.*", "b.*", "c.*.*", "plain"] {
        one.subscribe(pattern).await;
    }
    let mut two = comes_in(&node, "u42").await.expect("room");
    two.subscribe("d.>").await;
    for client in [&mut one, &mut two] {
        client.send(json!({"id": 9, "subscribe": {"subject": "*.a"}})).await;
        let answer = client.expect("error").await;
        assert_eq!(answer["replyTo"], 9);
        refused(&answer);
        // It goes on, and what is held may be asked for again.
        for pattern in ["e.*", "e.*", "d.>", "other"] {
            client.subscribe(pattern).await;
        }
    }
    // What comes with `connect` is no way around it.
    let mut three = Ws::open(node.address).await;
    let subscriptions = json!([{"subject": "*.a"}, {"subject": "f.*"}]);
    three
        .send(json!({"id": 7, "connect": {"token": tokens::token_of("u42", &[]), "subscriptions": subscriptions}}))
        .await;
    three.expect("welcome").await;
    refused(&three.expect("error").await);
    assert_eq!(three.expect("subscribed").await["subscribed"]["subject"], "f.*");
    assert_eq!(node.metric(&errors("wildcard_limit")).await, 3.0);

    comes_in(&node, "u43").await.expect("another user").subscribe("*.a").await;
    // Who gives the last of a shape up makes room, also by leaving.
    one.send(json!({"id": 10, "unsubscribe": {"subject": "c.*.*"}})).await;
    one.expect("unsubscribed").await;
    two.subscribe("*.a").await;
    two.close().await;
    eventually("room for another shape", || async {
        let mut client = comes_in(&node, "u42").await.expect("room");
        client.send(json!({"id": 9, "subscribe": {"subject": "*.*.z"}})).await;
        client.next().await.get("subscribed").is_some()
    })
    .await;
}
