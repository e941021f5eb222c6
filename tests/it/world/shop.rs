//! A node with stored subjects, on either broker: the guarantees are the same.

use std::{collections::BTreeMap, sync::Mutex};

use notifier::config::{BrokerKind, Config, SettingsFile, load};
use serde_json::{Value, json};

use super::{NatsServer, TestNode, Ws, eventually, node::config};

/// The brokers that keep the same promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Memory,
    Nats,
}

impl Kind {
    /// The server that it needs.
    pub async fn server(self) -> Option<NatsServer> {
        match self {
            Self::Memory => None,
            Self::Nats => Some(NatsServer::jetstream().await),
        }
    }
}

/// `SHOP` keeps `cart.>` and `order.>`, `PRICES` the newest of each `price.*`;
/// everything else is live.
pub struct Shop {
    /// Kept for as long as the node; for tests of what only NATS does.
    pub nats: Option<NatsServer>,
    pub node: TestNode,
    /// The last sequence that was stored, by stream.
    stored: Mutex<BTreeMap<String, u64>>,
}

/// The same as an operator writes it.
pub const STREAMS: &str = r#"
    [[streams]]
    name = "SHOP"
    subjects = ["cart.>", "order.>"]
    [[streams]]
    name = "PRICES"
    subjects = ["price.*"]
    max_messages_per_subject = 1
    [[subjects]]
    pattern = "price.*"
    delivery = "latest"
    stream = "PRICES"
    [[subjects]]
    pattern = "cart.>"
    delivery = "durable"
    stream = "SHOP"
    [[subjects]]
    pattern = "order.>"
    delivery = "durable"
    stream = "SHOP"
"#;

impl Shop {
    pub async fn open(kind: Kind) -> Self {
        Self::with(kind, |_| {}).await
    }

    /// With other settings.
    pub async fn with(kind: Kind, change: impl FnOnce(&mut Config)) -> Self {
        let nats = kind.server().await;
        let node = Self::node(nats.as_ref(), change).await;
        Self::of(nats, node)
    }

    /// With a node that may not change the streams, which are there.
    pub async fn unmanaged() -> Self {
        let Self { nats, mut node, .. } = Self::open(Kind::Nats).await;
        node.leave();
        node.gone().await;
        let may_not = |config: &mut Config| config.streams.iter_mut().for_each(|stream| stream.manage = false);
        let node = Self::node(nats.as_ref(), may_not).await;
        Self::of(nats, node)
    }

    /// A node that runs, and its broker.
    pub fn of(nats: Option<NatsServer>, node: TestNode) -> Self {
        Self { nats, node, stored: Mutex::default() }
    }

    /// A node of its own on the same broker.
    pub async fn node(nats: Option<&NatsServer>, change: impl FnOnce(&mut Config)) -> TestNode {
        let node = TestNode::start(Self::config(nats, change)).await;
        node.until_ready().await;
        node
    }

    /// The settings of such a node.
    pub fn config(nats: Option<&NatsServer>, change: impl FnOnce(&mut Config)) -> Config {
        let source = SettingsFile { origin: "test".into(), text: STREAMS.into() };
        let stored = load(Some(&source), [], &Default::default()).expect("it parses");
        let mut config = Config { streams: stored.streams, subjects: stored.subjects, ..config() };
        change(&mut config);
        if let Some(nats) = nats {
            config.broker.kind = BrokerKind::Nats;
            config.broker.nats.urls = vec![nats.url().into()];
        }
        config
    }

    /// The broker, which is a server of its own.
    pub fn nats(&self) -> &NatsServer {
        self.nats.as_ref().expect("it runs on NATS")
    }

    /// Nobody has a consumer at the broker, whatever clients do.
    pub async fn has_no_consumers(&self) {
        let Some(nats) = &self.nats else { return };
        for stream in ["SHOP", "PRICES"] {
            let names = nats.api(&format!("CONSUMER.NAMES.{stream}"), &Value::Null).await;
            assert_eq!(names["total"], 0, "{names}");
        }
    }

    /// Deletes `SHOP`, as an operator would.
    pub async fn delete_stream(&self) {
        self.nats().api("STREAM.DELETE.SHOP", &Value::Null).await;
    }

    /// Publishes numbers, and returns the sequence of the last.
    pub async fn publish(&self, subject: &str, numbers: impl IntoIterator<Item = u64>) -> u64 {
        let mut last = 0;
        for number in numbers {
            last = self.store(subject, &[], &number.to_string()).await["seq"].as_u64().unwrap_or(0);
        }
        last
    }

    /// Publishes something; the answer's `published`.
    pub async fn store(&self, subject: &str, headers: &[(&str, &str)], data: &str) -> Value {
        let path = format!("/v1/publish/{subject}");
        let answer = self.node.post(&path, headers, data.to_owned().into()).await;
        assert_eq!(answer.status(), 200, "{:?}", answer.body());
        let published = serde_json::from_slice::<Value>(answer.body()).expect("JSON")["published"].take();
        if let (Some(stream), Some(seq)) = (published["stream"].as_str(), published["seq"].as_u64()) {
            self.note(stream, seq);
        }
        published
    }

    /// Publishes something into `SHOP` as a service does, and returns its sequence.
    pub async fn inject(&self, subject: &str, data: String) -> u64 {
        let seq = self.node.inject(subject, data).await;
        self.note("SHOP", seq);
        seq
    }

    fn note(&self, stream: &str, seq: u64) {
        self.stored.lock().expect("no panic").insert(stream.to_owned(), seq);
    }

    /// A client that has resumed: with all that is replayed, in order, and the
    /// `subscribed` behind it.
    pub async fn resume(&self, subject: &str, after: &Value) -> (Ws, Vec<Value>, Value) {
        let mut client = self.node.client().await;
        let (replayed, subscribed) = client.resume(subject, json!({ "after": after })).await;
        (client, replayed, subscribed)
    }

    /// Until the node has in memory what was published.
    pub async fn until_followed(&self) {
        eventually("no lag", || async { self.node.metric("notifier_stream_lag").await == 0.0 }).await;
        let stored = self.stored.lock().expect("no panic").clone();
        for (stream, seq) in stored {
            eventually("the last event", || async {
                let answer = self.node.get("/v1/fetch?subject=%3E&last=true").await;
                let answer: Value = serde_json::from_slice(answer.body()).expect("JSON");
                let ends = answer["fetched"]["positions"].as_array().cloned().unwrap_or_default();
                ends.iter().any(|end| end["stream"] == stream && end["seq"].as_u64().is_some_and(|end| end >= seq))
            })
            .await;
        }
    }
}
