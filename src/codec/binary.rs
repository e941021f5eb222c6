//! `notifier.v1.proto`: a message is one batch; batches concatenate.

use prost::{
    DecodeError, Message as _,
    encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len},
};

use crate::{
    broker::Message,
    proto::{ClientBatch, ClientFrame, ServerBatch, ServerFrame},
};

/// Field of `ClientBatch` and `ServerBatch`.
const FRAMES: u32 = 1;
/// Field of `ServerFrame`.
const EVENT: u32 = 2;
/// Field of `Event`; those of `Envelope` are numbered as in `Event`, so an
/// event is its subject followed by its envelope.
const SUBJECT: u32 = 1;

/// Appends a frame as a batch of one.
pub(crate) fn write_server(frame: &ServerFrame, out: &mut Vec<u8>) {
    prost::encoding::message::encode(FRAMES, frame, out);
}

/// Appends a frame as a batch of one.
pub(crate) fn write_client(frame: &ClientFrame, out: &mut Vec<u8>) {
    prost::encoding::message::encode(FRAMES, frame, out);
}

/// Appends an event as a batch of one, without building the frame first.
pub(crate) fn write_event(message: &Message, out: &mut Vec<u8>) {
    let subject = message.subject.as_str();
    let subject_length = key_len(SUBJECT) + encoded_len_varint(subject.len() as u64) + subject.len();
    let event_length = subject_length + message.envelope.encoded_len();
    let frame_length = key_len(EVENT) + encoded_len_varint(event_length as u64) + event_length;
    encode_key(FRAMES, WireType::LengthDelimited, out);
    encode_varint(frame_length as u64, out);
    encode_key(EVENT, WireType::LengthDelimited, out);
    encode_varint(event_length as u64, out);
    encode_key(SUBJECT, WireType::LengthDelimited, out);
    encode_varint(subject.len() as u64, out);
    out.extend_from_slice(subject.as_bytes());
    message.envelope.encode_raw(out);
}

pub(crate) fn read_client(message: &[u8]) -> Result<Vec<ClientFrame>, DecodeError> {
    Ok(ClientBatch::decode(message)?.frames)
}

pub(crate) fn read_server(message: &[u8]) -> Result<Vec<ServerFrame>, DecodeError> {
    Ok(ServerBatch::decode(message)?.frames)
}
