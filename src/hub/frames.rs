//! Frames that tell a client where it stands in a stream.

use crate::{
    clock::unix_millis,
    codec::Encoding,
    encoded_message::EncodedMessage,
    journal::{Gap, Reason},
    proto::{self, Ping, Position, ServerFrame, server_frame::Body},
};

/// Values have ended that a client was not told of, and of which the stream keeps no trace: it has to load its state again.
pub(crate) const ENDINGS_MISSED: Gap = Gap { from: 0, to: 0, reason: Reason::Expired };

/// Events of a subscription that will not come.
pub(crate) fn gap(encoding: Encoding, reply_to: u64, gap: proto::Gap) -> EncodedMessage {
    encoding.frame(&ServerFrame { reply_to, body: Some(Body::Gap(gap)) })
}

/// Everything up to these positions has been sent.
pub(crate) fn checkpoint(encoding: Encoding, positions: Vec<Position>) -> EncodedMessage {
    // The broker is there, or this would not be known.
    let ping = Ping { positions, broker: "ok".to_owned(), time: unix_millis(), ..Ping::default() };
    encoding.frame(&ServerFrame { reply_to: 0, body: Some(Body::Ping(ping)) })
}

/// A subscription has come to nothing.
pub(crate) fn refused(encoding: Encoding, reply_to: u64, error: proto::Error) -> EncodedMessage {
    encoding.frame(&ServerFrame { reply_to, body: Some(Body::Error(error)) })
}
