//! The first frame to a client.

use crate::{
    access::grants::Grants,
    broker::Link,
    clock::unix_millis,
    proto::{Client, Limits, Welcome},
    services::NodeServices,
    session::inbound::connect_bytes,
    socket::ConnectionId,
    subject::SUBJECT_BYTES,
};

/// Parts of the protocol that nodes of earlier versions do not serve, as
/// `docs/protocol.md` lists them.
const FEATURES: [&str; 6] = ["ping", "cancel", "frame_errors", "subscription_ids", "connect_after", "replaces"];

/// The `welcome` of a client, its limits above all.
pub(crate) fn welcome(services: &NodeServices, connection: ConnectionId, grants: &Grants, link: Link) -> Welcome {
    let NodeServices { node, heartbeat, limits, .. } = services;
    let identity = grants.identity();
    Welcome {
        connection: connection.to_string(),
        node: node.clone(),
        user: identity.user.clone(),
        issuer: identity.issuer.clone().unwrap_or_default(),
        token_expires_at: identity.expires_at_ms().unwrap_or_default(),
        heartbeat_ms: heartbeat.millis(),
        limits: Some(Limits {
            message_bytes: limits.message_bytes.bytes() as u64,
            subscriptions: limits.subscriptions as u64,
            subject_bytes: SUBJECT_BYTES as u64,
            subject_tokens: limits.subject_tokens as u64,
            frames_per_second: limits.frames_per_second.into(),
            frames_burst: limits.frames_burst.into(),
            event_bytes: limits.event_bytes.bytes() as u64,
            bytes_per_second: limits.bytes_per_second.bytes() as u64,
            bytes_burst: limits.bytes_burst.bytes() as u64,
            idle_ms: limits.idle_time.millis(),
            user_connections: limits.user_connections.into(),
            wildcard_shapes: limits.wildcard_shapes.into(),
            requests_in_flight: limits.requests_in_flight as u64,
            request_ms: limits.request_time.millis(),
            publishes_in_flight: limits.publishes_in_flight as u64,
            fetches_in_flight: limits.fetches_in_flight as u64,
            fetch_events: limits.fetch_events as u64,
            connect_bytes: connect_bytes(limits) as u64,
        }),
        server_time: unix_millis(),
        broker: link.label().into(),
        version: env!("CARGO_PKG_VERSION").into(),
        features: FEATURES.map(String::from).to_vec(),
    }
}

/// Bytes of what a client says of itself that are logged.
const LOGGED: usize = 256;

/// Writes down who has come in.
pub(crate) fn note(welcome: &Welcome, client: &Client) {
    let [name, version] = [&client.name, &client.version].map(|text| &text[..text.floor_char_boundary(LOGGED)]);
    tracing::debug!(connection = welcome.connection, client = ?name, version = ?version, "connected");
}
