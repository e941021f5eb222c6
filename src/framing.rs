//! Framings delimit messages on a connection: WebSocket messages (RFC 6455) and
//! the messages of an event stream (HTML Standard, section 9.2). Free of I/O and
//! of the frames' meaning. `fastwebsockets` writes the heads of WebSocket frames.

use bytes::Bytes;
use fastwebsockets::{Frame, OpCode, Payload};

/// Longest head of an unmasked frame: 2 bytes and a 64-bit length (RFC 6455 5.2).
pub(crate) const HEAD: usize = 10;

/// Longest body that joined messages have: a batch of 64 KiB and its separators.
pub(crate) const JOINED_BYTES: usize = 65 * 1024;

/// A head is made for a payload, of which it depends on the length alone; bodies
/// that are joined are never in one piece.
static PAYLOAD: [u8; JOINED_BYTES] = [0; JOINED_BYTES];

/// The kind of a WebSocket message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// Text, UTF-8.
    Text,
    /// Binary.
    Binary,
}

/// The framing of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// WebSocket messages of one kind.
    WebSocket(MessageKind),
    /// Messages of an event stream. A body is whole lines, each with its line
    /// feed; an empty line ends the message.
    EventStream,
    /// The same, and bodies that leave together stay messages of their own.
    EventMessages,
}

impl Framing {
    /// Whether a peer that lives answers pings. The reader of an event stream
    /// cannot: only its TCP connection shows that it is there.
    pub fn answers_pings(self) -> bool {
        matches!(self, Self::WebSocket(_))
    }

    /// The head of a data message with a body of `length` bytes, at most
    /// [`JOINED_BYTES`], which the caller sends behind it.
    pub(crate) fn head(self, length: usize) -> Bytes {
        let mut head = [0; HEAD];
        let bytes = self.write_head(&PAYLOAD[..length], &mut head);
        Bytes::copy_from_slice(&head[..bytes])
    }

    /// The bytes between two bodies that are joined into one message.
    pub(crate) fn separator(self) -> &'static [u8] {
        match self {
            Self::WebSocket(MessageKind::Text) | Self::EventMessages => b"\n",
            Self::WebSocket(MessageKind::Binary) | Self::EventStream => b"",
        }
    }

    /// The bytes behind the body of a data message.
    pub(crate) fn tail(self) -> &'static [u8] {
        match self {
            Self::WebSocket(_) => b"",
            Self::EventStream | Self::EventMessages => b"\n",
        }
    }

    /// Writes the head of a data message; returns its length.
    pub(crate) fn write_head(self, body: &[u8], head: &mut [u8; HEAD]) -> usize {
        match self {
            Self::WebSocket(kind) => write_head(kind.opcode(), body, head),
            Self::EventStream | Self::EventMessages => 0,
        }
    }
}

impl MessageKind {
    fn opcode(self) -> OpCode {
        match self {
            Self::Text => OpCode::Text,
            Self::Binary => OpCode::Binary,
        }
    }
}

/// Writes the head of an unmasked WebSocket frame; returns its length.
pub(crate) fn write_head(opcode: OpCode, body: &[u8], head: &mut [u8; HEAD]) -> usize {
    Frame::new(true, opcode, None, Payload::Borrowed(body)).fmt_head(head)
}
