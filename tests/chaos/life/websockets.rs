//! A connection that is a WebSocket.

use std::convert::Infallible;

use notifier::{
    codec::Encoding,
    proto::{ClientFrame, Pong, client_frame::Body as ClientBody, server_frame::Body},
    socket::{ClientSocket, SocketError},
};
use tokio::time::timeout;

use super::{BROKEN, CHANGED, CONNECT_TIME, Life, NO_CONNECTION, SILENCE};

impl Life {
    pub(super) async fn websocket(&mut self, node: usize, encoding: Encoding) -> Result<Infallible, String> {
        let address = self.nodes[node];
        let authority = address.to_string();
        let addresses = [address];
        let opening = ClientSocket::connect(&addresses, &authority, "/v1/ws", encoding.subprotocol());
        let opened = timeout(CONNECT_TIME, opening).await.map_err(|_| "no upgrade in time")?;
        let mut socket = opened.map_err(reason)?;
        let connect = ClientBody::Connect(self.state().connect());
        send(&mut socket, encoding, connect).await?;
        loop {
            let message = self.attend(SILENCE, async { socket.receive().await.map_err(reason) }).await?;
            for frame in encoding.read_server(&message).expect("frames of the protocol") {
                let pinged = matches!(frame.body, Some(Body::Ping(_)));
                if let Some(end) = self.state().take(node, frame) {
                    return Err(end);
                }
                if pinged {
                    send(&mut socket, encoding, ClientBody::Pong(Pong::default())).await?;
                }
            }
            if self.state().wants_to_change() {
                return Err(CHANGED.into());
            }
        }
    }
}

async fn send(socket: &mut ClientSocket, encoding: Encoding, body: ClientBody) -> Result<(), String> {
    let mut message = Vec::new();
    encoding.write_client(&ClientFrame { id: 0, body: Some(body) }, &mut message);
    socket.send(encoding.kind(), &message).await.map_err(reason)
}

/// In few words, so that equal ends count as equal.
fn reason(error: SocketError) -> String {
    match error {
        SocketError::Closed { code, reason } => format!("closed {code} {reason}"),
        SocketError::Connect { .. } => NO_CONNECTION.into(),
        SocketError::WebSocket(_) => BROKEN.into(),
        other => other.to_string(),
    }
}
