//! Every series this node exports: name, unit, meaning, labels.
//!
//! The doc comment is the help text on `/metrics` and the row in
//! `docs/operations/metrics.md`. No series carries a subject, a user, an
//! address or a connection: label values are fixed lists, so the number of
//! series is constant whatever clients send. Handles are resolved once, here.
//!
//! The algebra: `connections = connections_opened_total -
//! sum(connections_closed_total)`, `owed_total = deliveries_total +
//! sum(undelivered_total) + pending`, and, once all is quiet,
//! `gaps_detected_total = gaps_healed_total + gaps_reported_total`.

mod label;

use std::fmt;

use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
    with_local_recorder,
};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

pub use label::{
    AcceptFailure, BrokerEvent, By, Control, Drop, InternalRefusal, JwksFetch, Label, Listener, PassedOver, Refresh,
    Reload, StreamRequest, TokenRefusal, Transport, Undelivered,
};

use crate::{close::CloseReason, error::Code};

/// Seconds: from well below one write to the time that a slow client may take.
const LATENCY_BUCKETS: &[f64] =
    &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// One row of the table of series, for the documentation.
#[derive(Clone, Copy, Debug)]
pub struct Series {
    /// Name on `/metrics`.
    pub name: &'static str,
    /// counter, gauge or histogram.
    pub kind: &'static str,
    /// Name of its label, if it has one.
    pub label: Option<&'static str>,
    /// Help text: the thing that is counted or measured.
    pub help: &'static str,
}

