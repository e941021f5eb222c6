//! What a connection waits for holds up nothing else of it: publishes, reads,
//! requests and new tokens, while a stream does not answer.

use std::{collections::BTreeMap, time::Duration};

use notifier::config::{Config, Grant, Span};
use serde_json::{Value, json};

use super::world::{Kind, Shop, Ws, eventually, soon, tokens};

fn publish(id: u64, subject: &str, data: u64) -> Value {
    json!({"id": id, "publish": {"subject": subject, "event": {"data": data}}})
}

/// Sends frames as one message.
async fn send_together(client: &mut Ws, frames: impl IntoIterator<Item = Value>) {
    let lines: Vec<String> = frames.into_iter().map(|frame| frame.to_string()).collect();
    client.send_text(&lines.join("\n")).await;
}

/// Answers by id, once there are so many.
async fn answers(client: &mut Ws, count: usize) -> BTreeMap<u64, Value> {
    let mut answers = BTreeMap::new();
    while answers.len() < count {
        let mut frame = client.next().await;
        if let Some(id) = frame["replyTo"].as_u64() {
            frame.as_object_mut().expect("an object").remove("replyTo");
            assert!(answers.insert(id, frame).is_none(), "{id} is answered once");
        }
    }
    answers
}

/// The data of all that is stored under a subject, in order.
async fn stored(shop: &Shop, subject: &str) -> Vec<u64> {
    let answer = shop.node.get(&format!("/v1/fetch?subject={subject}")).await;
    let answer: Value = serde_json::from_slice(answer.body()).expect("JSON");
    let events = answer["fetched"]["events"].as_array().cloned().unwrap_or_default();
    events.iter().filter_map(|event| event["data"].as_u64()).collect()
}

/// Until the numbers from one on are stored under a subject, in order: what is
/// acknowledged need not be known to the node yet.
async fn until_stored(shop: &Shop, subject: &str, count: u64) {
    let expected: Vec<u64> = (1..=count).collect();
    eventually("all of it, in order", || async { stored(shop, subject).await == expected }).await;
}

fn long_pings(config: &mut Config) {
    // However long it is silent, NATS is not given up.
    config.broker.nats.ping_interval = Span::seconds(300);
}

#[tokio::test]
async fn a_stream_that_does_not_answer_stops_nothing_else_of_a_page() {
    let shop = Shop::with(Kind::Nats, |config| {
        tokens::with_secret(config);
        config.auth.allow_anonymous = true;
        config.server.heartbeat = Duration::from_millis(300).into();
        long_pings(config);
    })
    .await;
    let mut client = Ws::with_token(shop.node.address, &tokens::token_of("u42", &[])).await;
    shop.nats().pause().await;
    // Their acknowledgements are given up after many heartbeats.
    send_together(&mut client, (1..=20).map(|number| publish(number, "cart.u1", number))).await;
    let others = [
        json!({"id": 101, "subscribe": {"subject": "order.>"}}),
        json!({"id": 102, "unsubscribe": {"subject": "order.>"}}),
        json!({"id": 103, "refresh": {"token": tokens::token_of("u42", &["other"])}}),
        json!({"id": 104, "request": {"subject": "ask.a", "timeoutMs": 50}}),
        json!({"id": 105, "fetch": {"subject": "order.>", "last": true}}),
        json!({"id": 106, "publish": {"subject": "cart..", "event": {}}}),
    ];
    send_together(&mut client, others).await;

    // Should anything wait behind the publishes, it is not answered in time.
    let answers = soon("answers", answers(&mut client, 26)).await;
    for (id, expected) in [(101, "subscribed"), (102, "unsubscribed"), (103, "refreshed")] {
        assert!(answers[&id].get(expected).is_some(), "{}", answers[&id]);
    }
    assert_eq!(answers[&104]["error"]["code"], "timeout");
    assert!(answers[&105].get("fetched").is_some(), "{}", answers[&105]);
    assert_eq!(answers[&106]["error"]["code"], "bad_subject");
    for number in 1..=20 {
        assert_eq!(answers[&number]["error"]["code"], "timeout", "{}", answers[&number]);
    }

    shop.nats().signal("CONT");
    client.send(publish(200, "cart.u1", 21)).await;
    while client.next().await["replyTo"] != 200 {}
    eventually("all of it, in order", || async { stored(&shop, "cart.u1").await == (1..=21).collect::<Vec<_>>() })
        .await;
    assert_eq!(shop.node.metric("notifier_publishes_waiting").await, 0.0);
    client.ping().await;
}

