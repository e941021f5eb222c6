//! Refusals of event streams: final ones by their status, passing ones so that an
//! `EventSource` lives on; and cursors that somebody has made up.

use serde_json::{Value, json};

use super::{
    numbers,
    polls::{data, poll_with},
};
use crate::{
    browsers::{asked, header},
    world::{Kind, Shop, TestNode, event_stream::EventReader, eventually, tokens},
};

const EVENT_SOURCE: (&str, &str) = ("accept", "text/event-stream");

#[tokio::test]
async fn what_is_final_is_refused_by_its_status() {
    let node = TestNode::memory().await;
    for (query, status, code) in [
        ("", 400, "bad_request"),
        ("?subject=a..b", 400, "bad_subject"),
        ("?subject=$SYS.a", 403, "forbidden"),
        ("?subject=a&after=5", 400, "bad_request"),
        ("?subject=a&colour=red", 400, "bad_request"),
        ("?subject=a&after=v1.S~1", 400, "bad_request"),
    ] {
        let mut reader = EventReader::open(node.address, query).await;
        assert_eq!((reader.status, &reader.json().await["error"]["code"]), (status, &json!(code)), "{query}");
        assert_eq!(reader.header("cache-control"), Some("no-store"));
    }
    let headers = [EVENT_SOURCE, ("origin", "https://evil.example")];
    let reader = EventReader::ask(node.address, "GET", "?subject=a", &headers, "").await;
    assert_eq!(reader.status, 403);
    let mut reader = EventReader::ask(node.address, "POST", "", &[EVENT_SOURCE], "{\"subscriptions\": 1}").await;
    assert_eq!((reader.status, &reader.json().await["error"]["code"]), (400, &json!("bad_request")));
    let node = TestNode::with(tokens::with_secret).await;
    let mut reader = EventReader::open(node.address, "?subject=a").await;
    assert_eq!((reader.status, &reader.json().await["error"]["code"]), (401, &json!("unauthorized")));
    assert_eq!(reader.header("www-authenticate"), Some("bearer"));
}

#[tokio::test]
async fn a_pattern_that_is_refused_holds_up_no_other() {
    let node = TestNode::memory().await;
    let mut reader = EventReader::open(node.address, "?subject=a&subject=$SYS.a").await;
    reader.expect("welcome").await;
    let error = reader.expect("error").await;
    assert_eq!((&error["code"], &error["subject"]), (&json!("forbidden"), &json!("$SYS.a")));
    assert_eq!(reader.expect("subscribed").await["subject"], "a");
    node.publish("a", "1").await;
    assert_eq!(reader.events(1).await, numbers([1]));
}

/// Refused by a limit that may pass: an `EventSource` is told in a stream that ends.
async fn comes_back(node: &TestNode, code: &str) {
    let mut reader = EventReader::open(node.address, "?subject=a").await;
    assert_eq!(reader.status, 200, "{}", reader.head);
    assert_eq!(reader.expect("error").await["code"], code);
    assert!(reader.retry.is_some_and(|retry| (1_000..10_000).contains(&retry)), "{:?}", reader.retry);
    assert_eq!(reader.rest().await, Vec::<Value>::new());
    let mut reader = EventReader::ask(node.address, "GET", "?subject=a", &[("accept", "*/*")], "").await;
    assert!([429, 503].contains(&reader.status), "{}", reader.head);
    assert_eq!(reader.header("retry-after"), Some("1"));
    assert_eq!(reader.json().await["error"]["code"], code);
}

#[tokio::test]
async fn at_a_full_node_an_event_source_is_told_to_come_back_and_others_by_a_status() {
    let node = TestNode::with(|config| config.limits.connections = 1).await;
    let first = EventReader::open(node.address, "?subject=a").await;
    comes_back(&node, "connection_limit").await;
    drop(first);
    eventually("room", || async { EventReader::open(node.address, "?subject=a").await.retry.is_none() }).await;
    let node = TestNode::with(|config| config.limits.address_connections = 1).await;
    let _first = EventReader::open(node.address, "?subject=a").await;
    comes_back(&node, "address_limit").await;
}

#[tokio::test]
async fn an_event_stream_counts_for_its_user() {
    let node = TestNode::with(|config| {
        tokens::with_secret(config);
        config.limits.user_connections = 1;
    })
    .await;
    let bearer = format!("Bearer {}", tokens::token_of("u42", &[]));
    let headers = [("authorization", bearer.as_str())];
    let open = || EventReader::ask(node.address, "GET", "?subject=shop.u42.cart", &headers, "");
    let first = open().await;
    assert_eq!(first.status, 200, "{}", first.head);
    let mut second = open().await;
    assert_eq!((second.status, &second.json().await["error"]["code"]), (429, &json!("user_full")));
    drop(first);
    node.until_metric("notifier_connections", |open| open == 0.0).await;
    eventually("room", || async { open().await.status == 200 }).await;
}

