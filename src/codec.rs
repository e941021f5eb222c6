//! Frames to bytes and back, in each encoding; events are encoded once for all
//! their receivers. Free of I/O.

mod bad_frame;
mod binary;
mod cloud_event;
mod event_format;
mod event_messages;
mod event_stream;
mod json;
mod replay_of;

use std::{
    ops::{Index, IndexMut},
    slice,
    sync::Arc,
};

use crate::{
    encoded_message::EncodedMessage,
    event::Message,
    framing::{Framing, MessageKind},
    proto::{ClientFrame, InvalidFrame, Replay, ServerFrame, StreamCursor, server_frame::Body},
};

pub use bad_frame::BadFrame;
pub use event_format::{EventFormat, UnknownFormat};
pub use event_messages::with_positions;
pub use replay_of::ReplayOf;

/// The encoding of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// `notifier.v1.json`: text, one JSON object per line.
    Json,
    /// `notifier.v1.proto`: binary, one `ClientBatch` or `ServerBatch`.
    Proto,
    /// An event stream, in one of its forms.
    EventStream(EventFormat),
}

impl Encoding {
    /// The number of encodings.
    pub(crate) const COUNT: usize = 2 + EventFormat::COUNT;

    /// The encodings that a WebSocket's subprotocol names, the preferred one first.
    pub const OFFERED: [Self; 2] = [Self::Proto, Self::Json];

    /// The name of the frames' encoding in `Sec-WebSocket-Protocol`.
    pub const fn subprotocol(self) -> &'static str {
        match self {
            Self::Json | Self::EventStream(_) => "notifier.v1.json",
            Self::Proto => "notifier.v1.proto",
        }
    }

    /// The kind of WebSocket messages in this encoding.
    pub const fn kind(self) -> MessageKind {
        match self {
            Self::Json | Self::EventStream(_) => MessageKind::Text,
            Self::Proto => MessageKind::Binary,
        }
    }

    /// The framing of messages in this encoding.
    pub const fn framing(self) -> Framing {
        match self {
            Self::Json | Self::Proto => Framing::WebSocket(self.kind()),
            Self::EventStream(format) if format.is_single() => Framing::EventMessages,
            Self::EventStream(_) => Framing::EventStream,
        }
    }

    /// Its place among all.
    const fn index(self) -> usize {
        match self {
            Self::Json => 0,
            Self::Proto => 1,
            Self::EventStream(format) => 2 + format as usize,
        }
    }

    /// Whether a message of stored events says up to where its receiver has everything:
    /// the `id` of an event stream.
    pub const fn has_ids(self) -> bool {
        matches!(self, Self::EventStream(_))
    }

    /// The form of an event stream in which each event is a message of its own.
    const fn single(self) -> Option<EventFormat> {
        match self {
            Self::EventStream(format) if format.is_single() => Some(format),
            _ => None,
        }
    }

    /// Whether a message carries an `id` for each of its events.
    pub const fn has_id_of_each_event(self) -> bool {
        self.single().is_some()
    }

    /// A frame ready to be sent.
    pub fn frame(self, frame: &ServerFrame) -> EncodedMessage {
        self.frames(slice::from_ref(frame), |out| event_stream::write_id_of(frame, out))
    }

    /// Several frames as one message, behind an `id` that `id` writes where the
    /// encoding has ids.
    pub fn frames(self, frames: &[ServerFrame], id: impl FnOnce(&mut Vec<u8>)) -> EncodedMessage {
        if self.single().is_some() {
            return event_messages::frames(frames, id);
        }
        self.led(id, |out| {
            for (index, frame) in frames.iter().enumerate() {
                match self {
                    Self::Json => {
                        if index > 0 {
                            out.push(b'\n');
                        }
                        json::write(frame, out);
                    }
                    Self::Proto => binary::write_server(frame, out),
                    Self::EventStream(_) => event_stream::write(frame, out),
                }
            }
        })
    }

    /// Events as one message, ready to be sent to all receivers.
    pub fn events(self, messages: &[Arc<Message>]) -> EncodedMessage {
        self.stored(messages, |_, _| {})
    }

    /// The same of stored events, with an `id` where the encoding has ids: `id` writes the one of somebody who has them
    /// all, or all up to the sequence of one of them.
    pub fn stored(self, messages: &[Arc<Message>], id: impl Fn(Option<u64>, &mut Vec<u8>)) -> EncodedMessage {
        if let Some(format) = self.single() {
            return event_messages::events(format, messages, true, id);
        }
        self.led(
            |out| id(None, out),
            |out| {
                for at in 0..messages.len() {
                    match self {
                        Self::Json => {
                            if at > 0 {
                                out.push(b'\n');
                            }
                            json::write_event(messages, at, out);
                        }
                        Self::Proto => binary::write_event(messages, at, out),
                        Self::EventStream(_) => event_stream::write_event(messages, at, out),
                    }
                }
            },
        )
        .carrying(messages.len())
    }

    fn led(self, id: impl FnOnce(&mut Vec<u8>), fill: impl FnOnce(&mut Vec<u8>)) -> EncodedMessage {
        let lead = |out: &mut Vec<u8>| {
            if self.has_ids() {
                id(out)
            }
        };
        EncodedMessage::data_led(self.framing(), lead, fill)
    }

    /// Stored events for one subscription, before it is live; `id` is as
    /// [`stored`](Self::stored) has it.
    pub fn replay(
        self,
        replay: &ReplayOf<'_>,
        messages: &[Arc<Message>],
        id: impl Fn(Option<u64>, &mut Vec<u8>),
    ) -> EncodedMessage {
        if let Some(format) = self.single() {
            // Newest values are a state: which of them were published together says nothing.
            return event_messages::events(format, messages, !replay.snapshot, id);
        }
        self.led(
            |out| id(None, out),
            |out| match self {
                Self::Json => json::write_replay(replay, messages, out),
                Self::Proto => binary::write_replay(replay, messages, out),
                Self::EventStream(_) => event_stream::write_replay(replay, messages, out),
            },
        )
        .carrying(messages.len())
    }

    /// All values of a stream have been told to a subscription.
    pub fn complete(self, replay: &ReplayOf<'_>, stream: &str) -> EncodedMessage {
        if self.single().is_some() {
            let (subject, epoch, stream) = (replay.subject.into(), replay.epoch.into(), stream.into());
            let replay =
                Replay { subject, epoch, stream, snapshot: replay.snapshot, complete: true, events: Vec::new() };
            return self.frame(&ServerFrame { reply_to: 0, body: Some(Body::Replay(replay)) });
        }
        EncodedMessage::data(self.framing(), |out| match self {
            Self::Json => json::write_complete(replay, stream, out),
            Self::Proto => binary::write_complete(replay, stream, out),
            Self::EventStream(_) => event_stream::write_complete(replay, stream, out),
        })
    }

    /// The frames of a client's message, each one or the field that is wrong in it.
    ///
    /// # Errors
    /// When any part of the message is not a frame; no other part counts then.
    pub fn read_client(self, message: &[u8]) -> Result<Vec<Result<ClientFrame, InvalidFrame>>, BadFrame> {
        match self {
            Self::Json | Self::EventStream(_) => json::read_client(message),
            Self::Proto => Ok(binary::read_client(message)?.into_iter().map(Ok).collect()),
        }
    }

    /// The frames of a node's message; of an event stream, of its data.
    ///
    /// # Errors
    /// When any part of the message is not a frame.
    pub fn read_server(self, message: &[u8]) -> Result<Vec<ServerFrame>, BadFrame> {
        match self {
            Self::Json | Self::EventStream(_) => json::read(message),
            Self::Proto => Ok(binary::read_server(message)?),
        }
    }

    /// Appends a client's frame to a message.
    pub fn write_client(self, frame: &ClientFrame, out: &mut Vec<u8>) {
        match self {
            Self::Json | Self::EventStream(_) => {
                if !out.is_empty() {
                    out.push(b'\n');
                }
                json::write(frame, out);
            }
            Self::Proto => binary::write_client(frame, out),
        }
    }
}

