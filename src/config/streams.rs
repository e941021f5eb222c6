//! Settings of streams, and the delivery guarantee of each subject.

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
/// keeps the stream itself, for as long as it runs.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    /// Name of the stream in JetStream.
    pub name: String,
    /// Subjects that the stream stores; no other stream may store any of them. A
    /// key-value bucket is served by a stream that sources it under subjects of
    /// its own (see delivery, "Values that end"): clients never reach `$KV.>`.
    pub subjects: Vec<String>,
    /// Prefix under which the server republishes stored events: `shop.cart.u42`
    /// on `ntf.SHOP.shop.cart.u42`. Default: `ntf.` and the name. Only the
    /// server should be allowed to publish there.
    #[serde(default)]
    pub republish_prefix: Option<String>,
    /// Whether the node creates the stream and adds missing settings to it. The
    /// node never deletes a stream and never makes it store less. Off: the node
    /// only checks.
    #[serde(default = "yes")]
    pub manage: bool,
    /// Time for which events are kept. Not set: no limit.
    #[serde(default)]
    pub max_age: Option<Span>,
    /// Bytes that are kept; the oldest events are dropped first. Not set: 1
    /// GiB, or 256 MiB in memory, because clients must not be able to fill the
    /// disk that all streams share. An existing stream that keeps more stays
    /// so. `0`: no limit but the server's disk.
    #[serde(default)]
    pub max_bytes: Option<Size>,
    /// Events that are kept. Not set: no limit.
    #[serde(default)]
    pub max_messages: Option<u64>,
    /// Events of one subject that are kept. Not set: no limit, but 1 if the
    /// stream serves `latest`, which allows no other value.
    #[serde(default)]
    pub max_messages_per_subject: Option<u64>,
    /// Servers of a cluster that keep each event, 1 to 5; most of them have
    /// stored it before it is acknowledged.
    #[serde(default = "one")]
    pub replicas: usize,
    /// `file` or `memory`.
    #[serde(default)]
    pub storage: Storage,
    /// Time for which an event with an `id` that was already stored counts as
    /// the same event; never longer than `max_age`. The default is that of
    /// JetStream.
    #[serde(default = "two_minutes")]
    pub duplicate_window: Span,
    /// The part of the stream that the node keeps in memory, so that resuming
    /// clients cost NATS nothing.
    #[serde(default)]
    pub window: WindowLimits,
}

/// The storage of a stream.
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
    /// Approximate bytes of memory.
    pub bytes: Size,
    /// Age of the oldest event in memory. There is no such limit for `latest`
    /// subjects.
    pub age: Span,
}

impl Default for WindowLimits {
    fn default() -> Self {
        Self { bytes: Size::kib(64 * 1024), age: Span::seconds(600) }
    }
}

/// The delivery guarantee of the subjects of one pattern. The first rule that
/// matches a subject applies; a subject without a rule is `live`.
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
    /// Prefix under which stored events are republished.
    pub fn prefix(&self) -> String {
        self.republish_prefix.clone().unwrap_or_else(|| format!("ntf.{}", self.name))
    }

    /// Bytes that the stream keeps with this storage.
    pub fn kept_bytes(&self, storage: Storage) -> Option<u64> {
        let default = match storage {
            Storage::File => FILE_BYTES,
            Storage::Memory => MEMORY_BYTES,
        };
        let bytes = self.max_bytes.map_or(default, |size| size.bytes() as u64);
        (bytes > 0).then_some(bytes)
    }

    /// Events of one subject that the stream keeps for this guarantee.
    pub fn kept_per_subject(&self, delivery: Delivery) -> Option<u64> {
        match delivery {
            Delivery::Latest => Some(1),
            Delivery::Live | Delivery::Durable => self.max_messages_per_subject,
        }
    }

    /// Time for which the stream recognises a repeated event. JetStream refuses
    /// a time longer than it keeps events.
    pub fn knows_again(&self) -> Span {
        match self.max_age {
            Some(age) if age.duration() < self.duplicate_window.duration() => age,
            _ => self.duplicate_window,
        }
    }
}

impl Delivery {
    /// Name in `subscribed` frames.
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
