//! The other end of the wire: a WebSocket client, for the command line.

use std::net::SocketAddr;

use bytes::Bytes;
use fastwebsockets::{FragmentCollector, Frame, OpCode, Payload, WebSocketError, handshake};
use http_body_util::Empty;
use hyper::{Request, header, rt::Executor, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use crate::{
    dial::dial_any,
    framing::MessageKind,
    tls::{self, Trust},
};

/// Largest message taken from a node, bytes: a replay can be large.
const MESSAGE_BYTES: usize = 64 * 1024 * 1024;

/// Why a connection could not be made or ended.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// No TCP connection.
    #[error("cannot connect to {host}: {source}; is the node running there?")]
    Connect {
        /// The node, as it was asked for.
        host: String,
        /// The error of the system.
        source: std::io::Error,
    },
    /// The TLS handshake failed.
    #[error("no TLS with the node: {0}")]
    Tls(std::io::Error),
    /// Host or path are none that HTTP allows.
    #[error("cannot ask for that host and path: {0}")]
    Request(hyper::http::Error),
    /// The node refused the upgrade, or the stream broke.
    #[error("the WebSocket failed: {0}")]
    WebSocket(#[from] WebSocketError),
    /// A request without a WebSocket failed, or its answer broke off.
    #[error("the event stream failed: {0}")]
    Http(#[from] hyper::Error),
    /// The node closed the connection.
    #[error("closed by the node with code {code}: {reason}")]
    Closed {
        /// Close code; 1005 when it gave none.
        code: u16,
        /// Its reason.
        reason: String,
    },
}

/// A client's connection.
pub struct ClientSocket {
    socket: FragmentCollector<TokioIo<Upgraded>>,
}

impl ClientSocket {
    /// Connects to `path` at one of the addresses of `host`, and asks for one subprotocol.
    ///
    /// # Errors
    /// See [`SocketError`].
    pub async fn connect(
        addresses: &[SocketAddr],
        host: &str,
        path: &str,
        subprotocol: &str,
    ) -> Result<Self, SocketError> {
        Self::over(reach(addresses, host).await?, host, path, subprotocol).await
    }

    /// The same over TLS; the certificate has to be for `host`, whatever port it has.
    ///
    /// # Errors
    /// See [`SocketError`].
    pub async fn connect_tls(
        addresses: &[SocketAddr],
        host: &str,
        path: &str,
        subprotocol: &str,
        trust: &Trust,
    ) -> Result<Self, SocketError> {
        let stream = secured(reach(addresses, host).await?, host, trust).await?;
        Self::over(stream, host, path, subprotocol).await
    }

    async fn over<S>(stream: S, host: &str, path: &str, subprotocol: &str) -> Result<Self, SocketError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let request = Request::builder()
            .uri(path)
            .header(header::HOST, host)
            .header(header::UPGRADE, "websocket")
            .header(header::CONNECTION, "upgrade")
            .header(header::SEC_WEBSOCKET_KEY, handshake::generate_key())
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_PROTOCOL, subprotocol)
            .body(Empty::<Bytes>::new())
            .map_err(SocketError::Request)?;
        let (mut socket, _) = handshake::client(&OnTokio, request, stream).await?;
        socket.set_max_message_size(MESSAGE_BYTES);
        Ok(Self { socket: FragmentCollector::new(socket) })
    }

    /// Sends one message.
    ///
    /// # Errors
    /// See [`SocketError`].
    pub async fn send(&mut self, kind: MessageKind, body: &[u8]) -> Result<(), SocketError> {
        let payload = Payload::Borrowed(body);
        let frame = match kind {
            MessageKind::Text => Frame::text(payload),
            MessageKind::Binary => Frame::binary(payload),
        };
        Ok(self.socket.write_frame(frame).await?)
    }

    /// Waits for the next message; Pings are answered meanwhile. Not
    /// cancel-safe: what was read of a message would be lost.
    ///
    /// # Errors
    /// See [`SocketError`].
    pub async fn receive(&mut self) -> Result<Bytes, SocketError> {
        loop {
            let frame = self.socket.read_frame().await?;
            match frame.opcode {
                OpCode::Text | OpCode::Binary => return Ok(Bytes::from(frame.payload.to_vec())),
                OpCode::Close => return Err(closed(&frame.payload)),
                _ => {}
            }
        }
    }

    /// Closes the connection.
    pub async fn close(mut self) {
        // Whether the node still hears it makes no difference to anybody.
        let _ = self.socket.write_frame(Frame::close(1000, b"")).await;
    }
}

/// A handshake on a connection; the certificate has to be for `host`, whatever port it has.
pub(crate) async fn secured(
    stream: TcpStream,
    host: &str,
    trust: &Trust,
) -> Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static, SocketError> {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).trim_matches(['[', ']']);
    tls::connect(stream, name, trust).await.map_err(SocketError::Tls)
}

pub(crate) async fn reach(addresses: &[SocketAddr], host: &str) -> Result<TcpStream, SocketError> {
    let connect = |source| SocketError::Connect { host: host.to_owned(), source };
    let stream = dial_any(addresses).await.map_err(connect)?;
    // A frame must not wait for the answer to the one before it.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

fn closed(payload: &[u8]) -> SocketError {
    let (code, reason) = match payload {
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
        _ => (1005, &[][..]),
    };
    SocketError::Closed { code, reason: String::from_utf8_lossy(reason).into_owned() }
}

/// Runs hyper's connection task on the current runtime.
struct OnTokio;

impl<F> Executor<F> for OnTokio
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, task: F) {
        tokio::spawn(task);
    }
}
