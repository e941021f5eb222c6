//! The `id` of a message on an event stream: how far its connection is in every
//! stream that it follows, so that a client resumes from one text.

use std::sync::Arc;

use crate::{
    classes::StreamIndex,
    journal::{Cursor, Journal},
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
    let positions: Option<_> = at.into_iter().map(|(stream, cursor)| journals[stream.0].current(cursor)).collect();
    if let Some(positions) = positions {
        out.extend_from_slice(format!("id: {}\n", StreamCursor(positions)).as_bytes());
    }
}
