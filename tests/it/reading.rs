//! The connection that a node reads from: whatever publishers send, all that
//! can be an event arrives, in order, and nothing else suffers.

mod servers;
mod valid;

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use notifier::config::{Config, Size};
use serde_json::{Value, json};

use super::world::{NatsServer, PATIENCE, TestNode, Ws, eventually, soon};

/// A count of what the connections to the broker reported.
fn reported(event: &str) -> String {
    format!("notifier_broker_events_total{{event=\"{event}\"}}")
}

fn dropped(reason: &str) -> String {
    format!("notifier_drops_total{{reason=\"{reason}\"}}")
}

/// One connection to read from, so that counts are exact, and room for clients
/// that do much at once.
fn roomy(config: &mut Config) {
    config.broker.nats.read_connections = 1;
    config.limits.subscriptions = 10_000;
    config.limits.frames_burst = 100_000;
    config.limits.frames_per_second = 100_000;
    config.limits.outbox_bytes = Size::kib(256 * 1024);
    config.limits.outbox_frames = 1_000_000;
}

/// The next event, whole, but for the time at which the node got it.
async fn next_event(client: &mut Ws) -> Value {
    let mut event = client.expect("event").await["event"].take();
    event.as_object_mut().expect("an event").remove("time");
    event
}

#[derive(Clone, Copy, PartialEq)]
enum Fate {
    /// It arrives with its headers.
    Whole,
    /// It arrives without headers.
    Bare,
    /// It has no subject that a client could see.
    Dropped,
}

#[tokio::test]
#[allow(clippy::type_complexity)] // a table of rows
async fn whatever_a_careless_publisher_sends_harms_nothing_else() {
    use Fate::{Bare, Dropped, Whole};
    const ID: &[u8] = b"NATS/1.0\r\nNats-Msg-Id: i\r\n";
    let with_id = |more: &[u8]| [ID, more, b"\r\n"].concat();
    let many: String = (0..5_000).map(|number| format!("k{number}: v\r\n")).collect();
    let rows: &[(&str, &[u8], &[u8], Vec<u8>, Fate)] = &[
        ("plain", b"a", b"", with_id(b""), Whole),
        ("a value that is not UTF-8", b"a", b"", with_id(b"Name: J\xfcrgen\r\n"), Bare),
        ("a line without a colon", b"a", b"", with_id(b"no colon\r\n"), Bare),
        ("a key with a space", b"a", b"", with_id(b"a b: 1\r\n"), Bare),
        ("a key with a control byte", b"a", b"", with_id(b"a\x01b: 1\r\n"), Bare),
        ("another version", b"a", b"", b"NATX/9.0\r\nNats-Msg-Id: i\r\n\r\n".to_vec(), Bare),
        ("a status of letters", b"a", b"", b"NATS/1.0 abc\r\nNats-Msg-Id: i\r\n\r\n".to_vec(), Bare),
        ("no line at all", b"a", b"", b"\x00".to_vec(), Bare),
        ("a status", b"a", b"", b"NATS/1.0 503\r\nNats-Msg-Id: i\r\n\r\n".to_vec(), Whole),
        ("an empty key", b"a", b"", with_id(b": v\r\n"), Whole),
        ("control bytes in a value", b"a", b"", with_id(b"x: \x01\x02\n\x7f\r\n"), Whole),
        ("5,000 keys", b"a", b"", with_id(many.as_bytes()), Whole),
        ("a block that ends early", b"a", b"", ID.to_vec(), Whole),
        ("a reply subject that is not UTF-8", b"a", b"\xff\xfe", with_id(b""), Whole),
        ("a reply subject of control bytes", b"a", b"\x0c\x01", with_id(b""), Whole),
        ("a subject that is not UTF-8", b"a.\xff", b"", with_id(b""), Dropped),
        ("a subject with a control byte", b"a.\x01", b"", with_id(b""), Dropped),
        ("a subject that is white space to others", b"\x0c", b"", with_id(b""), Dropped),
        ("a subject that begins with it", b"\x0ca", b"", with_id(b""), Dropped),
        ("a subject that begins with a vertical tab", b"\x0ba", b"", with_id(b""), Dropped),
        ("a subject like a length", b"1", b"2", with_id(b""), Whole),
        ("a subject like a word of the protocol", b"PING", b"", with_id(b""), Whole),
        ("a subject too long for us", &[b'a'; 300], b"", with_id(b""), Dropped),
    ];
    let server = NatsServer::start().await;
    let node = TestNode::nats_with(&server, roomy).await;
    let mut client = node.client().await;
    client.subscribe(">").await;
    let mut publisher = server.publisher().await;
    let before = node.metric("notifier_messages_received_total").await;
    for (number, (name, subject, reply, block, fate)) in rows.iter().enumerate() {
        let neighbours = [format!("[{number},0]"), format!("[{number},2]")];
        publisher.publish(b"n", b"", None, neighbours[0].as_bytes()).await;
        publisher.publish(subject, reply, Some(block), format!("[{number},1]").as_bytes()).await;
        publisher.publish(b"n", b"", Some(b"NATS/1.0\r\nNats-Msg-Id: n\r\n\r\n"), neighbours[1].as_bytes()).await;
        publisher.flush().await;
        assert_eq!(next_event(&mut client).await, json!({"subject": "n", "data": [number, 0]}), "{name}");
        let subject = String::from_utf8_lossy(subject);
        match fate {
            Whole => {
                let expected = json!({"subject": subject, "id": "i", "data": [number, 1]});
                assert_eq!(next_event(&mut client).await, expected, "{name}");
            }
            Bare => {
                assert_eq!(next_event(&mut client).await, json!({"subject": subject, "data": [number, 1]}), "{name}");
            }
            Dropped => {}
        }
        assert_eq!(next_event(&mut client).await, json!({"subject": "n", "id": "n", "data": [number, 2]}), "{name}");
        let count = |wanted: Fate| rows[..=number].iter().filter(|row| row.4 == wanted).count() as f64;
        assert_eq!(node.metric(&reported("bad_headers")).await, count(Bare), "{name}");
        assert_eq!(node.metric(&dropped("bad_subject")).await, count(Dropped), "{name}");
    }
    assert_eq!(node.metric("notifier_messages_received_total").await - before, 3.0 * rows.len() as f64);
    assert_eq!(node.metric(&reported("disconnected")).await, 0.0);
}