macro_rules! series {
    (@type Counter) => { Counter };
    (@type Counter $label:ty) => { By<$label, Counter> };
    (@type Gauge) => { Gauge };
    (@type Gauge $label:ty) => { By<$label, Gauge> };
    (@type Histogram) => { Histogram };
    (@make Counter $name:literal) => { counter!($name) };
    (@make Counter $name:literal $label:ty) => { By::new(|key, value| counter!($name, key => value)) };
    (@make Gauge $name:literal) => { gauge!($name) };
    (@make Gauge $name:literal $label:ty) => { By::new(|key, value| gauge!($name, key => value)) };
    (@make Histogram $name:literal) => { histogram!($name) };
    (@describe Counter $name:literal $unit:expr, $help:expr) => { describe_counter!($name, $unit, $help) };
    (@describe Gauge $name:literal $unit:expr, $help:expr) => { describe_gauge!($name, $unit, $help) };
    (@describe Histogram $name:literal $unit:expr, $help:expr) => { describe_histogram!($name, $unit, $help) };
    (@label) => { None };
    (@label $label:ty) => { Some(<$label as Label>::NAME) };
    ($($(#[doc = $doc:literal])+ $field:ident: $kind:ident $(by $label:ty)?, $name:literal, $unit:ident;)+) => {
        /// The handles, each resolved once.
        pub struct Metrics {
            prometheus: PrometheusHandle,
            $($(#[doc = $doc])+ pub $field: series!(@type $kind $($label)?),)+
        }

        /// Every series, in the order of the source.
        pub const SERIES: &[Series] = &[$(Series {
            name: $name,
            kind: stringify!($kind),
            label: series!(@label $($label)?),
            help: concat!($($doc,)+).trim_ascii(),
        },)+];

        impl Metrics {
            /// A registry of its own, so that several nodes fit in one process.
            ///
            /// # Errors
            /// When a bucket list is empty, which the tests rule out.
            pub fn new() -> Result<Self, BuildError> {
                let recorder = PrometheusBuilder::new()
                    .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), LATENCY_BUCKETS)?
                    .build_recorder();
                let prometheus = recorder.handle();
                Ok(with_local_recorder(&recorder, || {
                    $(series!(@describe $kind $name Unit::$unit, concat!($($doc,)+).trim_ascii());)+
                    let metrics = Self { prometheus, $($field: series!(@make $kind $name $($label)?),)+ };
                    metrics.state_the_build();
                    metrics
                }))
            }
        }
    };
}

series! {
    /// Open connections: WebSockets, event streams, and polls that wait.
    connections: Gauge, "notifier_connections", Count;
    /// The same connections, by the transport of their events.
    transport_connections: Gauge by Transport, "notifier_transport_connections", Count;
    /// WebSockets, event streams and polls opened.
    connections_opened: Counter, "notifier_connections_opened_total", Count;
    /// WebSockets, event streams and polls ended, by close reason.
    connections_closed: Counter by CloseReason, "notifier_connections_closed_total", Count;
    /// TCP connections refused or lost before a request could be read, by cause.
    accepts_failed: Counter by AcceptFailure, "notifier_accepts_failed_total", Count;
    /// HTTP connections cut off because the client did not read its answer within `limits.answer_time`.
    answers_given_up: Counter, "notifier_answers_given_up_total", Count;
    /// Bytes of HTTP answers that clients have not read yet, or that are reserved for answers being made.
    http_answer_bytes: Gauge, "notifier_http_answer_bytes", Bytes;
    /// Connections and requests that the internal listener refused or cut off, by cause.
    internal_refusals: Counter by InternalRefusal, "notifier_internal_refusals_total", Count;
    /// End of the certificate of a listener, seconds since 1970; 0 without TLS.
    certificate_expiry: Gauge by Listener, "notifier_certificate_expiry_seconds", Seconds;
    /// Changed certificate files, by whether the node uses them.
    certificate_reloads: Counter by Reload, "notifier_certificate_reloads_total", Count;
    /// Live subscriptions of all connections.
    subscriptions: Gauge, "notifier_subscriptions", Count;
    /// Distinct live patterns with subscriptions on this node.
    topics: Gauge, "notifier_topics", Count;
    /// Subscriptions of this node at the broker. A pattern that a wider one covers needs none of its own.
    feeds: Gauge, "notifier_feeds", Count;
    /// Copies of events that could not be noted while patterns got subscriptions of their own, for lack of room. These events may have been delivered twice.
    handover_overflows: Counter, "notifier_handover_overflows_total", Count;
    /// Client frames read.
    frames_received: Counter, "notifier_frames_received_total", Count;
    /// Bytes read from WebSocket clients.
    bytes_received: Counter, "notifier_received_bytes_total", Bytes;
    /// Bytes of event frames handed to connections.
    bytes_sent: Counter, "notifier_sent_bytes_total", Bytes;
    /// Messages read from the broker, answers and acknowledgements of streams included. An event that several subscriptions of this node match counts once for each.
    messages_received: Counter, "notifier_messages_received_total", Count;
    /// Events published through this node.
    messages_published: Counter, "notifier_messages_published_total", Count;
    /// Requests of clients sent to services.
    requests: Counter, "notifier_requests_total", Count;
    /// Requests that wait for the answer of a service.
    requests_waiting: Gauge, "notifier_requests_waiting", Count;
    /// Events published by clients over WebSocket that wait to be sent or acknowledged.
    publishes_waiting: Gauge, "notifier_publishes_waiting", Count;
    /// Time from a request to its answer, or until waiting ends.
    request_time: Histogram, "notifier_request_seconds", Seconds;
    /// Events handed to connections, written or queued. One event to one connection counts once.
    deliveries: Counter, "notifier_deliveries_total", Count;
    /// Events due to connections because a live subscription matched. One event for one connection counts once.
    owed: Counter, "notifier_owed_total", Count;
    /// Events due to connections that were not delivered, by cause.
    undelivered: Counter by Undelivered, "notifier_undelivered_total", Count;
    /// Events due to connections that wait in their stream until the connection reads.
    pending: Gauge, "notifier_pending", Count;
    /// Copies of live events that connections did not need, because another subscription of the same connection delivers the event.
    redundant_copies: Counter, "notifier_redundant_copies_total", Count;
    /// Frames encoded for fan-out. One batch of waiting events in one encoding counts once.
    batches: Counter, "notifier_batches_total", Count;
    /// Atomic batches of more than 1,000 events or `limits.batch_bytes`, which clients get in parts.
    batches_parted: Counter, "notifier_batches_parted_total", Count;
    /// Events that a stream stores under subjects that no rule assigns to it, each time one is read. Clients do not get them from that stream.
    unserved: Counter, "notifier_unserved_total", Count;
    /// Events not delivered, by cause.
    drops: Counter by Drop, "notifier_drops_total", Count;
    /// Events and answers of services delivered without some of their headers, because they have more than `limits.event_headers` or `event_header_bytes`.
    headers_cut: Counter, "notifier_headers_cut_total", Count;
    /// Bytes waiting in outboxes of connections whose sockets are full.
    outbox_bytes: Gauge, "notifier_outbox_bytes", Bytes;
    /// Connections whose socket is full and that have frames waiting.
    outboxes_waiting: Gauge, "notifier_outboxes_waiting", Count;
    /// Time from an event's arrival at this node to the last write of its fan-out.
    delivery_latency: Histogram, "notifier_delivery_latency_seconds", Seconds;
    /// 1 while the node is connected to its broker.
    broker_connected: Gauge, "notifier_broker_connected", Count;
    /// Events of the broker connections, by kind.
    broker_events: Counter by BrokerEvent, "notifier_broker_events_total", Count;
    /// Subscriptions of this node that the broker refuses now.
    feeds_refused: Gauge, "notifier_feeds_refused", Count;
    /// Subscriptions refused by the broker, each attempt counting.
    feed_refusals: Counter, "notifier_feed_refusals_total", Count;
    /// Streams that fitted when the node started and do not fit now.
    streams_unfit: Gauge, "notifier_streams_unfit", Count;
    /// Changes of streams that made them unfit.
    stream_drifts: Counter, "notifier_stream_drifts_total", Count;
    /// Requests to streams, by kind.
    stream_requests: Counter by StreamRequest, "notifier_stream_requests_total", Count;
    /// Runs of sequences of a stream that did not arrive at this node.
    gaps_detected: Counter, "notifier_gaps_detected_total", Count;
    /// Detected gaps that were closed: the events were read from the stream, or never existed.
    gaps_healed: Counter, "notifier_gaps_healed_total", Count;
    /// Detected gaps whose events the stream's retention had dropped; clients were told.
    gaps_reported: Counter, "notifier_gaps_reported_total", Count;
    /// Time from detecting a gap to its end.
    heal_time: Histogram, "notifier_gap_heal_seconds", Seconds;
    /// Events of all streams that are stored and have not arrived at this node, at the last comparison.
    stream_lag: Gauge, "notifier_stream_lag", Count;
    /// Reads for clients that resume, catch up or fetch, served from the window in memory.
    window_hits: Counter, "notifier_window_hits_total", Count;
    /// Reads for such clients that went to the stream.
    window_misses: Counter, "notifier_window_misses_total", Count;
    /// Events dropped from the window in memory because their stream purged or deleted them, or because they expired.
    window_removed: Counter, "notifier_window_removed_total", Count;
    /// Connections that catch up from a stream because its events did not fit into their queue, counted once per stream.
    lagging: Gauge, "notifier_lagging", Count;
    /// Time from a subscription that asks for stored events to the moment it is live.
    replay_time: Histogram, "notifier_replay_seconds", Seconds;
    /// Stored events sent to subscriptions before they were live.
    replayed: Counter, "notifier_replayed_total", Count;
    /// Errors sent to clients, over WebSocket and HTTP, by error code.
    errors: Counter by Code, "notifier_errors_total", Count;
    /// Refused tokens, and refused clients without a token, by reason.
    tokens_refused: Counter by TokenRefusal, "notifier_tokens_refused_total", Count;
    /// Fetches of issuers' keys, by result.
    jwks_fetches: Counter by JwksFetch, "notifier_jwks_fetches_total", Count;
    /// Time of the last successful fetch of the issuer whose keys are oldest, seconds since 1970; 0 without keys.
    jwks_fetched_at: Gauge, "notifier_jwks_fetched_timestamp_seconds", Seconds;
    /// Published keys of issuers that are not used, by reason. The keys of a set count when the set changes.
    jwks_passed_over: Counter by PassedOver, "notifier_jwks_passed_over_total", Count;
    /// Tokens that clients brought without reconnecting, by outcome.
    refreshes: Counter by Refresh, "notifier_refreshes_total", Count;
    /// Subscriptions that ended because their grant was lost.
    subscriptions_revoked: Counter, "notifier_subscriptions_revoked_total", Count;
    /// Revocations of users and tokens that are kept.
    revocations: Gauge, "notifier_revocations", Count;
    /// Nodes that are known to live, this one included: heard within 65 s, and not known to have left.
    cluster_nodes: Gauge, "notifier_cluster_nodes", Count;
    /// Messages between nodes about operators' commands, and their answers.
    control_messages: Counter by Control, "notifier_control_messages_total", Count;
    /// Tasks that panicked. Each is a defect: please report it with its log line.
    panics: Counter, "notifier_panics_total", Count;
}

impl Metrics {
    /// The text of `/metrics`, in the Prometheus exposition format.
    pub fn render(&self) -> String {
        self.prometheus.render()
    }

    /// Folds recorded samples into buckets. Histograms keep every sample until
    /// then, so the node calls this about once a second.
    pub fn upkeep(&self) {
        self.prometheus.run_upkeep();
    }

    /// `notifier_build_info`: constant 1, the version and commit as labels.
    fn state_the_build(&self) {
        describe_gauge!("notifier_build_info", Unit::Count, BUILD_INFO.help);
        gauge!("notifier_build_info", "version" => VERSION, "commit" => COMMIT).set(1.0);
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

/// Version of this build.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Commit of this build; "unknown" if the builder did not set it.
pub const COMMIT: &str = match option_env!("NOTIFIER_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// The one series that is not a handle.
pub const BUILD_INFO: Series = Series {
    name: "notifier_build_info",
    kind: "Gauge",
    label: Some("version, commit"),
    help: "Always 1; the labels say what is running.",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_of_the_table_is_exported_with_its_help() {
        let metrics = Metrics::new().expect("buckets are not empty");
        metrics.delivery_latency.record(0.003);
        metrics.errors.of(Code::BadSubject).increment(1);
        metrics.upkeep();
        let text = metrics.render();
        for series in SERIES.iter().chain([&BUILD_INFO]) {
            assert!(text.contains(&format!("# HELP {} {}", series.name, series.help)), "{}\n{text}", series.name);
        }
        assert!(text.contains(r#"notifier_errors_total{code="bad_subject"} 1"#), "{text}");
        assert!(text.contains(r#"notifier_delivery_latency_seconds_bucket{le="0.005"} 1"#), "{text}");
    }
}
