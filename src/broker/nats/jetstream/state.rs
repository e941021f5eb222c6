//! How far a stream has come.

use serde::Deserialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::broker::stored::StreamState;

/// How far a stream has come, as JetStream tells it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "Told")]
pub(crate) struct State {
    pub(crate) stream: StreamState,
    /// Whether who says so has heard of most of the other servers lately. A
    /// leader that was cut off or suspended does not know that there is another
    /// one, and what that has stored.
    pub(crate) certain: bool,
    /// Sequences between others at which nothing is stored, if that was asked.
    pub(crate) deleted: Vec<u64>,
}

impl State {
    /// How far nothing is stored from a sequence on, at most to another; of a
    /// state that was asked for with what was deleted.
    pub(crate) fn deleted_through(&self, from: u64, to: u64) -> Option<u64> {
        let mut seq = from.max(self.stream.first.min(to + 1));
        while seq <= to && self.deleted.binary_search(&seq).is_ok() {
            seq += 1;
        }
        (seq > from).then_some(seq - 1)
    }
}

/// How long a server may be silent before it counts as lost. An election takes
/// at least four seconds (nats-server, `minElectionTimeout`).
const SILENCE: u64 = 3_000_000_000;

/// As JetStream tells it; most of its configuration is passed over.
#[derive(Deserialize)]
struct Told {
    created: String,
    #[serde(default)]
    config: Retention,
    state: Counts,
    #[serde(default)]
    cluster: ClusterState,
}

/// The parts of a stream's configuration that say how much it keeps.
#[derive(Default, Deserialize)]
struct Retention {
    /// Where it was made to begin.
    #[serde(default)]
    first_seq: u64,
    /// A value below 1 sets no limit.
    #[serde(default)]
    max_msgs_per_subject: i64,
    /// Whether an event above that limit is refused, and takes no other's place.
    #[serde(default)]
    discard_new_per_subject: bool,
}

impl Retention {
    fn per_subject(&self) -> u64 {
        if self.discard_new_per_subject { 0 } else { u64::try_from(self.max_msgs_per_subject).unwrap_or(0) }
    }
}

#[derive(Default, Deserialize)]
struct ClusterState {
    /// The other servers that have a copy.
    #[serde(default)]
    replicas: Vec<Replica>,
}

#[derive(Deserialize)]
struct Replica {
    #[serde(default)]
    offline: bool,
    /// Nanoseconds since it was heard of.
    #[serde(default)]
    active: u64,
}

impl ClusterState {
    /// Whether most servers are in touch with the one that says this.
    fn is_whole(&self) -> bool {
        let near = self.replicas.iter().filter(|replica| !replica.offline && replica.active < SILENCE).count();
        // Itself beside them, more than half of all.
        (1 + near) * 2 > 1 + self.replicas.len()
    }
}

#[derive(Deserialize)]
struct Counts {
    messages: u64,
    bytes: u64,
    first_seq: u64,
    last_seq: u64,
    #[serde(default)]
    deleted: Vec<u64>,
}

impl TryFrom<Told> for State {
    type Error = String;

