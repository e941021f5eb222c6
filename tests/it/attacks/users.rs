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
    assert_eq!((&answer["replyTo"], &answer["error"]["code"]), (&json!(7), &json!("user_limit")), "{answer}");
    assert_eq!(answer["error"].get("retryable"), None);
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
        assert_eq!(comes_in(&node, "u42").await.err(), Some((4510, "user_limit".into())));
    }
    assert_eq!(node.metric(&errors("user_limit")).await, 10.0);
    comes_in(&node, "u43").await.expect("another user").subscribe("a").await;
    // Those who are there notice nothing, and who leaves makes room.
    held[0].subscribe("a").await;
    held.pop().expect("a client").close().await;
    eventually("room for one more", || async { comes_in(&node, "u42").await.is_ok() }).await;
}
