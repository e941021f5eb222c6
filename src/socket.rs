//! WebSockets (RFC 6455) over TCP or TLS, free of our protocol: handshake, incoming
//! frames, and the stream that outgoing messages ([`framing`](crate::framing)) are
//! written to.
//!
//! `fastwebsockets` is a good frame codec and not a safe server by itself: it
//! takes unmasked client frames, oversized control frames and fragmented
//! messages without end, and keeps 8 KiB per idle connection. So the state
//! between bytes and messages is ours ([`Decoder`]), a pure function of the
//! bytes that owns nothing while a connection is idle.

mod client;
mod collector;
mod connection_id;
mod decoder;
mod handshake;
mod http_progress;
mod http_stream;
mod into_wire;
#[cfg(feature = "model")]
mod pipe;
mod strict;
mod wire;

pub use client::{ClientSocket, SocketError};
pub use collector::Collector;
pub use connection_id::{ConnectionId, NoConnectionId};
pub use decoder::{Decoder, Incoming};
pub use handshake::{Upgrade, accept};
pub use http_progress::{HttpProgress, HttpTimes, Overdue};
pub use http_stream::HttpStream;
pub use into_wire::IntoWire;
#[cfg(feature = "model")]
pub use pipe::{Flaw, Pipe};
pub use strict::Strict;
pub use wire::Wire;
