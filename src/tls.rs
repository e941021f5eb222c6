//! TLS of the listeners, free of HTTP and WebSocket: certificates that are
//! renewed while the node runs, handshakes, and a session that is written
//! without waiting. With `broker`, the only floor that names `rustls`.

mod client;
mod endpoint;
mod files;
mod session;

pub use client::{Trust, connect};
pub use endpoint::{Endpoint, Stream, has_certificate};
pub use files::TlsError;
pub use session::Session;
