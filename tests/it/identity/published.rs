//! Keys that an issuer publishes: they change, they are late, they are wrong,
//! and no client with a good token is to notice.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use notifier::config::Algorithm;
use serde_json::{Value, json};

use crate::{
    identity::published,
    world::{
        TestNode, Ws, eventually, free_address,
        signing::{Answers, KeyServer, SigningKey, set},
        tokens,
    },
};

/// A node that takes tokens with keys of a server.
async fn node_of(server: &KeyServer, cooldown: Duration, refresh: Duration) -> TestNode {
    TestNode::with(|config| {
        tokens::with_issuer(config, published(server, &[Algorithm::ES256]));
        config.auth.jwks.cooldown = cooldown.into();
        config.auth.jwks.refresh = refresh.into();
        config.auth.jwks.timeout = Duration::from_secs(1).into();
    })
    .await
}

const SOON: Duration = Duration::from_millis(100);
const NEVER: Duration = Duration::from_secs(3600);

fn key(id: &str) -> SigningKey {
    SigningKey::new(Algorithm::ES256, id)
}

/// How a client with a token fares: nothing, or code and reason of the close.
async fn fares(node: &TestNode, token: &str) -> Result<(), (u16, Value)> {
    let mut client = Ws::open(node.address).await;
    client.send(json!({"connect": {"token": token}})).await;
    let frame = client.next().await;
    if frame.get("welcome").is_some() {
        client.close().await;
        return Ok(());
    }
    Err((client.closed().await.0, frame["error"]["code"].clone()))
}

#[tokio::test]
async fn a_new_key_is_fetched_once_for_all_who_come_with_it() {
    let (old, new) = (key("old"), key("new"));
    let server = KeyServer::start(Answers::Text(set(&[&old]))).await;
    let node = node_of(&server, NEVER, NEVER).await;
    node.until_ready().await;
    server.answers(Answers::Text(set(&[&old, &new])));
    let tokens: Vec<String> = (0..50).map(|n| new.token(&tokens::claims(&format!("u{n}"), &[]))).collect();
    let all = tokens.iter().map(|token| fares(&node, token));
    assert_eq!(futures_util::future::join_all(all).await, vec![Ok(()); 50]);
    assert_eq!(fares(&node, &old.token(&tokens::claims("u", &[]))).await, Ok(()));
    // Those who came while it was fetched may have left one more wish, which the cooldown holds back.
    assert_eq!(server.asked(), 2);
}

#[tokio::test]
async fn keys_that_nobody_has_are_asked_for_no_more_often_than_the_cooldown_allows() {
    let old = key("old");
    let server = KeyServer::start(Answers::Text(set(&[&old]))).await;
    let node = node_of(&server, NEVER, NEVER).await;
    node.until_ready().await;
    let strangers: Vec<String> =
        (0..200).map(|n| key("x").token(&tokens::claims("u", &[])) + &"A".repeat(n % 2)).collect();
    let (first, others) = strangers.split_first().expect("many");
    assert_eq!(fares(&node, first).await, Err((4501, json!("unauthorized"))));
    let all = futures_util::future::join_all(others.iter().map(|token| fares(&node, token)));
    let neighbours = async {
        for _ in 0..20 {
            assert_eq!(fares(&node, &old.token(&tokens::claims("good", &[]))).await, Ok(()));
        }
    };
    // Nobody knows of these before the next fetch: they are to try again.
    let (all, ()) = tokio::join!(all, neighbours);
    assert!(all.iter().all(|end| *end == Err((4010, json!("keys_unavailable")))), "{all:?}");
    assert_eq!(server.asked(), 2);
    assert!(node.metric("notifier_tokens_refused_total{reason=\"keys_unavailable\"}").await > 198.5);
}