#[tokio::test]
async fn a_message_larger_than_allowed_is_passed_over() {
    const LIMIT: usize = 1024 * 1024;
    let server = NatsServer::with("max_payload: 8388608, max_pending: 67108864").await;
    let node = TestNode::nats_with(&server, roomy).await;
    let mut client = node.client().await;
    client.subscribe("a").await;
    let mut publisher = server.publisher().await;
    let id = b"NATS/1.0\r\nNats-Msg-Id: i\r\n\r\n";
    let long = [b"NATS/1.0\r\nx: ".to_vec(), vec![b'x'; 70_000], b"\r\n\r\n".to_vec()].concat();
    let rows: [(Option<&[u8]>, usize, bool); 8] = [
        (None, LIMIT, true),
        (None, LIMIT + 1, false),
        // The limit is that of the data, whatever its headers are.
        (Some(id), LIMIT, true),
        (Some(id), LIMIT + 1, false),
        (None, 8 * LIMIT, false),
        (Some(id), 8 * LIMIT - id.len(), false),
        (Some(&long), 10, false),
        // What looks like the end of a message, or the next one, is only passed over.
        (None, 2 * LIMIT, false),
    ];
    for (number, (block, length, arrives)) in rows.into_iter().enumerate() {
        let filling = if number + 1 == rows.len() { "\r\nMSG a 1 1\r\n1\r\n" } else { "x" };
        let large: Vec<u8> = filling.bytes().cycle().take(length).collect();
        publisher.publish(b"a", b"", None, format!("[{number},0]").as_bytes()).await;
        publisher.publish(b"a", b"", block, &large).await;
        publisher.publish(b"a", b"", None, format!("[{number},2]").as_bytes()).await;
        publisher.flush().await;
        assert_eq!(client.event().await.1, json!([number, 0]));
        if arrives {
            let event = next_event(&mut client).await;
            assert_eq!(event["dataBase64"].as_str().map(str::len), Some(length.div_ceil(3) * 4), "row {number}");
            assert_eq!(event["id"].as_str(), block.map(|_| "i"));
        }
        assert_eq!(client.event().await.1, json!([number, 2]), "row {number}");
    }
    let too_large = rows.iter().filter(|(.., arrives)| !arrives).count();
    assert_eq!(node.metric(&dropped("too_large")).await, too_large as f64);
    assert_eq!(node.metric(&reported("disconnected")).await, 0.0);
}

#[tokio::test]
async fn thousands_of_subscriptions_survive_a_restart_of_nats() {
    const SUBJECTS: usize = 2_000;
    let mut server = NatsServer::with("http: \"127.0.0.1:-1\"").await;
    let node = TestNode::nats_with(&server, roomy).await;
    let mut client = node.client().await;
    let subjects: BTreeSet<String> = (0..SUBJECTS).map(|number| format!("many.s{number}")).collect();
    for subject in &subjects {
        client.send(json!({"subscribe": {"subject": subject}})).await;
    }
    for _ in &subjects {
        client.expect("subscribed").await;
    }
    for _ in 0..2 {
        server.kill();
        while client.ping().await["broker"] != "down" {}
        server.restart().await;
        while client.ping().await["broker"] != "ok" {}
        // Whoever is told `ok` misses nothing that is published from then on.
        let mut publisher = server.publisher().await;
        for subject in &subjects {
            publisher.publish(subject.as_bytes(), b"", None, b"1").await;
        }
        publisher.flush().await;
        let mut arrived = BTreeSet::new();
        for _ in &subjects {
            assert!(arrived.insert(client.event().await.0), "an event came twice");
        }
        assert_eq!(arrived, subjects);
        assert!(client.events_until_now().await.is_empty());
    }
    drop(client);
    eventually("the end of all subscriptions", || async {
        server.subscriptions_of_nodes().await.iter().all(Vec::is_empty)
    })
    .await;
}

