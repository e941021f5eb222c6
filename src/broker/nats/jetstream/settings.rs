//! A stream's settings as JetStream writes them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::broker::nats::jetstream::transform::Transform;

/// A stream's settings. An update replaces all of them, so those that are not
/// looked at here, and those of servers yet to come, are handed back as they came.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Settings {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) subjects: Vec<String>,
    #[serde(default = "limits")]
    pub(crate) retention: String,
    #[serde(default = "file")]
    pub(crate) storage: String,
    /// Nanoseconds; 0: for ever.
    #[serde(default)]
    pub(crate) max_age: i64,
    /// The bytes of the stream. Here and in the next three a value below 1 sets
    /// no limit.
    #[serde(default = "unlimited")]
    pub(crate) max_bytes: i64,
    #[serde(default = "unlimited", rename = "max_msgs")]
    pub(crate) max_messages: i64,
    #[serde(default = "unlimited", rename = "max_msgs_per_subject")]
    pub(crate) max_messages_per_subject: i64,
    #[serde(default = "unlimited", rename = "max_msg_size")]
    pub(crate) max_message_size: i64,
    #[serde(default = "one", rename = "num_replicas")]
    pub(crate) replicas: i64,
    /// Nanoseconds.
    #[serde(default)]
    pub(crate) duplicate_window: i64,
    /// Nanoseconds for which the end of a subject's last event is marked; 0: not at all.
    #[serde(default, rename = "subject_delete_marker_ttl", skip_serializing_if = "is_zero")]
    pub(crate) marker_ttl: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) republish: Option<Republish>,
    #[serde(default)]
    pub(crate) allow_direct: bool,
    #[serde(default)]
    pub(crate) no_ack: bool,
    #[serde(default)]
    pub(crate) sealed: bool,
    /// Whether nothing may be purged, and so no marker may take the place of older events.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) deny_purge: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mirror: Option<Value>,
    /// The change of an event's subject before it is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) subject_transform: Option<Transform>,
    #[serde(flatten)]
    pub(crate) others: Map<String, Value>,
}

/// Where stored events reappear.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Republish {
    #[serde(default, rename = "src")]
    pub(crate) source: String,
    #[serde(rename = "dest")]
    pub(crate) destination: String,
    #[serde(default)]
    pub(crate) headers_only: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
fn is_zero(number: &i64) -> bool {
    *number == 0
}

fn limits() -> String {
    "limits".into()
}

fn file() -> String {
    "file".into()
}

const fn unlimited() -> i64 {
    -1
}

const fn one() -> i64 {
    1
}
