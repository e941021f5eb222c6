//! A frame for many connections.

use std::sync::OnceLock;

use crate::{
    codec::{Encoding, PerEncoding},
    encoded_message::EncodedMessage,
    proto::{ServerFrame, server_frame::Body},
};

/// A frame for many connections, encoded once for all who speak the same encoding,
/// when the first of them needs it.
pub(crate) struct SharedFrame {
    frame: ServerFrame,
    encoded: PerEncoding<OnceLock<EncodedMessage>>,
}

impl SharedFrame {
    pub(crate) fn new(body: Body) -> Self {
        Self { frame: ServerFrame { reply_to: 0, body: Some(body) }, encoded: PerEncoding::default() }
    }

    /// The message in an encoding. A `ping`, which a browser's code can see, goes
    /// together with the control frame that every peer answers by itself: one of
    /// them works for any client.
    pub(crate) fn of(&self, encoding: Encoding) -> &EncodedMessage {
        self.encoded[encoding].get_or_init(|| {
            let message = encoding.frame(&self.frame);
            let is_ping = matches!(self.frame.body, Some(Body::Ping(_)));
            match EncodedMessage::ping(encoding.framing()).filter(|_| is_ping) {
                Some(ping) => EncodedMessage::sequence([&message, &ping]),
                None => message,
            }
        })
    }
}
