//! The settings that a stream of the configuration has to have in JetStream.

use crate::{
    broker::nats::{
        jetstream::settings::{Republish, Settings},
        reading::HEADER_BYTES,
    },
    config::{Config, Delivery, Span, Storage, Stream},
};

/// Nanoseconds for which JetStream marks that a value has expired: a day, in which clients that were away come back.
const MARKER_TTL: i64 = 24 * 60 * 60 * 1_000_000_000;

/// A stream of the configuration, with what bears on it.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// As JetStream would write it.
    pub(crate) settings: Settings,
    /// Whether the node may change it.
    pub(crate) manage: bool,
}

impl Wanted {
    /// All streams of a configuration, in its order.
    pub(crate) fn all(config: &Config) -> Vec<Self> {
        let serves = |stream: &Stream| {
            let rule = config.subjects.iter().find(|rule| rule.stream.as_ref() == Some(&stream.name));
            rule.map_or(Delivery::Durable, |rule| rule.delivery)
        };
        let event_bytes = config.limits.event_bytes.bytes();
        config.streams.iter().map(|stream| Self::of(stream, serves(stream), event_bytes)).collect()
    }

    /// One stream, by what it serves and how large an event may be.
    pub(crate) fn of(stream: &Stream, delivery: Delivery, event_bytes: usize) -> Self {
        let nanoseconds = |span: Span| whole(span.duration().as_nanos());
        let limit = |limit: Option<u64>| limit.map_or(-1, whole);
        let settings = Settings {
            name: stream.name.clone(),
            subjects: stream.subjects.clone(),
            retention: "limits".into(),
            storage: match stream.storage {
                Storage::File => "file".into(),
                Storage::Memory => "memory".into(),
            },
            max_age: stream.max_age.map_or(0, nanoseconds),
            max_bytes: limit(stream.kept_bytes(stream.storage)),
            max_messages: limit(stream.max_messages),
            max_messages_per_subject: limit(stream.kept_per_subject(delivery)),
            // Data and headers together, in 32 bits.
            max_message_size: whole(event_bytes.saturating_add(HEADER_BYTES)).min(i64::from(i32::MAX)),
            replicas: whole(stream.replicas),
            duplicate_window: nanoseconds(stream.knows_again()),
            marker_ttl: if delivery == Delivery::Latest { MARKER_TTL } else { 0 },
            republish: Some(Republish {
                source: ">".into(),
                destination: format!("{}.>", stream.prefix()),
                headers_only: false,
            }),
            allow_direct: true,
            no_ack: false,
            sealed: false,
            deny_purge: false,
            mirror: None,
            subject_transform: None,
            others: serde_json::Map::default(),
        };
        Self { settings, manage: stream.manage }
    }
}

fn whole(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}
