//! How long a connection lasts: as long as its token, unless a new one comes.

use std::time::Duration;

use notifier::config::{Config, Grant, Span};
use serde_json::{Value, json};

use super::world::{Kind, Shop, TestNode, Ws, eventually, tokens};

/// Tokens hold to the second, and are warned of 2 s ahead. Customers get all of
/// the shop, guests its prices.
pub fn shop(config: &mut Config) {
    tokens::with_secret(config);
    config.auth.leeway = Span::seconds(0);
    config.auth.expiry_warning = Span::seconds(2);
    config.grants = vec![
        Grant {
            role: "customer".into(),
            subscribe: vec!["cart.>".into(), "order.>".into(), "shop.>".into()],
            publish: vec![">".into()],
            ..Grant::default()
        },
        Grant { role: "*".into(), subscribe: vec!["price.*".into(), "news.>".into()], ..Grant::default() },
    ];
}

/// A customer's token that ends in so many seconds.
fn ending_in(seconds: u64) -> String {
    let mut claims = tokens::claims("u42", &["customer"]);
    claims["exp"] = (tokens::now() + seconds).into();
    tokens::token(&claims)
}

/// Sends a token; the answer and what came before it.
async fn refresh(client: &mut Ws, token: &str) -> (Value, Vec<Value>) {
    client.send(json!({"id": 7, "refresh": {"token": token}})).await;
    let mut before = Vec::new();
    loop {
        let frame = client.next().await;
        if frame["replyTo"] == 7 {
            return (frame, before);
        }
        before.push(frame);
    }
}

/// Waits for a frame with this body; events may come before it.
async fn amid_events(client: &mut Ws, body: &str) -> Value {
    loop {
        let mut frame = client.next().await;
        if frame.get(body).is_some() {
            return frame[body].take();
        }
        assert!(frame.get("event").is_some(), "{frame}");
    }
}

/// By the clock that tokens are written in, seconds.
fn now() -> f64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs_f64()
}

#[tokio::test]
async fn a_client_is_warned_ahead_of_its_tokens_end_and_closed_at_it() {
    let node = TestNode::with(shop).await;
    let end = tokens::now() + 4;
    let mut client = Ws::with_token(node.address, &ending_in(4)).await;
    let warned = client.expect("tokenExpiring").await["tokenExpiring"]["inMs"].as_u64().expect("a number");
    assert!((1..=2_000).contains(&warned), "{warned}");
    let (code, reason, frames) = client.closed().await;
    let late = now() - end as f64;
    eprintln!("closed {late:.3} s after the token's end");
    assert_eq!((code, reason.as_str(), frames.len()), (4007, "token_expired", 0));
    assert!(late >= 0.0, "{late}");
    drop(client);
    node.until_metric("notifier_connections_closed_total{reason=\"token_expired\"}", |count| count == 1.0).await;
}

#[tokio::test]
async fn a_token_holds_a_little_longer_for_coming_in_and_for_staying_but_only_once() {
    let node = TestNode::with(|config| {
        shop(config);
        config.auth.leeway = Span::seconds(3);
    })
    .await;
    let mut claims = tokens::claims("u42", &[]);
    let end = tokens::now() - 1;
    claims["exp"] = end.into();
    let mut client = Ws::with_token(node.address, &tokens::token(&claims)).await;
    assert_eq!(client.expect("tokenExpiring").await["tokenExpiring"], json!({}));
    assert_eq!(client.closed().await.0, 4007);
    assert!(now() >= (end + 3) as f64);
    // So the same token does not bring it back, once the clock's second is over.
    eventually("the next second", || async { now() >= (end + 4) as f64 }).await;
    let mut again = Ws::open(node.address).await;
    again.send(json!({"connect": {"token": tokens::token(&claims)}})).await;
    assert_eq!(again.closed().await.0, 4501);
}

#[tokio::test]
async fn a_new_token_keeps_the_connection_and_all_that_is_subscribed() {
    let node = TestNode::with(shop).await;
    let begun = tokens::now();
    let mut client = Ws::with_token(node.address, &ending_in(3)).await;
    client.subscribe("shop.>").await;
    client.expect("tokenExpiring").await;
    let new = tokens::claims("u42", &["customer"]);
    let (answer, before) = refresh(&mut client, &tokens::token(&new)).await;
    assert_eq!(answer["refreshed"]["expiresAt"], new["exp"].as_u64().expect("a number") * 1000);
    assert_eq!(before, Vec::<Value>::new());
    eventually("the old token's end", || async { now() > (begun + 4) as f64 }).await;
    node.publish_as(&ending_in(60), "shop.a", "1").await;
    assert_eq!(client.event().await, ("shop.a".into(), json!(1)));
    assert_eq!(node.metric("notifier_connections_opened_total").await, 1.0);
    assert_eq!(node.metric("notifier_refreshes_total{outcome=\"accepted\"}").await, 1.0);
}

#[tokio::test]
async fn a_token_that_does_not_hold_or_is_anothers_ends_nothing() {
    let node = TestNode::with(shop).await;
    let mut client = Ws::with_token(node.address, &ending_in(3600)).await;
    client.subscribe("shop.>").await;
    let mut elsewhere = tokens::claims("u42", &["customer"]);
    elsewhere["iss"] = "https://other.example".into();
    for (token, code) in [
        (tokens::token_of("u43", &["customer"]), "forbidden"),
        (tokens::token(&elsewhere), "unauthorized"),
        (String::new(), "unauthorized"),
        ("a.b.c".into(), "unauthorized"),
    ] {
        let (answer, before) = refresh(&mut client, &token).await;
        assert_eq!((&answer["error"]["code"], before.len()), (&json!(code), 0), "{answer}");
    }
    node.publish_as(&ending_in(60), "shop.a", "1").await;
    assert_eq!(client.event().await.1, json!(1));
    assert_eq!(node.metric("notifier_refreshes_total{outcome=\"other_user\"}").await, 1.0);
    assert_eq!(node.metric("notifier_refreshes_total{outcome=\"refused\"}").await, 3.0);
}

