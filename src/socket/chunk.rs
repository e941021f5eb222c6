//! A WebSocket message that is ready to be sent, shared by all who get it.

use std::cell::RefCell;

use bytes::Bytes;
use fastwebsockets::{Frame, OpCode, Payload};

use crate::close::CloseReason;

/// Longest head of an unmasked frame: 2 bytes and a 64-bit length (RFC 6455 5.2).
const HEAD: usize = 10;

/// A scratch buffer grown beyond this by one large message is not kept.
const SCRATCH_KEPT: usize = 256 * 1024;

/// Whether a message is text or binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// Text, UTF-8.
    Text,
    /// Binary.
    Binary,
}

impl MessageKind {
    /// What stands between two bodies that are joined into one message.
    pub(crate) fn separator(self) -> &'static [u8] {
        match self {
            Self::Text => b"\n",
            Self::Binary => b"",
        }
    }

    fn opcode(self) -> OpCode {
        match self {
            Self::Text => OpCode::Text,
            Self::Binary => OpCode::Binary,
        }
    }
}

/// One complete WebSocket frame in shared memory. The head stands in front of
/// the body, so the usual delivery is one plain write; bodies of several data
/// chunks can also be joined under one new head.
#[derive(Clone, Debug)]
pub struct Chunk {
    framed: Bytes,
    body: u8,
    kind: Option<MessageKind>,
    events: u32,
}

impl Chunk {
    /// A data message whose body `fill` writes.
    pub fn message(kind: MessageKind, fill: impl FnOnce(&mut Vec<u8>)) -> Self {
        thread_local!(static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) });
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.clear();
            fill(scratch);
            let chunk = Self::framed(kind.opcode(), scratch, Some(kind));
            if scratch.capacity() > SCRATCH_KEPT {
                *scratch = Vec::new();
            }
            chunk
        })
    }

    /// A Ping, which every WebSocket implementation answers by itself.
    pub fn ping() -> Self {
        Self::framed(OpCode::Ping, b"", None)
    }

    /// The answer to a Ping; `payload` is at most 125 bytes, as the decoder checks.
    pub fn pong(payload: &[u8]) -> Self {
        Self::framed(OpCode::Pong, payload, None)
    }

    /// Our own Close.
    pub fn close(reason: CloseReason) -> Self {
        let mut payload = reason.code().to_be_bytes().to_vec();
        payload.extend_from_slice(reason.label().as_bytes());
        Self::framed(OpCode::Close, &payload, None)
    }

    /// The answer to the peer's Close: its own code, or none where it gave none.
    pub fn close_echo(code: Option<u16>) -> Self {
        let payload = code.map(u16::to_be_bytes);
        Self::framed(OpCode::Close, payload.as_ref().map_or(&[][..], |code| code), None)
    }

    /// Several frames as one chunk, sent in one write and never joined with
    /// others.
    pub fn sequence(chunks: &[Self]) -> Self {
        let framed: Vec<u8> = chunks.iter().flat_map(|chunk| &chunk.framed[..]).copied().collect();
        Self { framed: framed.into(), body: 0, kind: None, events: 0 }
    }

    fn framed(opcode: OpCode, body: &[u8], kind: Option<MessageKind>) -> Self {
        let mut head = [0; HEAD];
        let length = Frame::new(true, opcode, None, Payload::Borrowed(body)).fmt_head(&mut head);
        let mut framed = Vec::with_capacity(length + body.len());
        framed.extend_from_slice(&head[..length]);
        framed.extend_from_slice(body);
        // At most HEAD, so it fits.
        Self { framed: framed.into(), body: length as u8, kind, events: 0 }
    }

    /// The same, known to carry so many events, for the count of what is dropped.
    #[must_use]
    pub fn carrying(self, events: usize) -> Self {
        Self { events: u32::try_from(events).unwrap_or(u32::MAX), ..self }
    }

    /// How many events it carries.
    pub fn events(&self) -> u32 {
        self.events
    }

    /// The whole frame, ready for the socket.
    pub fn as_bytes(&self) -> &Bytes {
        &self.framed
    }

    /// The body alone.
    pub fn body(&self) -> Bytes {
        self.framed.slice(usize::from(self.body)..)
    }

    /// Bytes on the wire.
    pub fn len(&self) -> usize {
        self.framed.len()
    }

    /// Never: a frame has a head.
    pub fn is_empty(&self) -> bool {
        self.framed.is_empty()
    }

    /// Text or binary; none for a control frame, which is never joined.
    pub fn kind(&self) -> Option<MessageKind> {
        self.kind
    }
}

/// The head of an unmasked data frame with a body of `length` bytes that the
/// caller sends behind it.
pub fn frame_head(kind: MessageKind, length: usize) -> Bytes {
    let first = 0x80 | kind.opcode() as u8;
    let mut head = Vec::with_capacity(HEAD);
    head.push(first);
    match length {
        0..=125 => head.push(length as u8),
        126..=0xffff => {
            head.push(126);
            head.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            head.push(127);
            head.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    head.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_computed_head_equals_that_of_a_framed_chunk() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 100_000] {
            for kind in [MessageKind::Text, MessageKind::Binary] {
                let chunk = Chunk::message(kind, |body| body.resize(length, b'x'));
                let head = frame_head(kind, length);
                assert_eq!(chunk.as_bytes()[..head.len()], head[..], "{length}");
                assert_eq!(chunk.body().len(), length);
            }
        }
    }

    #[test]
    fn a_close_frame_carries_code_and_name() {
        let chunk = Chunk::close(CloseReason::Draining);
        assert_eq!(&chunk.body()[..2], 4001u16.to_be_bytes());
        assert_eq!(&chunk.body()[2..], b"draining");
        assert!(Chunk::close_echo(None).body().is_empty());
    }
}
