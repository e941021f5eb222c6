//! What is stored, where, and what each subject promises.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::units::{Size, Span};

/// Bytes that a stream keeps on disk unless the configuration says it: some
/// million events, and several streams of it on the smallest disks that servers
/// have. A server that keeps streams within less (`max_file_store`) says so when
/// the stream is made.
const FILE_BYTES: u64 = 1 << 30;

/// The same in memory, which is scarcer.
const MEMORY_BYTES: u64 = 256 << 20;

/// A JetStream stream that this node serves. With the memory broker the node
/// keeps it itself, for as long as it runs.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    /// Its name in JetStream.
    pub name: String,
    /// What it stores; no other stream may store any of it.
    pub subjects: Vec<String>,
    /// Stored events reappear under it: `shop.cart.u42` on
    /// `ntf.SHOP.shop.cart.u42`. Default: `ntf.` and the name. Nobody but the
    /// server should be allowed to publish there.
    #[serde(default)]
    pub republish_prefix: Option<String>,
    /// Whether the node creates the stream and adds to it what it lacks. It
    /// never deletes and never stores less than before. Off: it only checks.
    #[serde(default = "yes")]
    pub manage: bool,
    /// How long events are kept. Not set: for ever.
    #[serde(default)]
    pub max_age: Option<Span>,
    /// Bytes that are kept, the oldest going first. Not set: 1 GiB, or 256 MiB
    /// in memory: what clients may store must not fill the disk that all streams
    /// share. A stream that is there and keeps more is left so. `0`: as many as
    /// the server's disk takes.
    #[serde(default)]
    pub max_bytes: Option<Size>,
    /// Events that are kept. Not set: no such limit.
    #[serde(default)]
    pub max_messages: Option<u64>,
    /// Events of one subject that are kept. Not set: no such limit, but 1 where
    /// the stream serves `latest`, which allows no other value.
    #[serde(default)]
    pub max_messages_per_subject: Option<u64>,
    /// Servers of a cluster that keep each event, 1 to 5; most of them have it
    /// before it is acknowledged.
    #[serde(default = "one")]
    pub replicas: usize,
    /// `file` or `memory`.
    #[serde(default)]
    pub storage: Storage,
    /// For how long an event with an `id` that was stored already is taken for
    /// the same one; never longer than `max_age`. JetStream's own default.
    #[serde(default = "two_minutes")]
    pub duplicate_window: Span,
    /// What the node keeps in memory, so that resuming clients cost NATS nothing.
    #[serde(default)]
    pub window: WindowLimits,
}

/// Where a stream is stored.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Storage {
    /// On disk.
    #[default]
    File,
    /// In the servers' memory.
    Memory,
}

/// The newest events of a stream, kept in the node's memory.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct WindowLimits {
    /// Bytes of memory, roughly.
    pub bytes: Size,
    /// How far back. For `latest` subjects there is no such limit.
    pub age: Span,
}

impl Default for WindowLimits {
    fn default() -> Self {
        Self { bytes: Size::kib(64 * 1024), age: Span::seconds(600) }
    }
}

/// What the subjects of one pattern promise. The first rule that matches a
/// subject holds; a subject that none matches is `live`.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SubjectRule {
    /// Subject or pattern.
    pub pattern: String,
    /// `live`: at most once. `latest`: the newest value of each subject.
    /// `durable`: nothing lost, nothing twice, in the order of the stream.
    pub delivery: Delivery,
    /// Name of the stream that stores them; for `latest` and `durable`.
    #[serde(default)]
    pub stream: Option<String>,
}

/// The delivery guarantees.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Delivery {
    /// At most once.
    Live,
    /// The newest value of each subject.
    Latest,
    /// Nothing lost, nothing twice, in the order of the stream.
    Durable,
}

impl Stream {
    /// Under what its stored events reappear.
    pub fn prefix(&self) -> String {
        self.republish_prefix.clone().unwrap_or_else(|| format!("ntf.{}", self.name))
    }

    /// Bytes that it keeps where they are kept in this way.
    pub fn kept_bytes(&self, storage: Storage) -> Option<u64> {
        let default = match storage {
            Storage::File => FILE_BYTES,
            Storage::Memory => MEMORY_BYTES,
        };
        let bytes = self.max_bytes.map_or(default, |size| size.bytes() as u64);
        (bytes > 0).then_some(bytes)
    }

    /// Events of one subject that it keeps where it serves this.
    pub fn kept_per_subject(&self, delivery: Delivery) -> Option<u64> {
        match delivery {
            Delivery::Latest => Some(1),
            Delivery::Live | Delivery::Durable => self.max_messages_per_subject,
        }
    }

    /// For how long it knows an event again; JetStream refuses more than it
    /// keeps events.
    pub fn knows_again(&self) -> Span {
        match self.max_age {
            Some(age) if age.duration() < self.duplicate_window.duration() => age,
            _ => self.duplicate_window,
        }
    }
}

impl Delivery {
    /// Its name in `subscribed` frames.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Latest => "latest",
            Self::Durable => "durable",
        }
    }
}

const fn yes() -> bool {
    true
}

const fn one() -> usize {
    1
}

const fn two_minutes() -> Span {
    Span::seconds(120)
}
