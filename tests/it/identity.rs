//! Who comes in: tokens over real sockets.

mod attacks;
mod canary;
mod issuers;
mod published;
mod settings;

use std::fs;

use notifier::config::{Algorithm, Issuer};
use serde_json::{Value, json};

use super::{
    handshake::raw::{Raw, UPGRADE, head},
    world::{
        TestNode, Ws,
        signing::{Answers, KeyServer, SigningKey, set},
        tokens,
    },
};

/// The public algorithms.
const PUBLIC: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// An issuer whose keys a server publishes.
fn published(server: &KeyServer, algorithms: &[Algorithm]) -> Issuer {
    let mut issuer = tokens::issuer(algorithms);
    issuer.jwks_url = Some(server.url());
    if server.url().starts_with("https") {
        issuer.jwks_ca_file = Some(server.authority());
    }
    issuer
}

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
async fn every_algorithm_is_verified_with_a_published_key_and_with_one_in_a_file() {
    let keys: Vec<SigningKey> =
        PUBLIC.iter().map(|algorithm| SigningKey::new(*algorithm, &algorithm.to_string())).collect();
    let server = KeyServer::start(Answers::Text(set(&keys.iter().collect::<Vec<_>>()))).await;
    let folder = tempfile::tempdir().expect("a folder");
    let node = TestNode::with(|config| {
        tokens::with_issuer(config, published(&server, &PUBLIC));
        for key in &keys {
            let path = folder.path().join(&key.id);
            fs::write(&path, key.public_pem()).expect("room");
            let mut issuer = tokens::issuer(&[key.algorithm]);
            issuer.issuer.clone_from(&key.id);
            issuer.public_key_file = Some(path);
            tokens::with_issuer(config, issuer);
        }
    })
    .await;
    node.until_ready().await;
    for key in &keys {
        let mut claims = tokens::claims("u42", &[]);
        Ws::with_token(node.address, &key.token(&claims)).await.close().await;
        claims["iss"] = key.id.clone().into();
        Ws::with_token(node.address, &key.token(&claims)).await.close().await;
        Ws::with_token(node.address, &key.nameless(&claims)).await.close().await;
    }
    assert_eq!(server.asked(), 1, "keys are fetched once, not per token");
}

#[tokio::test]
async fn tokens_of_several_issuers_are_taken_side_by_side_and_not_mixed_up() {
    let server = KeyServer::start(Answers::Text(set(&[&SigningKey::new(Algorithm::ES256, "k")]))).await;
    let node = TestNode::with(|config| {
        tokens::with_secret(config);
        let mut other = tokens::issuer(&[Algorithm::HS256, Algorithm::HS512]);
        other.issuer = "other".into();
        other.audience = "elsewhere".into();
        other.secret = Some("o".repeat(64).into());
        other.user_claim = "name".into();
        tokens::with_issuer(config, other);
        let mut third = published(&server, &[Algorithm::ES256]);
        third.issuer = "third".into();
        tokens::with_issuer(config, third);
    })
    .await;
    node.until_ready().await;
    let of_other = |secret: &str| {
        let claims = json!({"iss": "other", "aud": ["x", "elsewhere"], "name": "them", "exp": tokens::now() + 60});
        let signer = notifier::access::auth::Signer::secret(secret.as_bytes(), Algorithm::HS512).expect("for secrets");
        signer.mint(claims.as_object().expect("an object")).expect("a token")
    };
    Ws::with_token(node.address, &tokens::token_of("u42", &[])).await.close().await;
    Ws::with_token(node.address, &of_other(&"o".repeat(64))).await.close().await;
    let mut confused = Ws::open(node.address).await;
    confused.send(json!({"connect": {"token": of_other(tokens::SECRET)}})).await;
    assert_eq!(confused.closed().await.0, 4501);
    // Nobody but its own issuer's keys vouches for it.
    let state = node.internal_json("/debug/state").await;
    assert_eq!(state["issuers"][2]["keys"], 1, "{state}");
}

/// Opens a WebSocket with more lines in the request, says `connect` with these
/// fields, and returns the first frame.
async fn first_frame(node: &TestNode, path: &str, more: &[&str], connect: Value) -> Value {
    let request = format!("GET {path} HTTP/1.1");
    let lines: Vec<&str> =
        [request.as_str()].into_iter().chain(UPGRADE[1..].iter().copied()).chain(more.iter().copied()).collect();
    let mut raw = Raw::open(node.address).await;
    raw.send(&head(&lines)).await.expect("the node reads");
    assert_eq!(raw.answer().await.status, 101);
    raw.send(&super::frames::text(&json!({"connect": connect}))).await.expect("the node reads");
    raw.frame().await.expect("an answer").lines().remove(0)
}

#[tokio::test]
async fn a_token_is_taken_from_where_it_may_stand() {
    let open = TestNode::with(|config| {
        tokens::with_secret(config);
        config.auth.query_parameter = Some("access_token".into());
    })
    .await;
    let strict = TestNode::with(tokens::with_secret).await;
    let (mine, yours) = (tokens::token_of("mine", &[]), tokens::token_of("yours", &[]));
    let bearer = format!("Authorization: Bearer {mine}");
    let path = format!("/v1/ws?access_token={mine}");
    let rows = [
        (&strict, "/v1/ws", vec![bearer.as_str()], json!({}), Some("mine")),
        (&strict, "/v1/ws", vec![bearer.as_str()], json!({"token": yours}), Some("yours")),
        (&strict, "/v1/ws", vec!["Authorization: Bearer a.b.c"], json!({"token": yours}), Some("yours")),
        (&strict, "/v1/ws", vec!["Authorization: Basic dTpw"], json!({}), None),
        (&strict, path.as_str(), vec![], json!({}), None),
        (&open, path.as_str(), vec![], json!({}), Some("mine")),
        (&open, path.as_str(), vec!["Authorization: Bearer a.b.c"], json!({}), None),
    ];
    for (node, path, more, connect, user) in rows {
        let frame = first_frame(node, path, &more, connect.clone()).await;
        match user {
            Some(user) => assert_eq!(frame["welcome"]["user"], user, "{frame}"),
            None => assert_eq!(frame["error"]["code"], "unauthorized", "{frame}"),
        }
    }
    for (node, status) in [(&open, 404), (&strict, 401)] {
        let answer = node.get(&format!("/v1/last/a?access_token={mine}")).await;
        assert_eq!(answer.status(), status, "{:?}", answer.body());
    }
    let answer = open.get(&format!("/v1/fetch?subject=a&access_token={mine}")).await;
    assert_eq!(answer.status(), 404, "the token is no unknown parameter: {:?}", answer.body());
}

#[tokio::test]
async fn clients_without_a_token_come_in_only_where_that_is_said() {
    let node = TestNode::with(|config| {
        tokens::with_secret(config);
        config.auth.allow_anonymous = true;
    })
    .await;
    let mut client = Ws::open(node.address).await;
    client.send(json!({"connect": {}})).await;
    assert_eq!(client.expect("welcome").await["welcome"].get("user"), None);
    let mut liar = Ws::open(node.address).await;
    liar.send(json!({"connect": {"token": "a.b.c"}})).await;
    assert_eq!(liar.closed().await.0, 4501, "a bad token is not no token");
}
