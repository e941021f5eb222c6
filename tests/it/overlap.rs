//! One delivery per connection, however many of its patterns match.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::json;

use super::world::{NatsServer, TestNode};

/// Patterns of one connection, and how often an event on `o.a.b` must arrive.
const ROWS: &[(&[&str], usize)] = &[
    (&["o.a.b"], 1),
    (&["o.a.b", "o.a.b"], 1),
    (&["o.a.b", "o.a.*"], 1),
    (&["o.a.*", "o.a.b"], 1),
    (&["o.>", "o.a.b"], 1),
    (&["o.a.*", "o.*.b"], 1),
    (&["o.*.b", "o.a.*", "o.>", "o.a.b", "o.*.*", ">"], 1),
    (&["o.a.c", "o.a.*"], 1),
    (&ALL, 1),
    (&["o.b.*", "o.*.c", "o.a.c"], 0),
];

/// Of those below, how many match `o.a.b`: the first ones.
const MATCHING: usize = 15;

/// All that match, and as many that nearly do.
const ALL: [&str; 30] = [
    "o.a.b", "o.a.*", "o.*.b", "*.a.b", "o.*.*", "*.a.*", "*.*.b", "*.*.*", "o.a.>", "o.*.>", "*.a.>", "*.*.>", "o.>",
    "*.>", ">", "o.a.c", "o.b.*", "o.*.c", "*.a.c", "p.*.*", "*.b.*", "*.*.c", "o.a.b.c", "o.b.>", "p.*.>", "*.b.>",
    "o.a.b.>", "p.>", "*", "*.*",
];

#[tokio::test]
async fn an_event_arrives_once_however_many_patterns_match() {
    let nats = NatsServer::start().await;
    for node in [TestNode::nats(&nats).await, TestNode::memory().await] {
        for (patterns, times) in ROWS {
            let mut client = node.client().await;
            for pattern in *patterns {
                client.subscribe(pattern).await;
            }
            let mut probe = node.client().await;
            probe.subscribe("o.a.b").await;
            node.publish("o.a.b", "1").await;
            node.publish("o.a.b", "2").await;
            assert_eq!(probe.event().await.1, json!(1));
            assert_eq!(probe.event().await.1, json!(2));
            let expected: Vec<_> = [1, 2].iter().flat_map(|n| vec![json!(n); *times]).collect();
            let mut got = Vec::new();
            while got.len() < expected.len() {
                got.push(client.event().await.1);
            }
            // The probe's copy came through one feed; give the others their turn.
            let others = client.events_until_now().await;
            assert_eq!((got, others), (expected, vec![]), "{patterns:?}");
        }
    }
}

#[tokio::test]
async fn giving_up_one_of_two_patterns_leaves_the_other() {
    let node = TestNode::memory().await;
    let mut client = node.client().await;
    client.subscribe("o.>").await;
    client.subscribe("o.a").await;
    client.send(json!({"id": 2, "unsubscribe": {"subject": "o.>"}})).await;
    client.expect("unsubscribed").await;
    node.publish("o.a", "1").await;
    node.publish("o.b", "2").await;
    node.publish("o.a", "3").await;
    assert_eq!(client.event().await.1, json!(1));
    assert_eq!(client.event().await.1, json!(3));
}

#[tokio::test]
async fn whichever_of_many_patterns_is_given_up_the_others_go_on() {
    let nats = NatsServer::start().await;
    for node in [TestNode::nats(&nats).await, TestNode::memory().await] {
        let mut client = node.client().await;
        for pattern in ALL {
            client.subscribe(pattern).await;
        }
        let mut copies = 0;
        for (number, pattern) in ALL.into_iter().enumerate() {
            node.publish("o.a.b", number.to_string()).await;
            // All but those behind the last that matches.
            if number < MATCHING {
                assert_eq!(client.event().await.1, json!(number), "before {pattern} is given up");
                copies += MATCHING - number - 1;
            }
            // While some are under way, who speaks for the subject must not change.
            node.until_metric("notifier_redundant_copies_total", |seen| seen >= copies as f64).await;
            assert_eq!(client.events_until_now().await, [], "{pattern}");
            client.send(json!({"id": 2, "unsubscribe": {"subject": pattern}})).await;
            client.expect("unsubscribed").await;
        }
    }
}

