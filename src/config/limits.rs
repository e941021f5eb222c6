//! Settings of limits: every limit with its unit and reason.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    config::{
        error::ConfigError,
        units::{Size, Span},
    },
    subject::SUBJECT_TOKENS,
};

/// Limits on everything that clients can use. Input above a limit is refused
/// with an error that names the limit, and is never truncated, except headers
/// of services' events.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Open client connections, HTTP included. Further ones get HTTP 503.
    pub connections: usize,
    /// New client connections per second on average, from all clients, so that
    /// a storm of reconnects leaves time for connected clients. Further ones
    /// get HTTP 503. 0: no limit.
    pub connections_per_second: u32,
    /// New connections at once, as after a network outage.
    pub connections_burst: u32,
    /// Connections from one address; an IPv6 network of 64 bits counts as one.
    /// Further ones get HTTP 429. 0: no limit, because a proxy that is not in
    /// `server.trusted_proxies` holds the connections of all its clients, and
    /// an office shares one address.
    pub address_connections: u32,
    /// New connections per second from one address on average. 0: no limit.
    pub address_connections_per_second: u32,
    /// New connections from one address at once.
    pub address_connections_burst: u32,
    /// HTTP requests per second from one address on average, upgrades not
    /// counted. Further ones get HTTP 429. 0: no limit.
    pub address_requests_per_second: u32,
    /// HTTP requests from one address at once.
    pub address_requests_burst: u32,
    /// Connections of one user, as named in the token: a page has one, a person
    /// many pages. Further ones are closed with 4410 as long as some of these may
    /// be dead (four heartbeats, `stall_time` and `close_time`), then with 4510. 0: no limit.
    /// Anonymous clients are not counted.
    pub user_connections: u32,
    /// Events and requests per second that one user may send on average, over
    /// all connections to the node, WebSocket and HTTP. Further ones are
    /// refused with `rate_limited`. The default is twice the rate of one
    /// connection, more than a person with several pages sends. 0: no limit.
    /// Anonymous clients are not counted.
    pub user_publishes_per_second: u32,
    /// Events and requests that one user may send at once.
    pub user_publishes_burst: u32,
    /// Bytes of these events and requests per second on average, attributes and
    /// headers included: the amount that one user can make a stream store. 0:
    /// no limit.
    pub user_publish_bytes_per_second: Size,
    /// Bytes of these events and requests at once. A larger event uses up the
    /// whole burst.
    pub user_publish_bytes_burst: Size,
    /// Reads per second for one user on average, by `fetch`, by subscriptions
    /// that resume and by snapshots: each event read counts 1, each request to
    /// a stream and each page read from NATS 10. Above the limit `fetch` is
    /// refused with `rate_limited`, and subscriptions wait. 0: no limit.
    /// Anonymous clients are not counted.
    pub user_reads_per_second: u32,
    /// Reads of one user at once: 512 subscriptions that resume and missed a
    /// hundred events each, or a page of 200 components that reads a hundred
    /// events for each.
    pub user_reads_burst: u32,
    /// Time for a complete HTTP request head, from its first byte, and for the
    /// first one of a connection from the connection on. Protects against
    /// clients that send byte by byte.
    pub handshake_time: Span,
    /// Time for which an HTTP connection is kept for the next request,
    /// announced as `Keep-Alive: timeout=75`. Longer than the 60 s of common
    /// balancers: if the node closed first, a request sent at that moment would
    /// fail with a 502. 0s: each answer ends its connection.
    pub keep_alive_time: Span,
    /// Bytes of an HTTP request head. Cookies of large sites reach 8 KiB.
    pub header_bytes: Size,
    /// Time in which a client has to read one HTTP answer. Protects against
    /// clients that send requests and do not read.
    pub answer_time: Span,
    /// Bytes of HTTP answers of the whole node that clients have not read yet;
    /// room for the largest answer is reserved before it is made. One address
    /// may use a quarter of it, one user an eighth. Further requests wait for a
    /// moment and then get HTTP 503, or 429 if the share of the address or user
    /// is used up.
    pub http_answer_bytes: Size,
    /// Time from the upgrade to the `connect` frame.
    pub connect_time: Span,
    /// Time from the first to the last byte of one WebSocket message.
    pub message_time: Span,
    /// Bytes of one WebSocket message from a client, all fragments together. The
    /// first one, with everything that a page subscribes to, may have 64 KiB in
    /// any case.
    pub message_bytes: Size,
    /// Bytes of the data of one event, published or relayed. The default of
    /// NATS is 1 MiB too.
    pub event_bytes: Size,
    /// Bytes of the events of one atomic batch of JetStream that are sent to a
    /// client together, each event counting its data and some 400 bytes; at
    /// least 64 KiB. A larger batch, or one of more than 1,000 events, is sent
    /// in parts.
    pub batch_bytes: Size,
    /// Headers that one event carries to clients, at most 256. The default is
    /// twice the number of headers that a browser sends. A client's event with
    /// more is refused. A service's event or answer keeps those in
    /// `events.forward_headers`, then the first by name; the rest is left out
    /// and counted.
    pub event_headers: usize,
    /// Bytes of these headers together, names included, at most 16 KiB.
    pub event_header_bytes: Size,
    /// Tokens of a subject or pattern, at most 32. NATS advises 16, and each
    /// token costs memory and time in each match. Events with more tokens are
    /// dropped; patterns with more are refused, in the configuration too.
    pub subject_tokens: usize,
    /// Subscriptions of one connection, which components of several teams
    /// share.
    pub subscriptions: usize,
    /// Shapes of patterns with wildcards that one user may hold over all
    /// connections of a node; for an anonymous client, over its own connection.
    /// The shape of a pattern is its number of tokens and the places of its
    /// wildcards: `a.*` and `b.*` have the same. At most one pattern of each
    /// shape matches an event, so this bounds the cost of one event for one
    /// user, in the node and at NATS. 0: no limit.
    pub wildcard_shapes: u32,
    /// Frames per second from one client on average, control frames included.
    pub frames_per_second: u32,
    /// Frames from one client at once: a page subscribes to everything when it
    /// starts.
    pub frames_burst: u32,
    /// Bytes per second from one client on average.
    pub bytes_per_second: Size,
    /// Bytes from one client at once: more than one full message.
    pub bytes_burst: Size,
    /// Time after which a client without a subscription and without requests is
    /// closed; answers to pings do not count. Checked once per heartbeat. 0s:
    /// never, because an idle client costs little.
    pub idle_time: Span,
    /// Bytes that may wait for one client whose socket is full. With more, the
    /// client counts as too slow.
    pub outbox_bytes: Size,
    /// Frames that may wait for one client whose socket is full.
    pub outbox_frames: usize,
    /// Bytes of events that may wait while earlier events are sent to the many
    /// members of a pattern. Further events of that pattern are dropped.
    pub backlog_bytes: Size,
    /// Time after which a client whose socket is full is closed if it read
    /// nothing, or less than an eighth of `limits.outbox_bytes` while more than
    /// that waits: 1.1 kB/s with the defaults.
    pub stall_time: Span,
    /// Handling of `live` events for a client whose queue is full: `close` ends
    /// its connection, `drop` drops the events and sends a `gap`. Stored events
    /// wait in their stream in both cases.
    pub live_overflow: Overflow,
    /// Stored events that one subscription may receive before it is live. The
    /// rest is announced as a `gap`.
    pub replay_events: u64,
    /// Stored events in one `fetched`.
    pub fetch_events: usize,
    /// Concurrent reads of stored events at NATS.
    pub stream_reads: usize,
    /// Time that a client's request waits for the answer of a service; a client
    /// can only ask for less. Longer than any answer that a person waits for.
    pub request_time: Span,
    /// Requests of one connection that wait for answers at the same time: a
    /// page asks several services when it starts.
    pub requests_in_flight: usize,
    /// Events that one connection has published and that are not acknowledged
    /// yet: more than a page sends at once. Further events wait in the node, in
    /// order, up to `frames_burst` events and `bytes_burst` bytes.
    pub publishes_in_flight: usize,
    /// Concurrent reads of stored events by one connection; further ones wait.
    pub fetches_in_flight: usize,
    /// Bytes of the kernel's send buffer of one client. With the kernel's
    /// default a stalled client can hold megabytes.
    pub send_buffer: Size,
    /// Time from the node's Close frame to the client's.
    pub close_time: Span,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 100_000,
            connections_per_second: 5_000,
            connections_burst: 10_000,
            address_connections: 0,
            address_connections_per_second: 0,
            address_connections_burst: 100,
            address_requests_per_second: 0,
            address_requests_burst: 1_000,
            user_connections: 100,
            user_publishes_per_second: 200,
            user_publishes_burst: 2_000,
            user_publish_bytes_per_second: Size::kib(2 * 1024),
            user_publish_bytes_burst: Size::kib(8 * 1024),
            user_reads_per_second: 5_000,
            user_reads_burst: 100_000,
            handshake_time: Span::seconds(5),
            keep_alive_time: Span::seconds(75),
            header_bytes: Size::kib(16),
            answer_time: Span::seconds(60),
            http_answer_bytes: Size::kib(64 * 1024),
            connect_time: Span::seconds(5),
            message_time: Span::seconds(10),
            message_bytes: Size::kib(64),
            event_bytes: Size::kib(1024),
            batch_bytes: Size::kib(1024),
            event_headers: 64,
            event_header_bytes: Size::kib(8),
            subject_tokens: 16,
            subscriptions: 512,
            wildcard_shapes: 32,
            frames_per_second: 100,
            frames_burst: 1_000,
            bytes_per_second: Size::kib(1024),
            bytes_burst: Size::kib(4 * 1024),
            idle_time: Span::seconds(0),
            outbox_bytes: Size::kib(256),
            outbox_frames: 4_096,
            backlog_bytes: Size::kib(16 * 1024),
            stall_time: Span::seconds(30),
            live_overflow: Overflow::Close,
            replay_events: 1_000_000,
            fetch_events: 1_000,
            stream_reads: 16,
            request_time: Span::seconds(5),
            requests_in_flight: 16,
            publishes_in_flight: 256,
            fetches_in_flight: 4,
            send_buffer: Size::kib(64),
            close_time: Span::seconds(5),
        }
    }
}

