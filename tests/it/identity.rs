//! Who comes in: tokens over real sockets.

use bytes::Bytes;
use serde_json::json;

use super::world::{TestNode, Ws, tokens};

#[tokio::test]
async fn a_token_says_who_a_client_is() {
    let node = TestNode::with(tokens::with_secret).await;
    let mut client = Ws::open(node.address).await;
    let claims = tokens::claims("u42", &["customer"]);
    client.send(json!({"id": 1, "connect": {"token": tokens::token(&claims)}})).await;
    let welcome = client.expect("welcome").await;
    assert_eq!(welcome["welcome"]["user"], "u42");
    assert_eq!(welcome["welcome"]["tokenExpiresAt"], claims["exp"].as_u64().expect("a number") * 1000);
    client.subscribe("shop.cart.u42").await;
    Ws::with_token(node.address, &tokens::token_of("u43", &[])).await.subscribe("shop.cart.u43").await;
}

#[tokio::test]
async fn without_a_token_that_holds_nobody_comes_in() {
    let node = TestNode::with(tokens::with_secret).await;
    let mut expired = tokens::claims("u42", &[]);
    expired["exp"] = (tokens::now() - 3600).into();
    let rows = [
        (String::new(), "missing", "token is needed"),
        ("a.b.c".into(), "malformed", "no signed JWT"),
        (tokens::token(&expired), "expired", "expired"),
    ];
    for (token, reason, told) in rows {
        let mut client = Ws::open(node.address).await;
        client.send(json!({"id": 7, "connect": {"token": token}})).await;
        let (code, why, frames) = client.closed().await;
        assert_eq!((code, why.as_str()), (4501, "unauthorized"), "{reason}");
        let [error] = frames.as_slice() else { panic!("{frames:?}") };
        assert_eq!((&error["replyTo"], &error["error"]["code"]), (&json!(7), &json!("unauthorized")));
        assert!(error["error"]["message"].as_str().expect("a text").contains(told), "{error}");
        let headers = if token.is_empty() { vec![] } else { vec![("authorization", format!("Bearer {token}"))] };
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = node.post("/v1/publish/a", &headers, Bytes::from_static(b"1")).await;
        assert_eq!(answer.status(), 401, "{reason}");
        let challenge = if token.is_empty() { "Bearer" } else { "Bearer error=\"invalid_token\"" };
        assert_eq!(answer.headers()["www-authenticate"], challenge);
        assert!(
            (node.metric(&format!("notifier_tokens_refused_total{{reason=\"{reason}\"}}")).await - 2.0).abs() < 0.1
        );
    }
}