#[tokio::test]
async fn a_node_is_ready_once_the_first_keys_are_here_and_stays_so() {
    let only = key("only");
    let server = KeyServer::start(Answers::Nothing).await;
    let node = node_of(&server, SOON, SOON).await;
    let token = only.token(&tokens::claims("u", &[]));
    assert_eq!(fares(&node, &token).await, Err((4010, json!("keys_unavailable"))));
    let (status, body) = node.internal("/readyz").await;
    assert!(status == 503 && body.contains("the keys of an issuer are not here yet"), "{body}");
    server.answers(Answers::Text(set(&[&only])));
    node.until_ready().await;
    assert_eq!(fares(&node, &token).await, Ok(()));
    assert!(node.metric("notifier_jwks_fetched_timestamp_seconds").await > 1e9);
    server.answers(Answers::Nothing);
    let failed = "notifier_jwks_fetches_total{result=\"failed\"}";
    let before = node.metric(failed).await;
    node.until_metric(failed, |count| count > before + 1.5).await;
    assert_eq!(node.internal("/readyz").await.0, 200);
    assert_eq!(fares(&node, &token).await, Ok(()), "the last good keys stay");
    assert_eq!(node.internal_json("/debug/state").await["issuers"][0]["failing"], true);
    // Whether this one is good nobody can tell now; later it may.
    let rotated = key("rotated");
    let fresh = rotated.token(&tokens::claims("u", &[]));
    assert_eq!(fares(&node, &fresh).await, Err((4010, json!("keys_unavailable"))));
    let bearer = format!("Bearer {fresh}");
    let answer = node.post("/v1/publish/a", &[("authorization", &bearer)], "1".into()).await;
    assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].as_bytes()), (503, &b"1"[..]));
    server.answers(Answers::Text(set(&[&only, &rotated])));
    eventually("the new key", || async { fares(&node, &fresh).await.is_ok() }).await;
}

