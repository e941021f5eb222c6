//! Patterns that a wider open one covers have no subscription at the broker, and lose and double nothing when the wider
//! one ends.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use notifier::{
    config::{Config, Secret, Size},
    subject::Pattern,
};
use serde_json::json;
use tokio::time::sleep;

use super::world::{NatsServer, TestNode, Ws, eventually};

const MONITORED: &str = "http: \"127.0.0.1:-1\"";

/// Room for clients that do much at once.
fn roomy(config: &mut Config) {
    config.limits.subscriptions = 10_000;
    config.limits.wildcard_shapes = 1_000;
    config.limits.frames_burst = 100_000;
    config.limits.frames_per_second = 100_000;
    config.limits.outbox_bytes = Size::kib(256 * 1024);
    config.limits.outbox_frames = 1_000_000;
}

/// What the node is subscribed to, each as often as it is.
async fn subscriptions(server: &NatsServer) -> Vec<String> {
    let mut subscriptions: Vec<_> = server.subscriptions_of_nodes().await.into_iter().flatten().collect();
    subscriptions.sort_unstable();
    subscriptions
}

async fn until_subscribed(server: &NatsServer, patterns: &[&str]) {
    let mut expected = patterns.to_vec();
    expected.sort_unstable();
    eventually("subscriptions", || async { subscriptions(server).await == expected }).await;
}

async fn unsubscribe(client: &mut Ws, subject: &str) {
    client.send(json!({"id": 2, "unsubscribe": {"subject": subject}})).await;
    while client.next().await.get("unsubscribed").is_none() {}
}

#[tokio::test]
async fn a_pattern_that_a_wider_one_covers_has_no_subscription_at_the_broker() {
    let server = NatsServer::with(MONITORED).await;
    let node = TestNode::nats_with(&server, roomy).await;
    let mut narrow = node.client().await;
    narrow.subscribe("c.a").await;
    let mut wide = node.client().await;
    wide.subscribe("c.>").await;
    for pattern in ["c.b", "c.*", "c.*.d", "c.b.>"] {
        narrow.subscribe(pattern).await;
    }
    narrow.subscribe("d.b").await;
    // What was there before keeps its own.
    until_subscribed(&server, &["c.a", "c.>", "d.b"]).await;
    assert_eq!((node.metric("notifier_topics").await, node.metric("notifier_feeds").await), (7.0, 3.0));
    unsubscribe(&mut wide, "c.>").await;
    // The widest of those that are left have one, and the others come by it.
    until_subscribed(&server, &["c.a", "c.*", "c.*.d", "c.b.>", "d.b"]).await;
    assert_eq!((node.metric("notifier_topics").await, node.metric("notifier_feeds").await), (6.0, 5.0));
    for (number, subject) in ["c.a", "c.b", "c.c.d", "c.b.d", "d.b"].into_iter().enumerate() {
        node.publish(subject, number.to_string()).await;
        assert_eq!(narrow.event().await, (subject.into(), json!(number)));
    }
    assert_eq!(narrow.events_until_now().await, []);
    assert_eq!(wide.events_until_now().await, []);
    drop(narrow);
    until_subscribed(&server, &[]).await;
    assert_eq!((node.metric("notifier_topics").await, node.metric("notifier_feeds").await), (0.0, 0.0));
}

#[tokio::test]
async fn a_wide_pattern_that_is_taken_again_has_one_subscription() {
    let server = NatsServer::with(MONITORED).await;
    let node = TestNode::nats_with(&server, roomy).await;
    let (mut narrow, mut wide) = (node.client().await, node.client().await);
    wide.subscribe("c.>").await;
    narrow.subscribe("c.a").await;
    for _ in 0..20 {
        unsubscribe(&mut wide, "c.>").await;
        wide.subscribe("c.>").await;
    }
    until_subscribed(&server, &["c.>", "c.a"]).await;
    node.publish("c.a", "1").await;
    for client in [&mut narrow, &mut wide] {
        assert_eq!(client.event().await, ("c.a".into(), json!(1)));
        assert_eq!(client.events_until_now().await, []);
    }
}

