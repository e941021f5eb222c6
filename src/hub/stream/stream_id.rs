//! The `id` of a message on an event stream: how far its connection is in every
//! stream that it follows, so that a client resumes from one text.

use std::sync::Arc;

use crate::{
    classes::StreamIndex,
    codec,
    encoded_message::EncodedMessage,
    hub::{member::Member, member_progress::OtherStreams},
    journal::{Cursor, Journal},
    outbox::Offer,
    proto::StreamCursor,
};

/// Appends the `id` line of a connection that is at these cursors. Nothing is
/// appended where one of them stands in a stream that has begun anew since: the
/// next message has an `id` that holds.
pub(crate) fn write_id(
    journals: &[Arc<Journal>],
    at: impl IntoIterator<Item = (StreamIndex, Cursor)>,
    out: &mut Vec<u8>,
) {
    if let Some(cursor) = positions(journals, at) {
        out.extend_from_slice(format!("id: {cursor}\n").as_bytes());
    }
}

/// Offers stored events of one stream to a connection that is at `at` behind them, with what it follows besides in
/// each `id`. The message is shared: it has the `id` of those who follow no other stream. `own` is kept for its memory.
pub(crate) fn offer_with_id(
    member: &Member,
    message: &EncodedMessage,
    journals: &[Arc<Journal>],
    at: (StreamIndex, Cursor),
    peers: OtherStreams<'_>,
    own: &mut Vec<u8>,
) -> Offer {
    let (encoding, outbox) = (member.encoding(), member.outbox());
    if !encoding.has_ids() || peers.is_empty() {
        return outbox.offer(message);
    }
    if encoding.has_id_of_each_event() && message.events() > 1 {
        let others = positions(journals, peers.positions());
        return outbox.offer(&codec::with_positions(message, others.as_ref()));
    }
    own.clear();
    write_id(journals, peers.and(at.0, at.1), own);
    outbox.offer_led(message, Some(own))
}

/// Positions as clients are told; none where a stream has begun anew since.
fn positions(journals: &[Arc<Journal>], at: impl IntoIterator<Item = (StreamIndex, Cursor)>) -> Option<StreamCursor> {
    let positions: Option<_> = at.into_iter().map(|(stream, cursor)| journals[stream.0].current(cursor)).collect();
    positions.map(StreamCursor)
}