#[tokio::test]
async fn answers_that_are_no_keys_leave_the_last_ones_in_place() {
    let only = key("only");
    let other = KeyServer::start(Answers::Text(set(&[&key("evil")]))).await;
    let server = KeyServer::start(Answers::Text(set(&[&only]))).await;
    let node = node_of(&server, SOON, SOON).await;
    node.until_ready().await;
    let rows = [
        (Answers::Text("<html>".into()), "unusable"),
        (Answers::Text(r#"{"keys":[]}"#.into()), "unusable"),
        (Answers::Text(r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#.into()), "unusable"),
        (Answers::Elsewhere(other.url()), "failed"),
        (Answers::Endless, "failed"),
        (Answers::Silence, "failed"),
        (Answers::Nothing, "failed"),
    ];
    for (answers, result) in rows {
        let series = format!("notifier_jwks_fetches_total{{result=\"{result}\"}}");
        let before = node.metric(&series).await;
        server.answers(answers);
        node.until_metric(&series, |count| count > before + 0.5).await;
        assert_eq!(fares(&node, &only.token(&tokens::claims("u", &[]))).await, Ok(()), "{result}");
    }
    assert_eq!(other.asked(), 0, "redirects are not followed");
}

#[tokio::test]
async fn keys_come_over_tls_from_whom_the_configuration_trusts() {
    let only = key("only");
    let server = KeyServer::tls(Answers::Text(set(&[&only]))).await;
    let node = node_of(&server, SOON, NEVER).await;
    node.until_ready().await;
    assert_eq!(fares(&node, &only.token(&tokens::claims("u", &[]))).await, Ok(()));
    // The system's authorities do not know it.
    let distrustful = TestNode::with(|config| {
        let mut issuer = published(&server, &[Algorithm::ES256]);
        issuer.jwks_ca_file = None;
        tokens::with_issuer(config, issuer);
    })
    .await;
    distrustful.until_metric("notifier_jwks_fetches_total{result=\"failed\"}", |count| count > 0.5).await;
    assert_eq!(distrustful.internal("/readyz").await.0, 503);
}

#[tokio::test]
async fn nobody_with_a_good_token_is_refused_while_keys_change_and_their_server_fails() {
    const CLIENTS: usize = 16;
    let generations: Vec<Arc<SigningKey>> = (0..6).map(|n| Arc::new(key(&format!("g{n}")))).collect();
    let server = KeyServer::start(Answers::Text(set(&[&generations[0]]))).await;
    let node = Arc::new(node_of(&server, SOON, Duration::from_millis(300)).await);
    node.until_ready().await;
    let (current, stop, admitted) =
        (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    // Clients come and go all the time, with the newest key that has been published.
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (node, keys, current, stop, admitted) =
                (node.clone(), generations.clone(), current.clone(), stop.clone(), admitted.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let key = &keys[current.load(Ordering::SeqCst)];
                    let end = fares(&node, &key.token(&tokens::claims(&format!("u{number}"), &[]))).await;
                    assert_eq!(end, Ok(()), "{}", key.id);
                    admitted.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let served = |more: usize| {
        let (admitted, clients) = (&admitted, &clients);
        async move {
            let goal = admitted.load(Ordering::Relaxed) + more;
            eventually("clients that come in", || async {
                assert!(clients.iter().all(|client| !client.is_finished()), "somebody was refused");
                admitted.load(Ordering::Relaxed) >= goal
            })
            .await;
        }
    };
    served(100).await;
    for (number, pair) in generations.windows(2).enumerate() {
        // The issuer publishes a key, and signs with it from then on; the old one stays for a while.
        server.answers(Answers::Text(set(&[&pair[0], &pair[1]])));
        current.store(number + 1, Ordering::SeqCst);
        served(100).await;
        // Then its server fails in one way or another.
        let failed = server.asked();
        server
            .answers([Answers::Nothing, Answers::Text("{".into()), Answers::Elsewhere("/".into())][number % 3].clone());
        served(100).await;
        eventually("a fetch that fails", || async { server.asked() > failed }).await;
        served(50).await;
        server.answers(Answers::Text(set(&[&pair[1]])));
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.expect("nobody was refused");
    }
    assert!(node.metric("notifier_jwks_fetches_total{result=\"failed\"}").await > 0.5);
    assert!(node.metric("notifier_jwks_fetches_total{result=\"unusable\"}").await > 0.5);
}

#[tokio::test]
async fn a_server_of_keys_that_is_not_there_is_told_as_such() {
    let nowhere = free_address();
    let node = TestNode::with(|config| {
        let mut issuer = tokens::issuer(&[Algorithm::ES256]);
        issuer.jwks_url = Some(format!("http://{nowhere}/keys"));
        tokens::with_issuer(config, issuer);
    })
    .await;
    node.until_metric("notifier_jwks_fetches_total{result=\"failed\"}", |count| count > 0.5).await;
    assert_eq!(node.internal("/readyz").await.0, 503);
}

#[tokio::test]
async fn a_new_token_whose_key_is_awaited_holds_up_nothing_but_other_tokens() {
    let (old, new) = (key("old"), key("new"));
    let server = KeyServer::start(Answers::Text(set(&[&old]))).await;
    let node = node_of(&server, SOON, NEVER).await;
    node.until_ready().await;
    let claims = tokens::claims("u", &[]);
    let mut client = Ws::with_token(node.address, &old.token(&claims)).await;
    server.answers(Answers::Nothing);
    for (id, key) in [(1, &new), (2, &old)] {
        client.send(json!({"id": id, "refresh": {"token": key.token(&claims)}})).await;
    }
    client.send(json!({"id": 3, "subscribe": {"subject": "b"}})).await;
    client.send(json!({"id": 4, "publish": {"subject": "a", "event": {"data": 1}}})).await;
    let mut answered = Vec::new();
    while answered.len() < 2 {
        answered.extend(client.next().await["replyTo"].as_u64());
    }
    answered.sort_unstable();
    assert_eq!(answered, [3, 4]);
    let refused = client.expect("error").await;
    assert_eq!((&refused["replyTo"], &refused["error"]["code"]), (&json!(1), &json!("keys_unavailable")));
    assert_eq!(client.expect("refreshed").await["replyTo"], 2);
}