/// Handling of events for which a client has no room.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Overflow {
    /// The connection is closed.
    Close,
    /// The events are dropped, and the client is told.
    Drop,
}

impl Limits {
    /// Checks rules between fields, which no single field can check.
    ///
    /// # Errors
    /// Names the key and the remedy.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let refuse = |key: &str, problem: &str| Err(ConfigError::Invalid { key: key.into(), problem: problem.into() });
        let positive = [
            ("limits.connections", self.connections == 0),
            ("limits.handshake_time", self.handshake_time.is_zero()),
            ("limits.connect_time", self.connect_time.is_zero()),
            ("limits.message_time", self.message_time.is_zero()),
            ("limits.close_time", self.close_time.is_zero()),
            ("limits.message_bytes", self.message_bytes.bytes() == 0),
            ("limits.event_bytes", self.event_bytes.bytes() == 0),
            ("limits.answer_time", self.answer_time.is_zero()),
            ("limits.connections_burst", self.connections_burst == 0),
            ("limits.address_connections_burst", self.address_connections_burst == 0),
            ("limits.address_requests_burst", self.address_requests_burst == 0),
            ("limits.http_answer_bytes", self.http_answer_bytes.bytes() == 0),
            ("limits.user_publishes_burst", self.user_publishes_burst == 0),
            ("limits.user_publish_bytes_burst", self.user_publish_bytes_burst.bytes() == 0),
            ("limits.user_reads_burst", self.user_reads_burst == 0),
            ("limits.bytes_per_second", self.bytes_per_second.bytes() == 0),
            ("limits.frames_per_second", self.frames_per_second == 0),
            ("limits.frames_burst", self.frames_burst == 0),
            ("limits.outbox_bytes", self.outbox_bytes.bytes() == 0),
            ("limits.outbox_frames", self.outbox_frames == 0),
            ("limits.subscriptions", self.subscriptions == 0),
            ("limits.stall_time", self.stall_time.is_zero()),
            ("limits.replay_events", self.replay_events == 0),
            ("limits.fetch_events", self.fetch_events == 0),
            ("limits.stream_reads", self.stream_reads == 0),
            ("limits.request_time", self.request_time.is_zero()),
            ("limits.requests_in_flight", self.requests_in_flight == 0),
            ("limits.publishes_in_flight", self.publishes_in_flight == 0),
            ("limits.fetches_in_flight", self.fetches_in_flight == 0),
            ("limits.backlog_bytes", self.backlog_bytes.bytes() == 0),
        ];
        if let Some((key, _)) = positive.iter().find(|(_, zero)| *zero) {
            return refuse(key, "is zero; it must be more");
        }
        if !(1..=SUBJECT_TOKENS).contains(&self.subject_tokens) {
            return refuse("limits.subject_tokens", "is not 1 to 32; keep it at 16 unless your subjects are deeper");
        }
        // Percent-encoded three times as long, and less than nodes read of NATS.
        if self.event_header_bytes.bytes() > 16 * 1024 {
            return refuse("limits.event_header_bytes", "is above 16KiB, the most that fits through NATS; lower it");
        }
        if self.batch_bytes.bytes() < 64 * 1024 {
            return refuse("limits.batch_bytes", "is below 64KiB, which is sent together in any case; raise it");
        }
        if self.event_headers > 256 {
            return refuse("limits.event_headers", "is above 256; lower it");
        }
        if self.header_bytes.bytes() < 8 * 1024 {
            return refuse("limits.header_bytes", "is below 8KiB, the least the HTTP parser works with");
        }
        if self.bytes_burst.bytes() <= self.message_bytes.bytes() {
            return refuse(
                "limits.bytes_burst",
                "is not above limits.message_bytes, so that no full message passes; raise it",
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Change = fn(&mut Limits);

    #[test]
    fn limits_that_would_shut_everybody_out_are_refused_by_name() {
        let check = |change: Change| {
            let mut limits = Limits::default();
            change(&mut limits);
            limits.check().map_err(|error| error.to_string())
        };
        assert_eq!(check(|_| {}), Ok(()));
        let rows: [(&str, Change); 12] = [
            ("limits.batch_bytes", |limits| limits.batch_bytes = Size::kib(63)),
            ("limits.event_headers", |limits| limits.event_headers = 257),
            ("limits.event_header_bytes", |limits| limits.event_header_bytes = Size::kib(17)),
            ("limits.subject_tokens", |limits| limits.subject_tokens = 0),
            ("limits.subject_tokens", |limits| limits.subject_tokens = 33),
            ("limits.user_publish_bytes_burst", |limits| limits.user_publish_bytes_burst = Size::kib(0)),
            ("limits.http_answer_bytes", |limits| limits.http_answer_bytes = Size::kib(0)),
            ("limits.connections_burst", |limits| limits.connections_burst = 0),
            ("limits.bytes_per_second", |limits| limits.bytes_per_second = Size::kib(0)),
            ("limits.bytes_burst", |limits| limits.bytes_burst = limits.message_bytes),
            ("limits.answer_time", |limits| limits.answer_time = Span::seconds(0)),
            ("limits.header_bytes", |limits| limits.header_bytes = Size::kib(4)),
        ];
        for (key, change) in rows {
            let error = check(change).expect_err(key);
            assert!(error.contains(key), "{error}");
        }
    }
}
