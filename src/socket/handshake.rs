//! The answer to an upgrade request, and the bare wire after it: the HTTP
//! machinery around it is dropped, which is most of a connection's memory.

use bytes::Bytes;
use fastwebsockets::upgrade::UpgradeFut;
use http_body_util::Empty;
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::{
    socket::{strict::Strict, wire::Wire},
    tls,
};

/// An accepted request whose answer is still on its way.
#[derive(Debug)]
pub struct Upgrade(UpgradeFut);

/// Builds the 101 answer to a request that was checked already; it lacks the
/// chosen subprotocol. None when the key is missing.
pub fn accept(request: &mut Request<Incoming>) -> Option<(Response<Empty<Bytes>>, Upgrade)> {
    let (response, upgrade) = fastwebsockets::upgrade::upgrade(request).ok()?;
    Some((response, Upgrade(upgrade)))
}

impl Upgrade {
    /// The wire once the answer has been sent, with what the client sent right
    /// behind its request. None when the client has gone, or when the stream is
    /// neither TCP nor TLS.
    pub async fn wire(self) -> Option<(Wire, Bytes)> {
        let upgraded = self.0.await.ok()?.into_inner().into_inner();
        let upgraded = match upgraded.downcast::<TokioIo<Strict<TcpStream>>>() {
            Ok(parts) => return Some((Wire::new(parts.io.into_inner().into_inner()), parts.read_buf)),
            Err(upgraded) => upgraded,
        };
        let parts = upgraded.downcast::<TokioIo<Strict<tls::TlsStream>>>().ok()?;
        let (wire, unread) = Wire::encrypted(parts.io.into_inner().into_inner());
        // Usually nothing is there, and joining costs nothing.
        let ahead = if unread.is_empty() { parts.read_buf } else { [parts.read_buf, unread].concat().into() };
        Some((wire, ahead))
    }
}