#[tokio::test]
async fn what_is_sent_without_waiting_is_stored_and_relayed_in_its_order() {
    for in_flight in [3, 256] {
        for kind in [Kind::Memory, Kind::Nats] {
            let shop = Shop::with(kind, |config| config.limits.publishes_in_flight = in_flight).await;
            let (mut sender, mut receiver) = (shop.node.client().await, shop.node.client().await);
            receiver.subscribe("seen.u1").await;
            let both = |number| [publish(number, "cart.u1", number), publish(1_000 + number, "seen.u1", number)];
            send_together(&mut sender, (1..=300).flat_map(both)).await;
            let answers = answers(&mut sender, 600).await;
            for number in 1..=300 {
                assert_eq!(answers[&number]["published"], json!({"stream": "SHOP", "seq": number}), "{kind:?}");
                assert_eq!(answers[&(1_000 + number)]["published"], json!({}), "{kind:?}");
                assert_eq!(receiver.event().await.1, json!(number), "{kind:?}");
            }
            until_stored(&shop, "cart.u1", 300).await;
        }
    }
}

#[tokio::test]
async fn what_a_client_publishes_before_it_leaves_is_stored() {
    let shop = Shop::with(Kind::Nats, |config| config.limits.publishes_in_flight = 3).await;
    let mut client = shop.node.client().await;
    send_together(&mut client, (1..=300).map(|number| publish(0, "cart.u1", number))).await;
    client.close().await;
    until_stored(&shop, "cart.u1", 300).await;
}

#[tokio::test]
async fn events_wait_for_their_turn_up_to_a_limit_that_the_refusal_names() {
    let shop = Shop::with(Kind::Nats, |config| {
        config.limits.publishes_in_flight = 2;
        config.limits.frames_burst = 10;
        config.limits.frames_per_second = 1_000_000;
        long_pings(config);
    })
    .await;
    let mut client = shop.node.client().await;
    shop.nats().pause().await;
    for first in [1, 9] {
        send_together(&mut client, (first..first + 8).map(|number| publish(number, "cart.u1", number))).await;
        shop.node.until_metric("notifier_publishes_waiting", |waiting| waiting >= 8.0).await;
    }
    // Two are on their way and ten wait.
    for number in 13..=16 {
        let frame = client.expect("error").await;
        let (code, message) = (&frame["error"]["code"], frame["error"]["message"].as_str().expect("a message"));
        assert_eq!((&frame["replyTo"], code), (&json!(number), &json!("in_flight_limit")));
        assert!(message.starts_with("10 events of this connection"), "{message}");
        assert_eq!(frame["error"]["retryable"], true);
    }
    assert_eq!(shop.node.metric("notifier_publishes_waiting").await, 12.0);
    assert_eq!(shop.node.metric("notifier_errors_total{code=\"in_flight_limit\"}").await, 4.0);
    shop.nats().signal("CONT");
    answers(&mut client, 12).await;
    until_stored(&shop, "cart.u1", 12).await;
    assert_eq!(shop.node.metric("notifier_publishes_waiting").await, 0.0);
}

#[tokio::test]
async fn an_event_that_waits_is_judged_by_the_token_that_holds_when_it_is_sent() {
    let shop = Shop::with(Kind::Nats, |config| {
        tokens::with_secret(config);
        let grants = |role: &str, publish: &[&str]| Grant {
            role: role.into(),
            publish: publish.iter().map(|pattern| (*pattern).to_owned()).collect(),
            ..Grant::default()
        };
        config.grants = vec![grants("editor", &["cart.>"]), grants("reader", &["order.>"])];
        config.limits.publishes_in_flight = 1;
        long_pings(config);
    })
    .await;
    let mut client = Ws::with_token(shop.node.address, &tokens::token_of("u42", &["editor"])).await;
    shop.nats().pause().await;
    let token = tokens::token_of("u42", &["reader"]);
    let refresh = json!({"id": 3, "refresh": {"token": token}});
    send_together(&mut client, [publish(1, "cart.u1", 1), publish(2, "cart.u1", 2), refresh]).await;
    assert_eq!(client.expect("refreshed").await["replyTo"], 3);
    shop.nats().signal("CONT");
    let answers = answers(&mut client, 2).await;
    assert_eq!(answers[&2]["error"]["code"], "forbidden", "{answers:?}");
    assert_ne!(answers[&1]["error"]["code"], "forbidden", "{answers:?}");
}

