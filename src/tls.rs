//! TLS of the listeners, free of HTTP and WebSocket: certificates that are
//! renewed while the node runs, handshakes, and a session that is written
//! without waiting; and whom to trust, for all who are clients. With `auth` and
//! `broker` the only floor that names `rustls`.

mod authorities;
mod client;
mod endpoint;
mod files;
mod pem;
mod records;
mod scratch;
mod session;
mod stream;

pub use authorities::{BadAuthorities, authorities};
pub use client::{Trust, connect};
pub use endpoint::Endpoint;
pub use files::TlsError;
pub use pem::read_pem;
pub use session::Session;
pub use stream::TlsStream;
