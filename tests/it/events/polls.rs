//! Long polls: the frames of an event stream, asked for again and again.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::numbers;
use crate::{
    browsers::asked,
    world::{Kind, Shop, TestNode, soon},
};

/// The lines of one answer.
pub(super) async fn lines(node: &TestNode, query: &str, headers: &[(&str, &str)]) -> Vec<Value> {
    let answer = soon("an answer", asked(node, "GET", &format!("/v1/poll{query}"), headers)).await;
    assert_eq!(answer.status(), 200, "{:?}", answer.body());
    let text = std::str::from_utf8(answer.body()).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// The frames of one answer, and the cursor to go on from.
pub(super) async fn poll(node: &TestNode, query: &str) -> (Vec<Value>, String) {
    poll_with(node, query, &[]).await
}

/// The same, with headers.
pub(super) async fn poll_with(node: &TestNode, query: &str, headers: &[(&str, &str)]) -> (Vec<Value>, String) {
    let mut frames = lines(node, query, headers).await;
    let last = frames.pop().expect("a ping");
    (frames, last["ping"]["cursor"].as_str().expect("a cursor").to_owned())
}

/// The data of all events, replayed or not.
pub(super) fn data(frames: &[Value]) -> Vec<Value> {
    let events = frames.iter().flat_map(|frame| match frame["replay"]["events"].as_array() {
        Some(events) => events.clone(),
        None => frame.get("event").cloned().into_iter().collect(),
    });
    events.map(|event| event["data"].clone()).collect()
}

#[tokio::test]
async fn a_poll_answers_as_soon_as_there_is_something_and_the_next_goes_on_from_it() {
    let shop = Shop::open(Kind::Nats).await;
    let (frames, cursor) = poll(&shop.node, "?subject=cart.*&wait=0").await;
    assert!(frames[0].get("welcome").is_some() && frames[1].get("subscribed").is_some(), "{frames:?}");
    assert!(cursor.starts_with("v1.SHOP~") && cursor.ends_with("~0"), "{cursor}");
    let waits = async { poll(&shop.node, &format!("?subject=cart.*&wait=30&after={cursor}")).await };
    let publishes = async {
        shop.node.until_metric("notifier_subscriptions", |held| held == 1.0).await;
        assert_eq!(shop.node.metric("notifier_transport_connections{transport=\"poll\"}").await, 1.0);
        shop.publish("cart.a", [1]).await;
    };
    let begun = Instant::now();
    let ((frames, cursor), ()) = tokio::join!(waits, publishes);
    assert_eq!(data(&frames), numbers([1]));
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    shop.publish("cart.a", 2..=500).await;
    let (mut cursor, mut got) = (cursor, Vec::new());
    while got.len() < 499 {
        let (frames, next) = poll(&shop.node, &format!("?subject=cart.*&after={cursor}")).await;
        got.extend(data(&frames));
        cursor = next;
    }
    assert_eq!(got, numbers(2..=500));
    shop.node.until_metric("notifier_subscriptions", |held| held == 0.0).await;
    assert_eq!(shop.node.metric("notifier_connections").await, 0.0);
    assert_eq!(shop.node.metric("notifier_transport_connections{transport=\"poll\"}").await, 0.0);
}

#[tokio::test]
async fn an_answer_is_bounded() {
    let shop = Shop::open(Kind::Memory).await;
    let filling = "x".repeat(50_000);
    for number in 0..20 {
        shop.store("cart.a", &[], &json!([number, filling]).to_string()).await;
    }
    let fetched: Value =
        serde_json::from_slice(shop.node.get("/v1/fetch?subject=cart.a&limit=1").await.body()).expect("JSON");
    let at = &fetched["fetched"]["positions"][0];
    let mut after = format!("SHOP/{}/0", at["epoch"].as_str().expect("an epoch"));
    let (mut next, mut answers) = (0, 0);
    while next < 20 {
        let (frames, cursor) = poll(&shop.node, &format!("?subject=cart.a&after={after}")).await;
        let events = data(&frames);
        assert!(!events.is_empty() && events.len() <= 6, "{}", events.len());
        for event in events {
            assert_eq!(event[0], next);
            next += 1;
        }
        (after, answers) = (cursor, answers + 1);
    }
    assert!(answers >= 4, "{answers}");
}

#[tokio::test]
async fn live_events_between_two_polls_are_told_by_one_gap() {
    let node = TestNode::memory().await;
    let (frames, cursor) = poll(&node, "?subject=a&subject=b&wait=0").await;
    assert!(frames.iter().all(|frame| frame.get("gap").is_none()), "{frames:?}");
    node.publish("a", "1").await;
    let waits = async { poll(&node, &format!("?subject=a&subject=b&wait=20&after={cursor}")).await };
    let publishes = async {
        node.until_metric("notifier_subscriptions", |held| held == 2.0).await;
        node.publish("b", "2").await;
    };
    let ((frames, _), ()) = tokio::join!(waits, publishes);
    assert_eq!(frames[0], json!({"gap": {"reason": "overflow"}}));
    assert_eq!(frames.iter().filter(|frame| frame.get("gap").is_some()).count(), 1);
    assert_eq!(data(&frames), numbers([2]));
}

#[tokio::test]
async fn a_poll_is_refused_by_its_status() {
    let node = TestNode::memory().await;
    for (query, status) in
        [("", 400), ("?subject=$SYS.a", 403), ("?subject=a&wait=x", 400), ("?subject=a&after=v2.", 400)]
    {
        let answer = asked(&node, "GET", &format!("/v1/poll{query}"), &[("accept", "text/event-stream")]).await;
        assert_eq!(answer.status(), status, "{query}");
    }
}