#[tokio::test]
async fn a_user_changes_wide_patterns_no_faster_than_their_feeds_end() {
    let server = NatsServer::with(MONITORED).await;
    let node = TestNode::nats_with(&server, |config| config.limits.wildcard_shapes = 1).await;
    let (mut narrow, mut wide) = (node.client().await, node.client().await);
    wide.subscribe("c.>").await;
    narrow.subscribe("c.a").await;
    unsubscribe(&mut wide, "c.>").await;
    let ask = json!({"id": 3, "subscribe": {"subject": "*.a"}});
    wide.send(ask.clone()).await;
    assert_eq!(wide.expect("error").await["error"]["code"], "wildcard_limit");
    // Once its feed has ended the shape is free.
    until_subscribed(&server, &["c.a"]).await;
    wide.subscribe("*.a").await;
}

/// What a server lets nodes subscribe to.
fn allowing(subjects: &str) -> String {
    format!(
        "{MONITORED}\nauthorization {{ users: [
          {{ user: node, password: p, permissions: {{
             subscribe: [{subjects}, \"_ntf.control\", \"_ntf.control.*\", \"_INBOX.>\"], publish: [\">\"] }} }} ] }}"
    )
}

#[tokio::test]
async fn what_comes_by_a_wider_pattern_comes_by_itself_where_nats_refuses_that() {
    let mut server = NatsServer::with(&allowing("\"shop.>\", \"news.>\"")).await;
    let node = TestNode::nats_with(&server, |config| {
        config.broker.nats.user = Some("node".into());
        config.broker.nats.password = Some(Secret::from("p".to_owned()));
    })
    .await;
    let (mut wide, mut narrow) = (node.client().await, node.client().await);
    // Both before the server has said no.
    wide.send(json!({"id": 1, "subscribe": {"subject": ">"}})).await;
    narrow.subscribe("shop.a").await;
    assert_eq!(wide.expect("error").await["error"]["code"], "broker_refused");
    node.publish("shop.a", "1").await;
    assert_eq!(narrow.event().await, ("shop.a".into(), json!(1)));
    // What was allowed is taken away, and what it covers is not.
    wide.subscribe("news.>").await;
    narrow.subscribe("news.a").await;
    server.reload(&allowing("\"shop.>\", \"news.a\""));
    assert_eq!(wide.expect("error").await["error"]["subject"], "news.>");
    until_subscribed(&server, &["shop.a", "news.a"]).await;
    node.publish("news.a", "2").await;
    assert_eq!(narrow.event().await, ("news.a".into(), json!(2)));
    assert_eq!(narrow.events_until_now().await, []);
}

/// Every pattern of literal tokens and `*` that matches a subject, but the subject.
fn matching(subject: &str) -> Vec<String> {
    let tokens: Vec<&str> = subject.split('.').collect();
    let star = |mask: usize| {
        let token =
            |(place, token): (usize, &&str)| if mask & (1 << place) == 0 { (*token).to_owned() } else { "*".into() };
        tokens.iter().enumerate().map(token).collect::<Vec<_>>().join(".")
    };
    (1..1 << tokens.len()).map(star).collect()
}

#[tokio::test]
async fn a_message_comes_once_however_many_covered_patterns_match() {
    const EVENTS: u64 = 20;
    const BYTES: u64 = 50_000;
    let server = NatsServer::with(MONITORED).await;
    let node = TestNode::nats_with(&server, |config| {
        roomy(config);
        config.broker.nats.read_connections = 1;
    })
    .await;
    let subject = "s.a.b.c.d.e.f";
    let mut wide = node.client().await;
    wide.subscribe("s.>").await;
    let mut narrow = node.client().await;
    // Those that begin with `*` are wider than what is open in the first token.
    let patterns: Vec<String> = matching(subject).into_iter().filter(|pattern| pattern.starts_with('s')).collect();
    assert_eq!(patterns.len(), 63);
    for pattern in &patterns {
        narrow.subscribe(pattern).await;
    }
    until_subscribed(&server, &["s.>"]).await;
    let before = server.bytes_to_nodes().await;
    let mut publisher = server.publisher().await;
    let payload = json!("x".repeat(BYTES as usize - 2)).to_string();
    for _ in 0..EVENTS {
        publisher.publish(subject.as_bytes(), b"", None, payload.as_bytes()).await;
        publisher.flush().await;
        assert_eq!(narrow.event().await.0, subject);
        assert_eq!(wide.event().await.0, subject);
    }
    let sent = server.bytes_to_nodes().await - before;
    assert!((EVENTS * BYTES..EVENTS * (BYTES + 1_000)).contains(&sent), "{sent} bytes");
}

/// Reads numbered events of one subject until the last one; each is the next one.
async fn each_once(mut client: Ws, subject: String, last: Arc<AtomicU64>) {
    let mut had: Option<u64> = None;
    loop {
        let (of, number) = client.event().await;
        assert_eq!(of, subject);
        let number = number.as_u64().expect("a number");
        assert!(had.is_none_or(|had| number == had + 1), "{subject}: {number} behind {had:?}");
        had = Some(number);
        if number == last.load(Ordering::Relaxed) {
            assert_eq!(client.events_until_now().await, []);
            return;
        }
    }
}

/// Patterns of one round that match its subject.
fn narrow(round: usize) -> Vec<String> {
    ["a", "*", ">"].map(|last| format!("f.r{round}.{last}")).into()
}

/// Those of them that have subscriptions when the wide one has gone: what it did
/// not cover, and the widest of the others.
fn left_by(wide: &str, narrow: Vec<String>) -> Vec<String> {
    let covers = |one: &str, other: &str| {
        let [one, other] = [one, other].map(|text| Pattern::parse(text).expect("a pattern"));
        one != other && one.covers(&other)
    };
    let (covered, mut left): (Vec<_>, Vec<_>) = narrow.into_iter().partition(|pattern| covers(wide, pattern));
    left.extend(covered.iter().filter(|one| !covered.iter().any(|other| covers(other, one))).cloned());
    left
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_while_a_wider_pattern_comes_and_goes() {
    const ROUNDS: usize = 20;
    // The same one comes again when it has ended.
    const WIDE: [&str; 10] = ["f.>", "*.>", ">", "*.*.*", "f.*.*", "*.*.a", "f.*.a", "*.*.>", "f.*.>", "f.>"];
    const TOGETHER: u64 = 2;
    for connections in [1, 3] {
        let server = NatsServer::with(MONITORED).await;
        let node = TestNode::nats_with(&server, |config| {
            roomy(config);
            config.broker.nats.read_connections = connections;
        })
        .await;
        let last = Arc::new(AtomicU64::new(u64::MAX));
        let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
        let mut publisher = server.publisher().await;
        let mut pace = node.client().await;
        pace.subscribe("pace").await;
        let end = last.clone();
        let flood = tokio::spawn(async move {
            let mut number = 0;
            loop {
                let ends = stopped.try_recv().is_ok();
                for _ in 0..TOGETHER {
                    number += 1;
                    if ends {
                        end.store(number, Ordering::Relaxed);
                    }
                    for round in 0..ROUNDS {
                        let (subject, data) = (format!("f.r{round}.a"), number.to_string());
                        publisher.publish(subject.as_bytes(), b"", None, data.as_bytes()).await;
                    }
                    if ends {
                        publisher.flush().await;
                        return;
                    }
                }
                // No faster than the node reads, nor than one thread can that has all clients of this test.
                sleep(Duration::from_millis(20)).await;
                publisher.publish(b"pace", b"", None, b"0").await;
                publisher.flush().await;
                pace.event().await;
            }
        });
        let mut readers = Vec::new();
        for round in 0..ROUNDS {
            let mut wide = node.client().await;
            let wide_pattern = WIDE[round % WIDE.len()];
            wide.subscribe(wide_pattern).await;
            for pattern in narrow(round) {
                let mut client = node.client().await;
                client.subscribe(&pattern).await;
                readers.push(tokio::spawn(each_once(client, format!("f.r{round}.a"), last.clone())));
            }
            // Something flows by it.
            wide.event().await;
            if round % 2 == 0 {
                wide.close().await;
            } else {
                unsubscribe(&mut wide, wide_pattern).await;
            }
        }
        let mut expected = vec!["pace".to_owned()];
        (0..ROUNDS).for_each(|round| expected.extend(left_by(WIDE[round % WIDE.len()], narrow(round))));
        until_subscribed(&server, &expected.iter().map(String::as_str).collect::<Vec<_>>()).await;
        stop.send(()).expect("it floods");
        flood.await.expect("a flood");
        for reader in readers {
            reader.await.expect("each event once");
        }
        assert_eq!(node.metric("notifier_handover_overflows_total").await, 0.0);
    }
}
