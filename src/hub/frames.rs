//! Frames that tell a client where it stands in a stream.

use crate::{
    codec::Encoding,
    journal::Gap,
    proto::{self, Ping, Position, ServerFrame, Subscribed, server_frame::Body},
    socket::Chunk,
    subject::Pattern,
};

/// A subscription is live from here on.
pub(crate) fn subscribed(encoding: Encoding, reply_to: u64, subscribed: Subscribed) -> Chunk {
    encoding.frame(&ServerFrame { reply_to, body: Some(Body::Subscribed(subscribed)) })
}

/// Events of a subscription that will not come.
pub(crate) fn gap(encoding: Encoding, pattern: &Pattern, stream: &str, gap: Gap) -> Chunk {
    encoding.frame(&ServerFrame { reply_to: 0, body: Some(Body::Gap(gap.to_frame(pattern, stream))) })
}

/// Everything up to these positions has been sent.
pub(crate) fn checkpoint(encoding: Encoding, positions: Vec<Position>) -> Chunk {
    // The broker is there, or this would not be known.
    let ping = Ping { positions, broker: "ok".to_owned() };
    encoding.frame(&ServerFrame { reply_to: 0, body: Some(Body::Ping(ping)) })
}

/// A subscription has come to nothing.
pub(crate) fn refused(encoding: Encoding, reply_to: u64, error: proto::Error) -> Chunk {
    encoding.frame(&ServerFrame { reply_to, body: Some(Body::Error(error)) })
}
