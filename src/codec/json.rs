//! `notifier.v1.json`: one JSON object per line; lines joined by line feeds
//! concatenate.

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};

use crate::{
    codec::{bad_frame::BadFrame, replay_of::ReplayOf},
    event::{BatchMark, Message, batch_parts::shown},
    proto::{ClientFrame, InvalidFrame, embeddable, read_frame},
};

/// Appends a frame as one line, without the line feed.
pub(crate) fn write(frame: &(impl Serialize + ?Sized), out: &mut Vec<u8>) {
    // Writing to memory cannot fail, and all keys of frames are strings.
    let written = serde_json::to_writer(out, frame);
    debug_assert!(written.is_ok(), "{written:?}");
}

/// Appends one of some events as one line, without building the frame first.
pub(crate) fn write_event(messages: &[Arc<Message>], at: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"event\":");
    write_event_object(&messages[at], shown(messages, at), out);
    out.push(b'}');
}

/// Appends stored events of one subscription as one line.
pub(crate) fn write_replay(replay: &ReplayOf<'_>, messages: &[Arc<Message>], out: &mut Vec<u8>) {
    let ReplayOf { reply_to, subject, snapshot, epoch } = replay;
    out.push(b'{');
    if *reply_to != 0 {
        out.extend_from_slice(b"\"replyTo\":");
        write(reply_to, out);
        out.push(b',');
    }
    out.extend_from_slice(b"\"replay\":{");
    if !subject.is_empty() {
        out.extend_from_slice(b"\"subject\":");
        write(subject, out);
        out.push(b',');
    }
    out.extend_from_slice(b"\"events\":[");
    for (index, message) in messages.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_event_object(message, replay.place(messages, index), out);
    }
    out.push(b']');
    if *snapshot {
        out.extend_from_slice(b",\"snapshot\":true");
    }
    if !epoch.is_empty() {
        out.extend_from_slice(b",\"epoch\":");
        write(epoch, out);
    }
    out.extend_from_slice(b"}}");
}

/// Appends that all values of a stream have been told to a subscription, as one line.
pub(crate) fn write_complete(replay: &ReplayOf<'_>, stream: &str, out: &mut Vec<u8>) {
    write_replay(replay, &[], out);
    // The two braces that end it.
    out.truncate(out.len() - 2);
    out.extend_from_slice(b",\"complete\":true,\"stream\":");
    write(&stream, out);
    out.extend_from_slice(b"}}");
}

/// Appends the object that `event` holds, with its place in its batch.
pub(crate) fn write_event_object(message: &Message, batch: Option<(&BatchMark, bool)>, out: &mut Vec<u8>) {
    let envelope = &message.envelope;
    out.extend_from_slice(b"{\"subject\":");
    write(&message.subject.as_str(), out);
    if let Some(place) = message.shown_place() {
        out.extend_from_slice(b",\"stream\":");
        write(&*place.stream, out);
        out.extend_from_slice(b",\"seq\":");
        write(&place.seq, out);
    }
    for (key, text) in [
        (&b",\"id\":"[..], &envelope.id),
        (b",\"type\":", &envelope.r#type),
        (b",\"source\":", &envelope.source),
        (b",\"contentType\":", &envelope.content_type),
    ] {
        if !text.is_empty() {
            out.extend_from_slice(key);
            write(text, out);
        }
    }
    if envelope.time != 0 {
        out.extend_from_slice(b",\"time\":");
        write(&envelope.time, out);
    }
    if !envelope.headers.is_empty() {
        out.extend_from_slice(b",\"headers\":");
        write(&envelope.headers, out);
    }
    if let Some(gone) = message.gone {
        // A word, which needs no escapes.
        out.extend_from_slice(b",\"gone\":\"");
        out.extend_from_slice(gone.label().as_bytes());
        out.push(b'"');
    }
    if let Some((mark, last)) = batch {
        out.extend_from_slice(b",\"batch\":{\"id\":");
        write(&mark.id, out);
        out.extend_from_slice(b",\"index\":");
        write(&mark.index, out);
        out.extend_from_slice(if last { b",\"last\":true}" } else { b"}" });
    }
    match embeddable(&envelope.content_type, &envelope.data) {
        Some(text) => {
            out.extend_from_slice(b",\"data\":");
            out.extend_from_slice(text.as_bytes());
        }
        None if envelope.data.is_empty() => {}
        None => {
            out.extend_from_slice(b",\"dataBase64\":\"");
            // Base64 needs no escapes in JSON.
            out.extend_from_slice(BASE64_STANDARD.encode(&envelope.data).as_bytes());
            out.push(b'"');
        }
    }
    out.push(b'}');
}

/// Reads the lines of a node's message; empty ones are passed over.
pub(crate) fn read<'a, F: Deserialize<'a>>(message: &'a [u8]) -> Result<Vec<F>, BadFrame> {
    lines(message, |line| serde_json::from_slice(line))
}

/// Reads the lines of a client's message; empty ones are passed over.
pub(crate) fn read_client(message: &[u8]) -> Result<Vec<Result<ClientFrame, InvalidFrame>>, BadFrame> {
    lines(message, read_frame)
}

fn lines<'a, F>(
    message: &'a [u8],
    read: impl Fn(&'a [u8]) -> Result<F, serde_json::Error>,
) -> Result<Vec<F>, BadFrame> {
    message
        .split(|byte| *byte == b'\n')
        .enumerate()
        .filter(|(_, line)| !line.trim_ascii().is_empty())
        .map(|(index, line)| read(line).map_err(|source| BadFrame::Json { line: index + 1, source }))
        .collect()
}