#[tokio::test]
async fn an_anonymous_connection_becomes_nobodys() {
    let node = TestNode::with(|config| {
        shop(config);
        config.auth.allow_anonymous = true;
    })
    .await;
    let mut client = node.client().await;
    let (answer, _) = refresh(&mut client, &ending_in(60)).await;
    assert_eq!(answer["error"]["code"], "forbidden");
    client.subscribe("news.>").await;
}

#[tokio::test]
async fn what_a_new_token_does_not_grant_ends_and_the_rest_goes_on() {
    for kind in [Kind::Memory, Kind::Nats] {
        let shop = Shop::with(kind, shop).await;
        let customer = ending_in(3600);
        let mut client = Ws::with_token(shop.node.address, &customer).await;
        for (id, subject) in (11..).zip(["cart.>", "price.*", "shop.a", "news.>", "order.7"]) {
            client.send(json!({"id": id, "subscribe": {"subject": subject}})).await;
            assert_eq!(client.expect("subscribed").await["replyTo"], id);
        }
        let (answer, before) = refresh(&mut client, &tokens::token_of("u42", &[])).await;
        assert!(answer.get("refreshed").is_some(), "{answer}");
        let ended = |frame: &Value| (frame["unsubscribed"]["subject"].to_string(), frame["replyTo"].as_u64());
        let mut ended: Vec<_> = before.iter().map(ended).collect();
        ended.sort_unstable();
        let expected = [("\"cart.>\"", 11), ("\"order.7\"", 15), ("\"shop.a\"", 13)];
        assert_eq!(ended, expected.map(|(subject, id)| (subject.to_owned(), Some(id))));
        assert!(before.iter().all(|frame| frame["unsubscribed"]["reason"] == "grant_revoked"), "{before:?}");
        for subject in ["cart.1", "order.7", "shop.a", "price.mug", "news.x"] {
            shop.node.publish_as(&customer, subject, "1").await;
        }
        let mut got = vec![client.event().await.0, client.event().await.0];
        got.sort_unstable();
        assert_eq!(got, ["news.x", "price.mug"], "{kind:?}");
        assert_eq!(client.events_until_now().await, []);
        client.send(json!({"id": 3, "subscribe": {"subject": "cart.>"}})).await;
        assert_eq!(client.expect("error").await["error"]["code"], "forbidden");
        assert_eq!(shop.node.metric("notifier_subscriptions_revoked_total").await, 3.0);
        // And back again.
        let (answer, _) = refresh(&mut client, &customer).await;
        assert!(answer.get("refreshed").is_some());
        client.subscribe("cart.>").await;
    }
}

/// Events come as fast as they can, live and stored, and a replay is under way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_lost_subscription_comes_after_its_end_under_load() {
    for kind in [Kind::Memory, Kind::Nats] {
        let shop = Shop::with(kind, |config| {
            shop(config);
            config.limits.frames_per_second = 10_000;
        })
        .await;
        let customer = ending_in(3600);
        let padding = "x".repeat(2_000);
        for number in 0..500 {
            shop.node.publish_as(&customer, "order.old", json!({"n": number, "padding": padding}).to_string()).await;
        }
        shop.until_followed().await;
        let publishing = {
            let (address, customer) = (shop.node.address, customer.clone());
            tokio::spawn(async move {
                let mut publisher = Ws::with_token(address, &customer).await;
                for number in 0_u64.. {
                    for subject in ["cart.1", "shop.a", "news.x"] {
                        let event = json!({"data": number});
                        publisher.send(json!({"publish": {"subject": subject, "event": event}})).await;
                    }
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            })
        };
        for round in 0..20 {
            let mut client = Ws::with_token(shop.node.address, &customer).await;
            let mut epoch = None;
            for subject in ["shop.*", "news.>", "cart.>"] {
                client.send(json!({"id": 1, "subscribe": {"subject": subject}})).await;
                epoch = amid_events(&mut client, "subscribed").await.pointer("/positions/0/epoch").cloned();
            }
            // A replay of 1 MB that is not waited for.
            let after = json!([{"stream": "SHOP", "epoch": epoch, "seq": 0}]);
            client.send(json!({"id": 1, "subscribe": {"subject": "order.*", "after": after}})).await;
            client.send(json!({"id": 7, "refresh": {"token": tokens::token_of("u42", &[])}})).await;
            let mut ended: Vec<String> = Vec::new();
            let (mut refreshed, mut after) = (false, 0);
            while after < 20 {
                let frame = client.next().await;
                refreshed |= frame.get("refreshed").is_some();
                if let Some(subject) = frame["unsubscribed"]["subject"].as_str() {
                    ended.push(subject[..5].to_owned());
                }
                let subject = frame["event"]["subject"].as_str().or(frame["replay"]["subject"].as_str());
                let Some(subject) = subject else { continue };
                let gone = ended.iter().any(|ended| subject.starts_with(ended.as_str()));
                assert!(!gone, "{kind:?}, round {round}: {subject} after its end");
                assert!(!refreshed || subject == "news.x", "{kind:?}, round {round}: {subject} after `refreshed`");
                after += u32::from(refreshed);
            }
            assert_eq!(ended.len(), 3, "{ended:?}");
            drop(client);
        }
        publishing.abort();
    }
}
