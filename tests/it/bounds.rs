//! The rows of "Memory, and what bounds it" in `docs/architecture.md`: each is
//! filled by hostile means, and what the node holds then is compared with what
//! the row says. Each node is a process of its own, and nothing else fills it.

mod arriving;
mod crowds;
mod leaving;
mod revoked;
mod stored;
mod waiting;

use std::{future::Future, time::Duration};

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

use super::{
    frames::{FIN, JSON, TEXT, frame, text},
    handshake::raw::Raw,
    world::{NatsServer, TestNode},
};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// A node that gives up nobody, however busy the machine is.
const PATIENT: &[(&str, &str)] = &[
    ("NOTIFIER_SERVER__HEARTBEAT", "10m"),
    ("NOTIFIER_LIMITS__STALL_TIME", "10m"),
    ("NOTIFIER_LIMITS__MESSAGE_TIME", "10m"),
    ("NOTIFIER_LIMITS__HANDSHAKE_TIME", "10m"),
    ("NOTIFIER_LIMITS__ANSWER_TIME", "10m"),
    ("NOTIFIER_LIMITS__FRAMES_PER_SECOND", "1000000"),
    ("NOTIFIER_LIMITS__FRAMES_BURST", "1000000"),
    // What the kernel takes for a client is not held by the node.
    ("NOTIFIER_LIMITS__SEND_BUFFER", "4KiB"),
];

async fn patient(text: &str) -> TestNode {
    TestNode::alone_with(PATIENT, text).await
}

/// The same at NATS. The text begins inside of `broker.nats`.
async fn patient_at(nats: &NatsServer, text: &str) -> TestNode {
    TestNode::process(nats, &format!("ping_interval = \"10m\"\n{text}"), PATIENT).await
}

/// A row of the table, from the moment at which nothing of it is filled.
struct Row<'n> {
    name: &'static str,
    node: &'n TestNode,
    before: u64,
}

impl<'n> Row<'n> {
    fn of(name: &'static str, node: &'n TestNode) -> Self {
        Self { name, node, before: node.own_memory() }
    }

    fn grown(&self) -> u64 {
        self.node.own_memory().saturating_sub(self.before)
    }

    /// It is filled now, and may hold so many bytes.
    #[track_caller]
    fn is_full(&self, bound: u64) {
        self.compare(self.grown(), bound);
    }

    /// The result of what fills it, and the most that the node held meanwhile.
    async fn most<T>(&self, fill: impl Future<Output = T>) -> (T, u64) {
        let mut fill = std::pin::pin!(fill);
        let mut look = tokio::time::interval(Duration::from_millis(5));
        let mut most = 0;
        loop {
            tokio::select! {
                result = &mut fill => return (result, most.max(self.grown())),
                _ = look.tick() => most = most.max(self.grown()),
            }
        }
    }

    #[track_caller]
    fn compare(&self, grown: u64, bound: u64) {
        let ratio = grown as f64 / bound as f64;
        let (grown, bound) = (grown / KIB, bound / KIB);
        println!("{}: {grown} KiB of {bound} KiB, {ratio:.2}", self.name);
        assert!(ratio <= 1.5, "{}: {grown} KiB are held, and {bound} KiB are the bound", self.name);
        assert!(ratio >= 0.3, "{}: {grown} KiB of {bound} KiB are held: it is not filled", self.name);
    }
}

/// So many clients, some of them at the same time.
async fn crowd<T, F: Future<Output = T>>(count: usize, client: impl Fn(usize) -> F) -> Vec<T> {
    stream::iter(0..count).map(client).buffer_unordered(32).collect().await
}

/// Connected, and its kernel takes little that it does not read.
async fn narrow(node: &TestNode) -> Raw {
    let mut raw = Raw::open_narrow(node.address).await.upgrade(JSON).await;
    raw.send(&text(&json!({"connect": {}}))).await.expect("the node reads");
    raw.frame().await.expect("a welcome");
    raw
}

/// Sends frames of the protocol, several in a message.
async fn send_all(raw: &mut Raw, frames: &[Value]) {
    let lines: Vec<String> = frames.iter().map(Value::to_string).collect();
    for part in lines.chunks(64) {
        raw.send(&frame(FIN | TEXT, part.join("\n").as_bytes())).await.expect("the node reads");
    }
}

/// Sends frames that want no answers, and waits until the node has done them.
async fn have_done(raw: &mut Raw, frames: &[Value]) {
    send_all(raw, frames).await;
    raw.send(&text(&json!({"id": 99, "unsubscribe": {"subject": "nothing"}}))).await.expect("the node reads");
    loop {
        let frame = raw.frame().await.expect("an open connection");
        if frame.lines().iter().any(|line| line["replyTo"] == 99) {
            return;
        }
    }
}

fn subscribe(subject: &str) -> Value {
    json!({"subscribe": {"subject": subject}})
}