#[tokio::test]
async fn a_forged_cursor_yields_nothing_that_the_identity_may_not_see() {
    let shop = Shop::with(Kind::Nats, |config| {
        tokens::with_secret(config);
        config.grants = crate::grants::grants(
            "[[grants]]\nrole = \"*\"\nsubscribe = [\"cart.{sub}\"]\n[[grants]]\nrole = \"shop\"\npublish = [\">\"]\n\
             subscribe = [\">\"]",
        );
    })
    .await;
    let shop_token = tokens::token_of("shop", &["shop"]);
    for (subject, data) in [("cart.u1", "1"), ("cart.u2", "2"), ("order.u1", "3"), ("price.x", "4"), ("cart.u1", "5")] {
        shop.node.publish_as(&shop_token, subject, data).await;
    }
    let bearer = format!("Bearer {shop_token}");
    let headers = [("authorization", bearer.as_str())];
    let answer = asked(&shop.node, "GET", "/v1/fetch?subject=%3E", &headers).await;
    let fetched: Value = serde_json::from_slice(answer.body()).expect("JSON");
    let cursor: Vec<String> = fetched["fetched"]["positions"]
        .as_array()
        .expect("positions")
        .iter()
        .map(|at| format!("{}~{}~0", at["stream"].as_str().expect("a name"), at["epoch"].as_str().expect("an epoch")))
        .collect();
    let cursor = format!("v1.{}", cursor.join(","));
    // Who may see all of it has all of it, so the node has it too.
    let headers = [headers[0], ("last-event-id", cursor.as_str())];
    let mut whole = EventReader::ask(shop.node.address, "GET", "?subject=cart.*", &headers, "").await;
    whole.expect("welcome").await;
    assert_eq!(whole.events(3).await, numbers([1, 2, 5]));
    let bearer = format!("Bearer {}", tokens::token_of("u1", &[]));
    let headers = [("authorization", bearer.as_str()), ("last-event-id", cursor.as_str())];
    // Its own cart, and what it may not see beside it.
    let query = "?subject=cart.u1&subject=cart.*&subject=order.%3E&subject=price.*&subject=cart.u2";
    let mut reader = EventReader::ask(shop.node.address, "GET", query, &headers, "").await;
    reader.expect("welcome").await;
    for _ in 0..4 {
        assert_eq!(reader.expect("error").await["code"], "forbidden");
    }
    let replay = reader.expect("replay").await;
    assert_eq!(replay["subject"], "cart.u1");
    assert_eq!(data(&[json!({"replay": replay})]), numbers([1, 5]));
    let subscribed = reader.expect("subscribed").await;
    assert_eq!(subscribed["positions"].as_array().map(Vec::len), Some(1), "{subscribed}");
    assert!(!reader.id.contains("PRICES"), "{}", reader.id);
    shop.node.publish_as(&shop_token, "cart.u2", "6").await;
    shop.node.publish_as(&shop_token, "cart.u1", "7").await;
    assert_eq!(reader.events(1).await, numbers([7]));
    for subject in ["cart.u2", "%3E", "price.x"] {
        let reader = EventReader::ask(shop.node.address, "GET", &format!("?subject={subject}"), &headers, "").await;
        assert_eq!(reader.status, 403, "{subject}");
        let answer = asked(&shop.node, "GET", &format!("/v1/poll?subject={subject}"), &headers).await;
        assert_eq!(answer.status(), 403, "{subject}");
    }
    // A poll is no other way to it.
    let (frames, cursor) = poll_with(&shop.node, query, &headers).await;
    let refused = frames.iter().filter(|frame| frame["error"]["code"] == "forbidden").count();
    assert_eq!((refused, data(&frames)), (4, numbers([1, 5, 7])), "{frames:?}");
    assert!(cursor.starts_with("v1.SHOP~") && !cursor.contains("PRICES"), "{cursor}");
}

#[tokio::test]
async fn pages_may_query_and_say_where_they_were() {
    let node = TestNode::with(|config| config.server.allowed_origins = vec!["https://shop.example".into()]).await;
    let origin = ("origin", "https://shop.example");
    let headers = [
        origin,
        ("access-control-request-method", "QUERY"),
        ("access-control-request-headers", "authorization, last-event-id"),
    ];
    let answer = asked(&node, "OPTIONS", "/v1/events", &headers).await;
    assert_eq!(header(&answer, "access-control-allow-methods"), Some("GET, QUERY, POST"));
    assert_eq!(header(&answer, "access-control-allow-headers"), Some("authorization, last-event-id"));
    let reader = EventReader::ask(node.address, "GET", "?subject=a", &[EVENT_SOURCE, origin], "").await;
    assert_eq!(reader.header("access-control-allow-origin"), Some("https://shop.example"));
    assert_eq!(reader.header("vary"), Some("origin"));
}
