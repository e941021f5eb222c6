//! An event stream (HTML Standard, section 9.2): each frame of `notifier.v1.json` is
//! a `data` line of its own, so the data of a joined message reads as the text of a
//! WebSocket message. A body is whole lines; the framing ends the message.

use std::sync::Arc;

use crate::{
    codec::{json, replay_of::ReplayOf},
    event::Message,
    proto::{Position, ServerFrame, StreamCursor, server_frame::Body},
};

/// Appends a frame.
pub(crate) fn write(frame: &ServerFrame, out: &mut Vec<u8>) {
    line(out, |out| json::write(frame, out));
}

/// Appends the `id` of a frame that says up to where everything has been sent.
pub(crate) fn write_id_of(frame: &ServerFrame, out: &mut Vec<u8>) {
    if let Some(Body::Ping(ping)) = &frame.body
        && !ping.positions.is_empty()
    {
        write_id(&ping.positions, out);
    }
}

/// Appends one of some events, without building the frame first.
pub(crate) fn write_event(messages: &[Arc<Message>], at: usize, out: &mut Vec<u8>) {
    line(out, |out| json::write_event(messages, at, out));
}

/// Appends stored events that come before a subscription is live.
pub(crate) fn write_replay(replay: &ReplayOf<'_>, messages: &[Arc<Message>], out: &mut Vec<u8>) {
    line(out, |out| json::write_replay(replay, messages, out));
}

/// Appends that all values of a stream have been told.
pub(crate) fn write_complete(replay: &ReplayOf<'_>, stream: &str, out: &mut Vec<u8>) {
    line(out, |out| json::write_complete(replay, stream, out));
}

/// Appends the positions to resume from as the `id`.
fn write_id(positions: &[Position], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("id: {}\n", StreamCursor(positions.to_vec())).as_bytes());
}

fn line(out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b"data: ");
    fill(out);
    out.push(b'\n');
}