    fn try_from(Told { created, config, state, cluster }: Told) -> Result<Self, Self::Error> {
        let epoch = OffsetDateTime::parse(&created, &Rfc3339).ok();
        let epoch = epoch.and_then(|time| u64::try_from(time.unix_timestamp_nanos()).ok());
        let stream = StreamState {
            epoch: epoch.ok_or_else(|| format!("`{created}` is no time"))?,
            // A stream that was never written to says 0.
            first: state.first_seq.max(1),
            last: state.last_seq,
            messages: state.messages,
            bytes: state.bytes,
            // One that has an event before it was not made to begin there.
            begins: Some(config.first_seq).filter(|begins| *begins <= state.first_seq).unwrap_or(1),
            per_subject: config.per_subject(),
        };
        Ok(Self { stream, certain: cluster.is_whole(), deleted: state.deleted })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_read_with_every_nanosecond_of_its_creation() {
        let told = |created: &str, counts: &str| {
            let text = format!(r#"{{"config":{{"name":"S"}},"created":"{created}","state":{{{counts}}}}}"#);
            serde_json::from_str::<State>(&text).map(|state| state.stream)
        };
        let counts = r#""messages":2,"bytes":90,"first_seq":4,"last_seq":5,"consumer_count":0"#;
        let state = told("2026-11-24T17:28:47.792119399Z", counts).expect("a state");
        let expected = StreamState {
            epoch: 1_795_541_327_792_119_399,
            first: 4,
            last: 5,
            messages: 2,
            bytes: 90,
            ..StreamState::default()
        };
        assert_eq!(state, expected);
        // Some servers write their own zone.
        let elsewhere = told("2026-11-24T18:28:47.792119399+01:00", counts).expect("a state");
        assert_eq!(elsewhere.epoch, state.epoch);
        let empty = told("2026-11-24T17:28:47Z", r#""messages":0,"bytes":0,"first_seq":0,"last_seq":0"#);
        assert_eq!(empty.map(|state| (state.first, state.last)).ok(), Some((1, 0)));
        assert!(told("soon", counts).is_err());
    }

    #[test]
    fn where_a_stream_begins_and_what_it_overwrites_is_read_of_its_configuration() {
        let rows = [
            (r#"{"first_seq":1000,"max_msgs_per_subject":2}"#, 1_000, (1_000, 2)),
            // It has an event before, so it was not made so.
            (r#"{"first_seq":1000}"#, 4, (1, 0)),
            (r#"{"max_msgs_per_subject":-1}"#, 4, (0, 0)),
            // An event above the limit takes no other's place.
            (r#"{"max_msgs_per_subject":2,"discard_new_per_subject":true}"#, 4, (0, 0)),
        ];
        for (config, first, expected) in rows {
            let counts = format!(r#""messages":1,"bytes":9,"first_seq":{first},"last_seq":1001"#);
            let text = format!(r#"{{"config":{config},"created":"2026-11-24T17:28:47Z","state":{{{counts}}}}}"#);
            let StreamState { begins, per_subject, .. } = serde_json::from_str::<State>(&text).expect("a state").stream;
            assert_eq!((begins, per_subject), expected, "{config}");
        }
    }

    #[test]
    fn a_leader_without_most_of_the_others_is_not_certain() {
        let certain = |replicas: &str| {
            let counts = r#""messages":0,"bytes":0,"first_seq":0,"last_seq":0"#;
            let text = format!(
                r#"{{"created":"2026-11-24T17:28:47Z","state":{{{counts}}},"cluster":{{"leader":"a","replicas":[{replicas}]}}}}"#
            );
            serde_json::from_str::<State>(&text).expect("a state").certain
        };
        let (near, far) = (r#"{"name":"b","active":200000000}"#, r#"{"name":"c","active":9000000000,"lag":4}"#);
        let offline = r#"{"name":"d","offline":true,"active":1000}"#;
        assert!(certain("") && certain(near));
        assert!(certain(&[near, far].join(",")));
        assert!(!certain(&[far, offline].join(",")));
        assert!(!certain(far), "one of two is not most");
    }

    #[test]
    fn what_is_deleted_is_told_apart_from_what_is_not_there_yet() {
        let text = r#"{"created":"2026-11-24T17:28:47Z","state":{"messages":3,"bytes":9,"first_seq":4,"last_seq":9,
            "deleted":[6,8,9]}}"#;
        let state = serde_json::from_str::<State>(text).expect("a state");
        assert_eq!(state.deleted_through(1, 2), Some(2));
        assert_eq!(state.deleted_through(2, 9), Some(3));
        assert_eq!(state.deleted_through(4, 9), None);
        assert_eq!(state.deleted_through(6, 9), Some(6));
        assert_eq!(state.deleted_through(8, 9), Some(9));
    }
}
