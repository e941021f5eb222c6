//! Valid traffic, read by this node and by the NATS project's own client: the
//! same events, in the same order, with what `docs/protocol.md` makes of their
//! headers.

use std::collections::{BTreeMap, HashMap};

use async_nats::{HeaderMap, Message};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use fastrand::Rng;
use futures_util::StreamExt as _;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use super::{reported, roomy};
use crate::world::{NatsServer, PATIENCE, TestNode, Ws, soon};

const PUBLISHERS: usize = 4;
const MESSAGES: usize = 600; // of each

/// Names as `docs/protocol.md` has them, and some of nobody's business, with
/// values to choose from.
const HEADERS: [(&str, &[&str]); 13] = [
    ("Nats-Msg-Id", &["m1", "m 2", "ü", ""]),
    ("nats-msg-id", &["lower"]),
    ("Content-Type", &["application/json", "text/plain", "application/x+json; v=1", ""]),
    ("content-type", &["application/octet-stream"]),
    ("ce-id", &["c%201", "c2"]),
    ("ce-datacontenttype", &["text/ce"]),
    ("ce-type", &["shop.cart%20changed", "t"]),
    ("ce-source", &["/carts", "%c3%bc"]),
    ("ce-time", &["2026-11-22T10:00:00.5+01:00", "never"]),
    ("ce-specversion", &["1.0"]),
    ("ce-Tenant", &["a%22b", "100%"]),
    ("traceparent", &["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"]),
    ("Internal", &["stays inside", ""]),
];

fn headers(random: &mut Rng) -> Option<HeaderMap> {
    random.bool().then(|| {
        let mut headers = HeaderMap::new();
        for _ in 0..random.usize(..8) {
            let (name, values) = HEADERS[random.usize(..HEADERS.len())];
            headers.append(name, values[random.usize(..values.len())]);
        }
        headers
    })
}

fn payload(random: &mut Rng) -> Vec<u8> {
    let length = match random.u8(..100) {
        0..=4 => 0,
        5..=69 => random.usize(1..200),
        70..=94 => random.usize(1..4_096),
        _ => random.usize(60_000..=71_680),
    };
    match random.u8(..3) {
        0 => (0..length).map(|_| random.u8(..)).collect(),
        1 => json!({"text": "x".repeat(length), "n": [1, null, "\r\nMSG a 1 1\r\n"]}).to_string().into_bytes(),
        _ => vec![b'1'; length.min(15)],
    }
}

fn subject(publisher: usize, random: &mut Rng) -> String {
    let more: Vec<&str> = (0..random.usize(1..4)).map(|_| ["a", "b", "ü", "long-token"][random.usize(..4)]).collect();
    format!("d.{publisher}.{}", more.join("."))
}

async fn publish(client: async_nats::Client, publisher: usize) {
    let mut random = Rng::with_seed(publisher as u64);
    for _ in 0..MESSAGES {
        let (subject, payload) = (subject(publisher, &mut random), payload(&mut random).into());
        let reply = random.bool().then(|| "d.reply.to.nobody".to_owned());
        let sent = match (reply, headers(&mut random)) {
            (None, None) => client.publish(subject, payload).await,
            (None, Some(headers)) => client.publish_with_headers(subject, headers, payload).await,
            (Some(reply), None) => client.publish_with_reply(subject, reply, payload).await,
            (Some(reply), Some(headers)) => {
                client.publish_with_reply_and_headers(subject, reply, headers, payload).await
            }
        };
        sent.expect("published");
    }
    client.flush().await.expect("sent");
}

/// The event that a client is to see, by the words of the protocol.
fn expected(message: &Message) -> Value {
    let empty = HeaderMap::new();
    let headers = message.headers.as_ref().unwrap_or(&empty);
    // The last value of the first of these names that has one.
    let last = |name: &str| headers.get_all(name).last().map(ToString::to_string).filter(|value| !value.is_empty());
    let decoded = |name: &str| last(name).map(|value| percent_decode_str(&value).decode_utf8_lossy().into_owned());
    let mut event = Map::new();
    event.insert("subject".into(), message.subject.as_str().into());
    let mut set = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            event.insert(name.into(), value.into());
        }
    };
    set("id", last("Nats-Msg-Id").or_else(|| last("nats-msg-id")).or_else(|| decoded("ce-id")));
    let content_type = last("Content-Type").or_else(|| last("content-type")).or_else(|| decoded("ce-datacontenttype"));
    set("contentType", content_type.clone());
    set("type", decoded("ce-type"));
    set("source", decoded("ce-source"));
    let time = last("ce-time").filter(|time| time.starts_with("2026"));
    // Milliseconds do not say its offset.
    let kept = [("ce-tenant", decoded("ce-Tenant")), ("ce-time", time.clone()), ("traceparent", last("traceparent"))];
    let passed: Map<String, Value> =
        kept.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))).collect();
    if !passed.is_empty() {
        event.insert("headers".into(), passed.into());
    }
    if time.is_some() {
        event.insert("time".into(), 1_795_338_000_500_u64.into());
    }
    let may_be_json = content_type.is_none_or(|kind| kind.contains("json"));
    match serde_json::from_slice::<Value>(&message.payload) {
        Ok(value) if may_be_json => event.insert("data".into(), value),
        _ if message.payload.is_empty() => None,
        _ => event.insert("dataBase64".into(), BASE64_STANDARD.encode(&message.payload).into()),
    };
    event.into()
}