/// Publishes numbers on one subject until it is told to stop; then how many.
async fn publish_until(nats: &NatsServer, stop: Arc<AtomicBool>) -> u64 {
    let publisher = nats.client().await;
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..10 {
            publisher.publish("l.a.1", count.to_string().into()).await.expect("it is there");
            count += 1;
        }
        publisher.flush().await.expect("it is there");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    count
}

#[tokio::test]
async fn a_narrower_pattern_is_given_up_under_load_without_a_trace_while_a_wider_one_is_held() {
    let nats = NatsServer::start().await;
    let node = TestNode::nats(&nats).await;
    let mut client = node.client().await;
    // The narrower ones went live first, so they deliver for the wider one.
    let narrower = ["l.a.1", "l.*.1", "l.a.*", "l.>"];
    for pattern in narrower.into_iter().chain([">"]) {
        client.subscribe(pattern).await;
    }
    let stop = Arc::<AtomicBool>::default();
    let publishing = publish_until(&nats, stop.clone());
    let changing = async {
        let mut got = Vec::new();
        for round in 0..120 {
            let subject = narrower[round % narrower.len()];
            for (verb, answer) in [("unsubscribe", "unsubscribed"), ("subscribe", "subscribed")] {
                client.send(json!({"id": 7, verb: {"subject": subject}})).await;
                loop {
                    let frame = client.next().await;
                    if frame.get(answer).is_some() {
                        break;
                    }
                    got.push(frame["event"]["data"].as_u64().expect("an event"));
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
        (client, got)
    };
    let (count, (mut client, mut got)) = tokio::join!(publishing, changing);
    while got.len() < count as usize && got.last() != Some(&(count - 1)) {
        got.push(client.event().await.1.as_u64().expect("a number"));
    }
    let wrong = got.iter().zip(0..count).find(|(got, expected)| **got != *expected);
    assert_eq!((wrong, got.len() as u64), (None, count), "lost, doubled or out of order");
    assert_eq!(client.events_until_now().await, []);
}

#[tokio::test]
async fn a_pattern_that_was_given_up_ends_once_no_event_is_under_way() {
    let nats = NatsServer::start().await;
    let node = TestNode::nats(&nats).await;
    let mut client = node.client().await;
    for pattern in ["l.>", ">"] {
        client.subscribe(pattern).await;
    }
    client.send(json!({"id": 7, "unsubscribe": {"subject": "l.>"}})).await;
    client.expect("unsubscribed").await;
    node.publish("l.a", "1").await;
    assert_eq!(client.event().await.1, json!(1));
    node.until_metric("notifier_topics", |topics| topics == 1.0).await;
    node.publish("l.a", "2").await;
    assert_eq!(client.event().await.1, json!(2));
    assert_eq!(client.events_until_now().await, []);
    // What nothing wider stays for ends at once.
    for (given_up, number) in [("l.>", 3), (">", 4)] {
        client.subscribe("l.>").await;
        client.subscribe(">").await;
        client.send(json!({"id": 7, "unsubscribe": {"subject": given_up}})).await;
        client.expect("unsubscribed").await;
        node.publish("l.a", number.to_string()).await;
        assert_eq!(client.event().await.1, json!(number));
    }
    client.send(json!({"id": 7, "unsubscribe": {"subject": "l.>"}})).await;
    client.expect("unsubscribed").await;
    assert_eq!(node.metric("notifier_topics").await, 0.0);
    node.publish("l.a", "5").await;
    assert_eq!(client.events_until_now().await, []);
}
