//! From an accepted socket to a TLS stream, in time or not at all.

use std::time::Duration;

use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};

use crate::{
    error::{Code, Refusal},
    metrics::AcceptFailure,
    server::reject::reject,
    tls::{Endpoint, TlsStream},
};

/// Makes the handshake, within `limit` from the first byte to the last. A
/// client that speaks plain HTTP is told the problem in plain HTTP.
///
/// # Errors
/// The outcome that the failure counts as.
pub(crate) async fn secured(
    endpoint: &Endpoint,
    stream: TcpStream,
    limit: Duration,
) -> Result<TlsStream, AcceptFailure> {
    let end = Instant::now() + limit;
    match timeout_at(end, is_http(&stream)).await {
        Ok(false) => {}
        Ok(true) => {
            let refusal = Refusal::new(Code::BadRequest, "this port speaks TLS; use https:// or wss://");
            reject(stream, refusal).await;
            return Err(AcceptFailure::Tls);
        }
        Err(_) => return Err(AcceptFailure::TlsTimeout),
    }
    match timeout_at(end, endpoint.accept(stream)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a TLS handshake failed");
            Err(AcceptFailure::Tls)
        }
        Err(_) => Err(AcceptFailure::TlsTimeout),
    }
}

/// Whether the first byte is that of a method; no TLS record begins with a
/// letter (RFC 8446 5.1).
async fn is_http(stream: &TcpStream) -> bool {
    let mut first = [0];
    matches!(stream.peek(&mut first).await, Ok(1) if first[0].is_ascii_uppercase())
}
