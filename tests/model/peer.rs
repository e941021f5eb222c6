//! The other end of a connection: reads bytes, a few at a time, and takes them apart.

use std::{collections::VecDeque, sync::Arc};

use notifier::{codec::Encoding, proto::server_frame::Body, socket::Pipe};

use crate::explore::any;

/// The most that it reads at once.
const READ: usize = 200;

/// What comes.
#[derive(Debug, PartialEq)]
pub(crate) enum Message {
    Text(Vec<u8>),
    Ping,
    Close(u16),
}

/// Reads one connection.
pub(crate) struct Peer {
    pipe: Arc<Pipe>,
    bytes: Vec<u8>,
    frames: VecDeque<Body>,
}

impl Peer {
    pub(crate) fn new(pipe: Arc<Pipe>) -> Self {
        Self { pipe, bytes: Vec::new(), frames: VecDeque::new() }
    }

    /// The connection, for who breaks it.
    pub(crate) fn pipe(&self) -> Arc<Pipe> {
        self.pipe.clone()
    }

    /// The next message; nothing at the end.
    pub(crate) async fn message(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = self.take() {
                return Some(message);
            }
            let read = self.pipe.read(1 + any(READ)).await;
            if read.is_empty() {
                return None;
            }
            self.bytes.extend(read);
        }
    }

    /// The next frame of the protocol; nothing at the end.
    pub(crate) async fn frame(&mut self) -> Option<Body> {
        while self.frames.is_empty() {
            match self.message().await? {
                Message::Text(text) => {
                    let frames = Encoding::Json.read_server(&text).expect("frames");
                    self.frames.extend(frames.into_iter().map(|frame| frame.body.expect("a body")));
                }
                Message::Ping => {}
                Message::Close(_) => assert_eq!(self.message().await, None, "behind the Close"),
            }
        }
        self.frames.pop_front()
    }

    /// The next frame of the protocol; there has to be one.
    pub(crate) async fn next(&mut self) -> Body {
        self.frame().await.expect("it goes on")
    }

    /// Whether it ends in the middle of a message.
    pub(crate) fn is_torn(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// One unmasked WebSocket frame, once it is there.
    fn take(&mut self) -> Option<Message> {
        let (head, length) = match *self.bytes.get(1)? {
            126 => (4, usize::from(u16::from_be_bytes([*self.bytes.get(2)?, *self.bytes.get(3)?]))),
            127 => panic!("a frame that nobody sends here"),
            short => (2, usize::from(short)),
        };
        if self.bytes.len() < head + length {
            return None;
        }
        let frame: Vec<u8> = self.bytes.drain(..head + length).collect();
        let body = &frame[head..];
        Some(match frame[0] {
            0x81 => Message::Text(body.to_vec()),
            0x88 => Message::Close(u16::from_be_bytes([body[0], body[1]])),
            0x89 => Message::Ping,
            other => panic!("no frame begins with {other:#x}"),
        })
    }
}
