//! Frames to bytes and back, in both encodings; events are encoded once for
//! all who receive them. Free of I/O.

mod bad_frame;
mod binary;
mod json;

use std::sync::Arc;

use crate::{
    event::Message,
    proto::{ClientFrame, Misplaced, ReadFrame, ServerFrame},
    socket::{Chunk, MessageKind},
};

pub use bad_frame::BadFrame;

/// How frames are written. Each is a WebSocket subprotocol of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// `notifier.v1.json`: text, one JSON object per line.
    Json,
    /// `notifier.v1.proto`: binary, one `ClientBatch` or `ServerBatch`.
    Proto,
}

impl Encoding {
    /// Both, the preferred one first.
    pub const ALL: [Self; 2] = [Self::Proto, Self::Json];

    /// The name in `Sec-WebSocket-Protocol`.
    pub const fn subprotocol(self) -> &'static str {
        match self {
            Self::Json => "notifier.v1.json",
            Self::Proto => "notifier.v1.proto",
        }
    }

    /// Text or binary messages.
    pub const fn kind(self) -> MessageKind {
        match self {
            Self::Json => MessageKind::Text,
            Self::Proto => MessageKind::Binary,
        }
    }

    /// A frame ready to be sent.
    pub fn frame(self, frame: &ServerFrame) -> Chunk {
        Chunk::message(self.kind(), |out| match self {
            Self::Json => json::write(frame, out),
            Self::Proto => binary::write_server(frame, out),
        })
    }

    /// Events as one message, ready to be sent to everyone.
    pub fn events(self, messages: &[Arc<Message>]) -> Chunk {
        Chunk::message(self.kind(), |out| {
            for (index, message) in messages.iter().enumerate() {
                match self {
                    Self::Json => {
                        if index > 0 {
                            out.push(b'\n');
                        }
                        json::write_event(message, out);
                    }
                    Self::Proto => binary::write_event(message, out),
                }
            }
        })
        .carrying(messages.len())
    }

    /// Stored events for one subscription, before it is live.
    pub fn replay(self, subject: &str, messages: &[Arc<Message>], snapshot: bool) -> Chunk {
        Chunk::message(self.kind(), |out| match self {
            Self::Json => json::write_replay(subject, messages, snapshot, out),
            Self::Proto => binary::write_replay(subject, messages, snapshot, out),
        })
        .carrying(messages.len())
    }

    /// The frames of a client's message, each as it is or what is wrong with it.
    ///
    /// # Errors
    /// When any part of it is no frame; none of it counts then.
    pub fn read_client(self, message: &[u8]) -> Result<Vec<Result<ClientFrame, Misplaced>>, BadFrame> {
        match self {
            Self::Json => Ok(json::read(message)?.into_iter().map(|ReadFrame(read)| read).collect()),
            Self::Proto => Ok(binary::read_client(message)?.into_iter().map(Ok).collect()),
        }
    }

    /// The frames of a node's message.
    ///
    /// # Errors
    /// When any part of it is no frame.
    pub fn read_server(self, message: &[u8]) -> Result<Vec<ServerFrame>, BadFrame> {
        match self {
            Self::Json => json::read(message),
            Self::Proto => Ok(binary::read_server(message)?),
        }
    }

    /// Appends a client's frame to a message.
    pub fn write_client(self, frame: &ClientFrame, out: &mut Vec<u8>) {
        match self {
            Self::Json => {
                if !out.is_empty() {
                    out.push(b'\n');
                }
                json::write(frame, out);
            }
            Self::Proto => binary::write_client(frame, out),
        }
    }
}

#[cfg(test)]
mod tests;