/// Publishes 1, 2, 3, .. on a subject until it is dropped.
struct Stream {
    /// The last number that may have been sent.
    sent: Arc<AtomicU64>,
    /// The last number that the server has certainly handled.
    handled: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Stream {
    async fn start(server: &NatsServer, subject: &'static str) -> Self {
        let mut publisher = server.publisher().await;
        let (sent, handled) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let counts = (sent.clone(), handled.clone());
        let task = tokio::spawn(async move {
            for number in 1_u64.. {
                counts.0.store(number, Ordering::SeqCst);
                publisher.publish(subject.as_bytes(), b"", None, number.to_string().as_bytes()).await;
                publisher.flush().await;
                counts.1.store(number, Ordering::SeqCst);
            }
        });
        Self { sent, handled, task }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test]
async fn a_new_subscription_gets_what_follows_it_and_nothing_of_the_one_before() {
    const ROUNDS: usize = 150;
    let server = NatsServer::with("http: \"127.0.0.1:-1\"").await;
    let node = TestNode::nats_with(&server, roomy).await;
    let stream = Stream::start(&server, "c.x.y").await;
    let mut client = node.client().await;
    for round in 0..ROUNDS {
        let pattern = ["c.x.y", "c.*.y", "c.>"][round % 3];
        let before = stream.handled.load(Ordering::SeqCst);
        client.send(json!({"subscribe": {"subject": pattern}})).await;
        client.expect("subscribed").await;
        let confirmed = stream.sent.load(Ordering::SeqCst);
        let mut expected = None;
        for _ in 0..=round % 4 {
            let number = client.event().await.1.as_u64().expect("a number");
            match expected {
                None => assert!(
                    (before + 1..=confirmed + 1).contains(&number),
                    "round {round}: after {before}, confirmed at {confirmed}, begins with {number}"
                ),
                Some(expected) => assert_eq!(number, expected, "round {round}"),
            }
            expected = Some(number + 1);
        }
        client.send(json!({"id": 7, "unsubscribe": {"subject": pattern}})).await;
        while client.next().await["replyTo"] != 7 {}
        if round % 2 == 0 {
            // At once, while events of the one before are on their way.
            client
                .send_text(&format!(
                    "{}\n{}",
                    json!({"subscribe": {"subject": pattern}}),
                    json!({"id": 8, "unsubscribe": {"subject": pattern}})
                ))
                .await;
            while client.next().await["replyTo"] != 8 {}
        }
    }
    assert!(client.events_until_now().await.is_empty());
    assert_eq!(node.metric(&reported("disconnected")).await, 0.0);
    eventually("the end of all subscriptions", || async {
        server.subscriptions_of_nodes().await.iter().all(Vec::is_empty)
    })
    .await;
}

#[tokio::test]
async fn patterns_spread_over_several_connections() {
    const PATTERNS: usize = 300;
    let mut server = NatsServer::with("http: \"127.0.0.1:-1\"").await;
    let node = TestNode::nats_with(&server, |config| {
        roomy(config);
        config.broker.nats.read_connections = 3;
    })
    .await;
    let mut client = node.client().await;
    for number in 0..PATTERNS {
        client.subscribe(&format!("spread.{number}.*")).await;
    }
    for _ in 0..2 {
        let mut subscribed = server.subscriptions_of_nodes().await;
        subscribed.sort_by_key(Vec::len);
        let counts: Vec<usize> = subscribed.iter().map(Vec::len).collect();
        assert_eq!((counts.len(), counts[0]), (4, 0), "three to read from, one to publish: {counts:?}");
        assert!(counts[1] > PATTERNS / 6, "{counts:?}");
        assert_eq!(subscribed.concat().into_iter().collect::<BTreeSet<_>>().len(), PATTERNS);

        let mut publisher = server.publisher().await;
        for number in 0..PATTERNS {
            for token in ["a", "b"] {
                publisher.publish(format!("spread.{number}.{token}").as_bytes(), b"", None, b"1").await;
            }
        }
        publisher.flush().await;
        let mut arrived = BTreeSet::new();
        for _ in 0..2 * PATTERNS {
            assert!(arrived.insert(client.event().await.0), "an event came twice");
        }
        server.kill();
        while client.ping().await["broker"] != "down" {}
        server.restart().await;
        while client.ping().await["broker"] != "ok" {}
    }
    assert!(node.metric(&reported("disconnected")).await >= 8.0);
}

/// Publishes until one event arrives: for what is being set up beyond our sight.
async fn flows(server: &NatsServer, subject: &str, client: &mut Ws) {
    let mut publisher = server.publisher().await;
    soon("an event", async {
        loop {
            publisher.publish(subject.as_bytes(), b"", None, b"1").await;
            publisher.flush().await;
            if tokio::time::timeout(PATIENCE / 200, client.event()).await.is_ok() {
                return;
            }
        }
    })
    .await;
    client.events_until_now().await;
}
