//! `notifier.v1.proto`: a message is one batch; batches concatenate.

use std::sync::Arc;

use prost::{
    DecodeError, Message as _,
    encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len},
};

use crate::{
    codec::replay_of::ReplayOf,
    event::{BatchMark, Message, batch_parts::shown},
    proto::{ClientBatch, ClientFrame, Replay, ServerBatch, ServerFrame, server_frame::Body},
};

/// Field of `ClientBatch` and `ServerBatch`.
const FRAMES: u32 = 1;
/// Fields of `ServerFrame`.
const REPLY_TO: u32 = 1;
const EVENT: u32 = 2;
const REPLAY: u32 = 6;
/// Fields of `Event`; those of `Envelope` are numbered as in `Event`, so an
/// event is its subject and place, its envelope, why it is gone, and its place
/// in an atomic batch.
const SUBJECT: u32 = 1;
const STREAM: u32 = 2;
const SEQ: u32 = 3;
const GONE: u32 = 11;
const BATCH: u32 = 12;
/// Fields of `BatchPlace`.
const BATCH_ID: u32 = 1;
const BATCH_INDEX: u32 = 2;
const BATCH_LAST: u32 = 3;
/// Fields of `Replay`.
const REPLAY_SUBJECT: u32 = 1;
const REPLAY_EVENTS: u32 = 2;
const REPLAY_SNAPSHOT: u32 = 3;
const REPLAY_EPOCH: u32 = 4;

/// Appends a frame as a batch of one.
pub(crate) fn write_server(frame: &ServerFrame, out: &mut Vec<u8>) {
    prost::encoding::message::encode(FRAMES, frame, out);
}

/// Appends a frame as a batch of one.
pub(crate) fn write_client(frame: &ClientFrame, out: &mut Vec<u8>) {
    prost::encoding::message::encode(FRAMES, frame, out);
}

/// Appends one of some events as a batch of one, without building the frame first.
pub(crate) fn write_event(messages: &[Arc<Message>], at: usize, out: &mut Vec<u8>) {
    let (message, place) = (&messages[at], shown(messages, at));
    let length = event_length(message, place);
    head(FRAMES, key_len(EVENT) + encoded_len_varint(length as u64) + length, out);
    head(EVENT, length, out);
    write_event_fields(message, place, out);
}

/// Appends stored events of one subscription as a batch of one.
pub(crate) fn write_replay(replay: &ReplayOf<'_>, messages: &[Arc<Message>], out: &mut Vec<u8>) {
    let ReplayOf { reply_to, subject, snapshot, epoch } = *replay;
    let length = |(at, message): (usize, &Arc<Message>)| event_length(message, replay.place(messages, at));
    let lengths: Vec<usize> = messages.iter().enumerate().map(length).collect();
    let delimited = |length: usize| encoded_len_varint(length as u64) + length;
    let events: usize = lengths.iter().map(|length| key_len(REPLAY_EVENTS) + delimited(*length)).sum();
    let flag = if snapshot { key_len(REPLAY_SNAPSHOT) + 1 } else { 0 };
    let named = if epoch.is_empty() { 0 } else { text_length(REPLAY_EPOCH, epoch) };
    let length = key_len(REPLAY_SUBJECT) + delimited(subject.len()) + events + flag + named;
    let number = if reply_to == 0 { 0 } else { key_len(REPLY_TO) + encoded_len_varint(reply_to) };
    head(FRAMES, number + key_len(REPLAY) + delimited(length), out);
    if reply_to != 0 {
        prost::encoding::uint64::encode(REPLY_TO, &reply_to, out);
    }
    head(REPLAY, length, out);
    head(REPLAY_SUBJECT, subject.len(), out);
    out.extend_from_slice(subject.as_bytes());
    for (at, (message, length)) in messages.iter().zip(lengths).enumerate() {
        head(REPLAY_EVENTS, length, out);
        write_event_fields(message, replay.place(messages, at), out);
    }
    if snapshot {
        prost::encoding::bool::encode(REPLAY_SNAPSHOT, &true, out);
    }
    if !epoch.is_empty() {
        head(REPLAY_EPOCH, epoch.len(), out);
        out.extend_from_slice(epoch.as_bytes());
    }
}

/// Appends that all values of a stream have been told to a subscription, as a batch of one.
pub(crate) fn write_complete(replay: &ReplayOf<'_>, stream: &str, out: &mut Vec<u8>) {
    let ReplayOf { reply_to, subject, snapshot, epoch } = *replay;
    let (subject, epoch, stream) = (subject.into(), epoch.into(), stream.into());
    let replay = Replay { subject, events: Vec::new(), snapshot, epoch, complete: true, stream };
    write_server(&ServerFrame { reply_to, body: Some(Body::Replay(replay)) }, out);
}

fn head(field: u32, length: usize, out: &mut Vec<u8>) {
    encode_key(field, WireType::LengthDelimited, out);
    encode_varint(length as u64, out);
}

fn text_length(field: u32, text: &str) -> usize {
    key_len(field) + encoded_len_varint(text.len() as u64) + text.len()
}

fn batch_length((mark, last): (&BatchMark, bool)) -> usize {
    let index = key_len(BATCH_INDEX) + encoded_len_varint(mark.index.into());
    text_length(BATCH_ID, &mark.id) + index + if last { key_len(BATCH_LAST) + 1 } else { 0 }
}

fn event_length(message: &Message, batch: Option<(&BatchMark, bool)>) -> usize {
    let batch = batch.map_or(0, |place| {
        let length = batch_length(place);
        key_len(BATCH) + encoded_len_varint(length as u64) + length
    });
    let place = message
        .shown_place()
        .map_or(0, |place| text_length(STREAM, &place.stream) + key_len(SEQ) + encoded_len_varint(place.seq));
    let gone = message.gone.map_or(0, |gone| text_length(GONE, gone.label()));
    text_length(SUBJECT, message.subject.as_str()) + place + message.envelope.encoded_len() + gone + batch
}

fn write_event_fields(message: &Message, batch: Option<(&BatchMark, bool)>, out: &mut Vec<u8>) {
    text(SUBJECT, message.subject.as_str(), out);
    if let Some(place) = message.shown_place() {
        text(STREAM, &place.stream, out);
        encode_key(SEQ, WireType::Varint, out);
        encode_varint(place.seq, out);
    }
    message.envelope.encode_raw(out);
    if let Some(gone) = message.gone {
        text(GONE, gone.label(), out);
    }
    if let Some((mark, last)) = batch {
        head(BATCH, batch_length((mark, last)), out);
        text(BATCH_ID, &mark.id, out);
        prost::encoding::uint32::encode(BATCH_INDEX, &mark.index, out);
        if last {
            prost::encoding::bool::encode(BATCH_LAST, &true, out);
        }
    }
}

fn text(field: u32, text: &str, out: &mut Vec<u8>) {
    head(field, text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

pub(crate) fn read_client(message: &[u8]) -> Result<Vec<ClientFrame>, DecodeError> {
    Ok(ClientBatch::decode(message)?.frames)
}

pub(crate) fn read_server(message: &[u8]) -> Result<Vec<ServerFrame>, DecodeError> {
    Ok(ServerBatch::decode(message)?.frames)
}
