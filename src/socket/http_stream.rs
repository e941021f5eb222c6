//! A response that is read as it comes: an event stream, for the command line.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, body::Incoming, client::conn::http1, http::response::Parts};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    socket::client::{SocketError, reach, secured},
    tls::Trust,
};

/// The body of a response, on a connection of its own.
#[derive(Debug)]
pub struct HttpStream {
    body: Incoming,
}

impl HttpStream {
    /// Makes a request at one of the addresses of `host`, over TLS where authorities are named.
    ///
    /// # Errors
    /// See [`SocketError`].
    pub async fn open(
        addresses: &[SocketAddr],
        host: &str,
        request: Request<Empty<Bytes>>,
        trust: Option<&Trust>,
    ) -> Result<(Parts, Self), SocketError> {
        let stream = reach(addresses, host).await?;
        match trust {
            None => Self::over(stream, request).await,
            Some(trust) => Self::over(secured(stream, host, trust).await?, request).await,
        }
    }

    async fn over<S>(stream: S, request: Request<Empty<Bytes>>) -> Result<(Parts, Self), SocketError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // It ends with the body, which tells of any error.
        tokio::spawn(async move { drop(connection.await) });
        let (head, body) = sender.send_request(request).await?.into_parts();
        Ok((head, Self { body }))
    }

    /// The next bytes; none at the end. Cancel-safe.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn next(&mut self) -> Result<Option<Bytes>, SocketError> {
        while let Some(frame) = self.body.frame().await {
            if let Ok(data) = frame?.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }
}