/// Events, without the time where it is that of their arrival.
async fn received(client: &mut Ws, count: usize, since: u64) -> Vec<Value> {
    let mut events = Vec::new();
    for _ in 0..count {
        let mut event = client.expect("event").await["event"].take();
        let time = event["time"].as_u64().expect("every event has a time");
        if time >= since {
            event.as_object_mut().expect("an event").remove("time");
        }
        events.push(event);
    }
    events
}

fn by<K: std::hash::Hash + Eq>(key: impl Fn(&Value) -> K, events: &[Value]) -> HashMap<K, Vec<Value>> {
    events.iter().fold(HashMap::new(), |mut map, event| {
        map.entry(key(event)).or_default().push(event.clone());
        map
    })
}

fn of_publisher(event: &Value) -> String {
    event["subject"].as_str().and_then(|subject| subject.split('.').nth(1)).expect("a publisher").to_owned()
}

fn of_subject(event: &Value) -> String {
    event["subject"].as_str().expect("a subject").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn valid_messages_arrive_as_another_client_reads_them() {
    let server = NatsServer::start().await;
    let node = TestNode::nats_with(&server, roomy).await;
    let other = server.client().await;
    let mut subscriber = other.subscribe("d.>").await.expect("subscribed");
    other.flush().await.expect("sent");
    let (mut plain, mut overlapping) = (node.client().await, node.client().await);
    plain.subscribe("d.>").await;
    for pattern in ["d.*.a.>", "d.0.>", "d.*.*", "d.1.b", "d.>"] {
        overlapping.subscribe(pattern).await;
    }
    // The server handles one connection's commands in order: an answer comes behind the subscription.
    other.request("d.nobody", "".into()).await.expect_err("nobody answers");
    soon("our own request", subscriber.next()).await.expect("it is subscribed");
    plain.event().await;
    overlapping.event().await;

    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a clock").as_millis() as u64;
    let publishing = async {
        let mut tasks = Vec::new();
        for publisher in 0..PUBLISHERS {
            tasks.push(tokio::spawn(publish(server.client().await, publisher)));
        }
        for task in tasks {
            task.await.expect("no panic");
        }
    };
    let count = PUBLISHERS * MESSAGES;
    let wanted = async {
        let mut wanted = Vec::new();
        while wanted.len() < count {
            let message = tokio::time::timeout(PATIENCE, subscriber.next()).await.expect("a message").expect("open");
            wanted.push(expected(&message));
        }
        wanted
    };
    let ((), wanted, plainly, once) =
        tokio::join!(publishing, wanted, received(&mut plain, count, since), received(&mut overlapping, count, since));
    compare(by(of_publisher, &wanted), by(of_publisher, &plainly));
    compare(by(of_subject, &wanted), by(of_subject, &once));
    for client in [&mut plain, &mut overlapping] {
        assert!(client.events_until_now().await.is_empty(), "more than was published");
    }
    for event in ["disconnected", "bad_headers"] {
        assert_eq!(node.metric(&reported(event)).await, 0.0);
    }
}

/// Names the first difference instead of printing megabytes.
fn compare(wanted: HashMap<String, Vec<Value>>, got: HashMap<String, Vec<Value>>) {
    let lengths = |events: &HashMap<String, Vec<Value>>| -> BTreeMap<String, usize> {
        events.iter().map(|(key, events)| (key.clone(), events.len())).collect()
    };
    assert_eq!(lengths(&wanted), lengths(&got));
    for (key, wanted) in &wanted {
        for (place, (wanted, got)) in wanted.iter().zip(&got[key]).enumerate() {
            assert!(
                wanted == got,
                "number {place} of {key}\nwanted {:.500}\ngot    {:.500}",
                wanted.to_string(),
                got.to_string()
            );
        }
    }
}
