//! A client that writes frames as JSON and speaks either encoding.

use std::{collections::VecDeque, net::SocketAddr};

use notifier::{
    codec::Encoding,
    socket::{ClientSocket, SocketError},
};
use serde_json::Value;

use super::{close_of, soon};

pub struct Peer {
    socket: ClientSocket,
    encoding: Encoding,
    received: VecDeque<Value>,
}

impl Peer {
    /// Open, but `connect` not yet sent.
    pub async fn open(address: SocketAddr, encoding: Encoding) -> Self {
        let (host, addresses) = (address.to_string(), [address]);
        let socket = ClientSocket::connect(&addresses, &host, "/v1/ws", encoding.subprotocol());
        Self { socket: soon("an upgrade", socket).await.expect("an upgrade"), encoding, received: VecDeque::new() }
    }

    /// Open, and `connect` sent with these fields.
    pub async fn connect(address: SocketAddr, encoding: Encoding, connect: Value) -> Self {
        let mut peer = Self::open(address, encoding).await;
        peer.send(serde_json::json!({"id": 1, "connect": connect})).await;
        peer
    }

    pub async fn send(&mut self, frame: Value) {
        self.send_lines(&[frame.to_string()]).await;
    }

    /// Sends frames in one message.
    pub async fn send_lines(&mut self, lines: &[impl AsRef<str>]) {
        let text = lines.iter().map(AsRef::as_ref).collect::<Vec<_>>().join("\n");
        let message = match self.encoding {
            Encoding::Json | Encoding::EventStream(_) => text.into_bytes(),
            Encoding::Proto => {
                let mut message = Vec::new();
                for frame in Encoding::Json.read_client(text.as_bytes()).expect("frames") {
                    self.encoding.write_client(&frame.expect("a frame"), &mut message);
                }
                message
            }
        };
        self.socket.send(self.encoding.kind(), &message).await.expect("the node reads");
    }

    /// The next frame that is no ping.
    pub async fn next(&mut self) -> Value {
        self.next_of("a frame").await
    }

    /// The next frame that is no ping; `what` is told where it does not come.
    pub async fn next_of(&mut self, what: &str) -> Value {
        soon(what, async {
            loop {
                match self.received.pop_front() {
                    Some(frame) if frame.get("ping").is_some() => {}
                    Some(frame) => return frame,
                    None => self.receive().await.expect("an open connection"),
                }
            }
        })
        .await
    }

    /// The next frame, which has to have this body; returns the whole frame.
    pub async fn expect(&mut self, body: &str) -> Value {
        let frame = self.next().await;
        assert!(frame.get(body).is_some(), "expected {body}, got {frame}");
        frame
    }

    /// The frames up to the first one that fits, which is the last of them.
    pub async fn until(&mut self, fits: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut frames = Vec::new();
        loop {
            frames.push(self.next().await);
            if frames.last().is_some_and(&fits) {
                return frames;
            }
        }
    }

    /// Waits for the end; returns the close code and reason, and the frames before it.
    pub async fn closed(&mut self) -> (u16, String, Vec<Value>) {
        soon("a close", async {
            loop {
                if let Some((code, reason)) = close_of(self.receive().await) {
                    return (code, reason, self.received.drain(..).collect());
                }
            }
        })
        .await
    }

    /// Reads for ever, as a client that lives does.
    pub async fn read_on(&mut self) {
        while self.receive().await.is_ok() {}
    }

    async fn receive(&mut self) -> Result<(), SocketError> {
        let message = self.socket.receive().await?;
        let frames = self.encoding.read_server(&message).expect("frames");
        self.received.extend(frames.iter().map(|frame| serde_json::to_value(frame).expect("JSON")));
        Ok(())
    }
}
