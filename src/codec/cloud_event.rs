//! An event as a CloudEvent in the JSON format (CloudEvents 1.0.2, JSON Event Format
//! 1.0.2). Attributes that CloudEvents requires and the publisher has not given are
//! made of the event's subject and place.

use std::borrow::Cow;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{
    codec::json::write as write_json,
    event::{
        BatchMark, Message,
        cloud_event::{BATCH, BATCH_INDEX, BATCH_LAST, GONE, SEQ, STREAM, SUBJECT, is_json, is_reserved, is_text},
        headers::{TIME, rfc3339},
    },
    proto::embeddable,
};

/// The type of an event whose publisher names none.
const UNTYPED: &str = "notifier.event";

/// Characters of a subject that stand for themselves in the path of a URI reference.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Appends an event as one line, with its place in its batch.
pub(crate) fn write(message: &Message, batch: Option<(&BatchMark, bool)>, out: &mut Vec<u8>) {
    let envelope = &message.envelope;
    let subject = message.subject.as_str();
    let header = |name: &str| envelope.headers.get(name).map(String::as_str).filter(|value| !value.is_empty());
    out.extend_from_slice(b"{\"specversion\":\"1.0\"");
    let mut attribute = |name: &str, value: &str| {
        // The name is lower-case letters and digits, which need no escapes.
        out.extend_from_slice(b",\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        write_json(value, out);
    };
    attribute("id", &id(message));
    attribute("source", &or(&envelope.source, || format!("/{}", utf8_percent_encode(subject, ESCAPED))));
    attribute("type", &or(&envelope.r#type, || UNTYPED.to_owned()));
    attribute("subject", header("ce-subject").unwrap_or(subject));
    match header(TIME) {
        Some(exact) => attribute("time", exact),
        None if envelope.time == 0 => {}
        None => rfc3339(envelope.time).iter().for_each(|time| attribute("time", time)),
    }
    if !envelope.content_type.is_empty() {
        attribute("datacontenttype", &envelope.content_type);
    }
    header("ce-dataschema").iter().for_each(|schema| attribute("dataschema", schema));
    if !envelope.headers.is_empty() {
        extensions(message, &mut attribute);
    }
    attribute(SUBJECT, subject);
    if let Some(place) = message.shown_place() {
        attribute(STREAM, &place.stream);
        attribute(SEQ, &place.seq.to_string());
    }
    if let Some(gone) = message.gone {
        attribute(GONE, gone.label());
    }
    if let Some((mark, last)) = batch {
        attribute(BATCH, &mark.id);
        attribute(BATCH_INDEX, &mark.index.to_string());
        if last {
            out.extend_from_slice(format!(",\"{BATCH_LAST}\":true").as_bytes());
        }
    }
    write_data(&envelope.content_type, &envelope.data, out);
    out.push(b'}');
}

/// The publisher's identifier; of a stored event its place, which is the same in each copy; else one of this copy.
fn id(message: &Message) -> Cow<'_, str> {
    or(&message.envelope.id, || match message.shown_place() {
        // With the time, since a stream that is created again counts from 1.
        Some(place) => format!("{}/{}/{}", place.stream, place.seq, message.envelope.time),
        None => format!("{:032x}", fastrand::u128(..)),
    })
}

fn or(told: &str, made: impl FnOnce() -> String) -> Cow<'_, str> {
    if told.is_empty() { made().into() } else { told.into() }
}

/// Headers as extension attributes: those of CloudEvents first, then others under the letters and digits of their
/// names. Of two with one name the first counts.
fn extensions(message: &Message, attribute: &mut impl FnMut(&str, &str)) {
    let headers = &message.envelope.headers;
    let of_cloud_events = headers.iter().filter_map(|(name, value)| Some((name.strip_prefix("ce-")?, value)));
    let others = headers.iter().filter(|(name, _)| !name.starts_with("ce-")).map(|(name, value)| (&**name, value));
    let mut told: Vec<Cow<'_, str>> = Vec::with_capacity(headers.len());
    for (name, value) in of_cloud_events.chain(others) {
        let name = legal(name);
        if !name.is_empty() && !is_reserved(&name) && !told.contains(&name) {
            attribute(&name, value);
            told.push(name);
        }
    }
}

/// The letters and digits of a name, in lower case: all that the name of an attribute may have.
fn legal(name: &str) -> Cow<'_, str> {
    let is_legal = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit();
    if name.chars().all(is_legal) {
        return name.into();
    }
    name.to_ascii_lowercase().chars().filter(|character| is_legal(*character)).collect()
}

/// Appends the data: JSON as it is, text as a string, all else as base64.
fn write_data(content_type: &str, data: &[u8], out: &mut Vec<u8>) {
    if data.is_empty() {
        return;
    }
    if let Some(json) = embeddable(content_type, data) {
        out.extend_from_slice(b",\"data\":");
        out.extend_from_slice(json.as_bytes());
        return;
    }
    let text = Some(data).filter(|_| !is_json(content_type) && is_text(content_type));
    match text.and_then(|text| std::str::from_utf8(text).ok()) {
        Some(text) => {
            out.extend_from_slice(b",\"data\":");
            write_json(text, out);
        }
        None => {
            out.extend_from_slice(b",\"data_base64\":\"");
            // Base64 needs no escapes in JSON.
            out.extend_from_slice(BASE64_STANDARD.encode(data).as_bytes());
            out.push(b'"');
        }
    }
}

#[cfg(test)]
mod tests;
