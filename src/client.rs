//! A client of the protocol, for the command line and for tests.

pub mod resume;

use std::{collections::VecDeque, io, net::SocketAddr, path::PathBuf};

use hyper::Uri;

use crate::{
    codec::{BadFrame, Encoding},
    dial::resolve_host,
    error::Code,
    proto::{ClientFrame, Connect, Pong, ServerFrame, Welcome, client_frame::Body as ClientBody, server_frame::Body},
    socket::{ClientSocket, SocketError},
    tls::Trust,
};

/// The path of the WebSocket, behind that of the node's address.
const PATH: &str = "/v1/ws";

/// Why a client gives up.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The text is not the address of a node.
    #[error(
        "`{0}` is no address of a node; write it as ws://host:8080, wss://host or, with server.path_prefix, wss://host/notifier"
    )]
    Address(String),
    /// The host's name is not known.
    #[error("cannot find {host}: {source}")]
    Resolve {
        /// The host.
        host: String,
        /// The system's error.
        source: io::Error,
    },
    /// The file with the token cannot be read.
    #[error("cannot read the token from {}: {source}", path.display())]
    Token {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The connection failed or was closed.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The node sent bytes that are not a frame.
    #[error("the node sent what is no frame: {0}")]
    Frame(#[from] BadFrame),
    /// The node refused.
    #[error("refused: {code}: {message}")]
    Refused {
        /// The error code.
        code: String,
        /// The node's message.
        message: String,
    },
}

/// A connection to a node.
pub struct Client {
    socket: ClientSocket,
    encoding: Encoding,
    received: VecDeque<ServerFrame>,
}

impl Client {
    /// Connects and says `connect`; `wss` trusts the system's authorities.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn connect(url: &str, encoding: Encoding, connect: Connect) -> Result<(Self, Welcome), ClientError> {
        Self::connect_trusting(url, encoding, connect, &Trust::System).await
    }

    /// The same with authorities of one's own.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn connect_trusting(
        url: &str,
        encoding: Encoding,
        connect: Connect,
        trust: &Trust,
    ) -> Result<(Self, Welcome), ClientError> {
        let (addresses, authority, path, secure) = resolve(url).await?;
        let subprotocol = encoding.subprotocol();
        let socket = match secure {
            false => ClientSocket::connect(&addresses, &authority, &path, subprotocol).await?,
            true => ClientSocket::connect_tls(&addresses, &authority, &path, subprotocol, trust).await?,
        };
        let mut client = Self { socket, encoding, received: VecDeque::new() };
        client.send(ClientFrame { id: 0, body: Some(ClientBody::Connect(connect)) }).await?;
        loop {
            if let Some(Body::Welcome(welcome)) = client.next().await?.body {
                return Ok((client, welcome));
            }
        }
    }

    /// Sends one frame.
    ///
    /// # Errors
    /// When the connection is broken.
    pub async fn send(&mut self, frame: ClientFrame) -> Result<(), ClientError> {
        let mut message = Vec::new();
        self.encoding.write_client(&frame, &mut message);
        Ok(self.socket.send(self.encoding.kind(), &message).await?)
    }

    /// Waits for the next frame; pings are answered, and returned only where
    /// they say how far everything has been sent. An unasked `error`, which
    /// tells why the node is about to close, is returned as the error it is; one
    /// that only speaks of a subscription of which nothing comes now is a frame.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn next(&mut self) -> Result<ServerFrame, ClientError> {
        loop {
            match self.received.pop_front() {
                None => {
                    let message = self.socket.receive().await?;
                    self.received.extend(self.encoding.read_server(&message)?);
                }
                Some(frame @ ServerFrame { body: Some(Body::Ping(_)), .. }) => {
                    self.send(ClientFrame { id: 0, body: Some(ClientBody::Pong(Pong::default())) }).await?;
                    if matches!(&frame.body, Some(Body::Ping(ping)) if !ping.positions.is_empty()) {
                        return Ok(frame);
                    }
                }
                Some(ServerFrame { reply_to: 0, body: Some(Body::Error(error)) })
                    if error.code != Code::BrokerRefused.label() =>
                {
                    return Err(ClientError::Refused { code: error.code, message: error.message });
                }
                Some(frame) => return Ok(frame),
            }
        }
    }

    /// Says goodbye.
    pub async fn close(self) {
        self.socket.close().await;
    }
}

/// Where a node may be, its name and the path of its WebSocket there, and whether
/// it speaks TLS.
async fn resolve(url: &str) -> Result<(Vec<SocketAddr>, String, String, bool), ClientError> {
    let wrong = || ClientError::Address(url.to_owned());
    let uri: Uri = url.parse().map_err(|_| wrong())?;
    let (authority, secure) = match (uri.scheme_str(), uri.authority()) {
        (Some("ws") | None, Some(authority)) => (authority, false),
        (Some("wss"), Some(authority)) => (authority, true),
        _ => return Err(wrong()),
    };
    let port = authority.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let host = authority.host().trim_matches(['[', ']']).to_owned();
    let addresses =
        resolve_host(&host, port).await.map_err(|source| ClientError::Resolve { host: host.clone(), source })?;
    Ok((addresses, authority.to_string(), path_of_websocket(uri.path()), secure))
}

/// The path of the WebSocket of a node that is addressed with this path: with
/// that of its `server.path_prefix`, or with the whole of it.
fn path_of_websocket(path: &str) -> String {
    let path = path.trim_end_matches('/');
    format!("{}{PATH}", path.strip_suffix(PATH).unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_addressed_with_its_prefix_or_with_the_path_of_its_websocket() {
        for path in ["", "/", "/v1/ws", "/v1/ws/"] {
            assert_eq!(path_of_websocket(path), "/v1/ws");
        }
        for path in ["/notifier", "/notifier/", "/notifier/v1/ws"] {
            assert_eq!(path_of_websocket(path), "/notifier/v1/ws");
        }
    }
}
