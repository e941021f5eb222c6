//! The answer to an upgrade request, and the bare TCP stream after it: the
//! HTTP machinery around it is dropped, which is most of a connection's memory.

use bytes::Bytes;
use fastwebsockets::upgrade::UpgradeFut;
use http_body_util::Empty;
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

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
    /// The stream once the answer has been sent, with what the client sent
    /// right behind its request. None when the client has gone, or when the
    /// stream is not plain TCP.
    pub async fn stream(self) -> Option<(TcpStream, Bytes)> {
        let upgraded = self.0.await.ok()?.into_inner().into_inner();
        let parts = upgraded.downcast::<TokioIo<TcpStream>>().ok()?;
        Some((parts.io.into_inner(), parts.read_buf))
    }
}