#[tokio::test]
async fn resumes_that_cannot_be_read_end_together() {
    let shop = Shop::with(Kind::Nats, |config| {
        config.streams[0].window.bytes = "1KiB".parse().expect("a size");
        long_pings(config);
    })
    .await;
    let (mut client, _, subscribed) = shop.resume("order.none", &json!([])).await;
    let mut after = subscribed["positions"].clone();
    for number in 1..=12 {
        shop.publish(&format!("cart.u{number}"), 1..=2).await;
    }
    after[0]["seq"] = json!(1);
    shop.until_followed().await;
    shop.nats().pause().await;
    let resume = |number: u64| json!({"id": 100 + number, "subscribe": {"subject": format!("cart.u{number}.>"), "after": after}});
    send_together(&mut client, (1..=12).map(resume)).await;
    // One after the other they would take three times as long as this waits.
    let answers = soon("all refusals", answers(&mut client, 12)).await;
    for answer in answers.values() {
        assert_eq!(answer["error"]["code"], "broker_unavailable", "{answer}");
    }
}

#[tokio::test]
async fn a_read_waits_for_a_stream_that_is_silent_for_a_while() {
    let shop = Shop::with(Kind::Nats, |config| {
        config.streams[0].window.bytes = "1KiB".parse().expect("a size");
        long_pings(config);
    })
    .await;
    shop.publish("cart.u1", 1..=20).await;
    shop.until_followed().await;
    let mut client = shop.node.client().await;
    shop.nats().pause().await;
    let questions = [
        json!({"id": 1, "fetch": {"subject": "cart.u1", "last": true}}),
        json!({"id": 2, "fetch": {"subject": "cart.u1"}}),
        json!({"id": 3, "request": {"subject": "ask.a", "timeoutMs": 4_000}}),
    ];
    send_together(&mut client, questions).await;
    // By then the node has given several questions to the stream up.
    assert_eq!(client.expect("error").await["replyTo"], 3);
    shop.nats().signal("CONT");
    let answers = answers(&mut client, 2).await;
    for (id, count) in [(1, 1), (2, 20)] {
        assert_eq!(answers[&id]["fetched"]["events"].as_array().map(Vec::len), Some(count), "{}", answers[&id]);
    }
}

#[tokio::test]
async fn any_number_of_reads_is_answered_each_by_its_id() {
    for kind in [Kind::Memory, Kind::Nats] {
        let shop = Shop::open(kind).await;
        shop.publish("cart.u1", [7]).await;
        shop.until_followed().await;
        let mut client = shop.node.client().await;
        let fetch = |id: u64| json!({"id": id, "fetch": {"subject": "cart.u1", "last": true}});
        send_together(&mut client, (1..=300).map(fetch)).await;
        for (id, answer) in answers(&mut client, 300).await {
            assert_eq!(answer["fetched"]["events"][0]["data"], 7, "{id}: {answer}");
        }
    }
}

#[tokio::test]
async fn who_reads_slowly_slows_its_own_reads_and_is_not_closed() {
    let shop = Shop::open(Kind::Memory).await;
    for _ in 0..20 {
        shop.store("cart.big", &[], &json!("x".repeat(50_000)).to_string()).await;
    }
    shop.until_followed().await;
    let mut client = shop.node.client().await;
    let fetch = |id: u64| json!({"id": id, "fetch": {"subject": "cart.big"}});
    send_together(&mut client, (1..=30).map(fetch)).await;
    shop.node.until_metric("notifier_outboxes_waiting", |waiting| waiting == 1.0).await;
    for (id, answer) in answers(&mut client, 30).await {
        assert_eq!(answer["fetched"]["events"].as_array().map(Vec::len), Some(20), "{id}");
    }
}