/// The first message of an event stream, of which a client shows nothing: how long an
/// `EventSource` waits before it connects again, and the `id` it resumes from.
pub fn primer(format: EventFormat, retry_ms: u64, cursor: &StreamCursor) -> EncodedMessage {
    EncodedMessage::data(Encoding::EventStream(format).framing(), |out| {
        out.extend_from_slice(format!("retry: {retry_ms}\nid: {cursor}\n").as_bytes());
    })
}

/// An event stream of one frame, after which an `EventSource` comes back in so many
/// milliseconds.
pub fn ending(format: EventFormat, retry_ms: u64, frame: &ServerFrame) -> EncodedMessage {
    EncodedMessage::data(Encoding::EventStream(format).framing(), |out| {
        out.extend_from_slice(format!("retry: {retry_ms}\n").as_bytes());
        if format.is_single() { event_messages::write_named(frame, out) } else { event_stream::write(frame, out) }
    })
}

/// A value for each encoding, as a message that is encoded once for all who speak
/// the same one.
#[derive(Debug, Default)]
pub struct PerEncoding<T>([T; Encoding::COUNT]);

impl<T> PerEncoding<T> {
    /// The value of each encoding.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }
}

impl<T> Index<Encoding> for PerEncoding<T> {
    type Output = T;

    fn index(&self, encoding: Encoding) -> &T {
        &self.0[encoding.index()]
    }
}

impl<T> IndexMut<Encoding> for PerEncoding<T> {
    fn index_mut(&mut self, encoding: Encoding) -> &mut T {
        &mut self.0[encoding.index()]
    }
}

#[cfg(test)]
mod tests;
