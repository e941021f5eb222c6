//! A client of the protocol, for the command line and for tests.

mod address;
mod error;
mod event_parser;
mod event_stream;
pub mod resume;

use std::collections::VecDeque;

use crate::{
    codec::Encoding,
    error::Code,
    proto::{ClientFrame, Connect, Pong, ServerFrame, Welcome, client_frame::Body as ClientBody, server_frame::Body},
    socket::ClientSocket,
    tls::Trust,
};
use address::NodeAddress;

pub use error::ClientError;
pub use event_stream::{EventStream, EventStreamQuery};

/// The path of the WebSocket, behind that of the node's address.
const PATH: &str = "/v1/ws";

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
        let address = NodeAddress::resolve(url).await?;
        let (subprotocol, path) = (encoding.subprotocol(), address.path(PATH));
        let NodeAddress { addresses, authority, .. } = &address;
        let socket = match address.secure {
            false => ClientSocket::connect(addresses, authority, &path, subprotocol).await?,
            true => ClientSocket::connect_tls(addresses, authority, &path, subprotocol, trust).await?,
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
