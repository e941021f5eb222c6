//! CloudEvents in structured mode: the JSON object that is an event's payload becomes
//! the event's own attributes and data (CloudEvents 1.0.2, JSON Event Format 1.0.2).
//! In binary mode they are headers (`headers.rs`). Free of I/O.

use std::{borrow::Cow, collections::HashSet, fmt};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{
    event::headers::{TIME, is_media_type, read_time},
    proto::Envelope,
};

/// Media type of a payload that is a whole CloudEvent in JSON.
pub const STRUCTURED: &str = "application/cloudevents+json";

/// The version of CloudEvents that is understood.
const VERSION: &str = "1.0";

/// Attributes of one CloudEvent, so that a payload of nothing but names does not become many times its size in memory;
/// four times what `limits.event_headers` lets clients see.
const ATTRIBUTES: usize = 256;

/// Attributes by which a node says what CloudEvents have no word for: where the event was published, where it is
/// stored, and that a value has ended. In an event that is published they say nothing.
pub const SUBJECT: &str = "notifiersubject";
/// The stream.
pub const STREAM: &str = "notifierstream";
/// The sequence, as text: an integer of CloudEvents has 32 bits.
pub const SEQ: &str = "notifierseq";
/// Why a value is gone.
pub const GONE: &str = "notifiergone";
/// The identifier of the atomic batch that the event was published in.
pub const BATCH: &str = "notifierbatch";
/// The number of the event in its batch, as text.
pub const BATCH_INDEX: &str = "notifierbatchindex";
/// Whether it is the last one of its batch.
pub const BATCH_LAST: &str = "notifierbatchlast";

/// All that only nodes write.
const OF_NODES: [&str; 7] = [SUBJECT, STREAM, SEQ, GONE, BATCH, BATCH_INDEX, BATCH_LAST];

/// A payload that claims to be a CloudEvent and cannot be read as one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadCloudEvent(String);

/// The event that a CloudEvent in structured mode says; any other event as it is. Headers that the CloudEvent lacks,
/// as `traceparent`, are taken from the message, but for the attributes of another CloudEvent.
///
/// # Errors
/// When the payload cannot be read as a CloudEvent.
pub fn open(envelope: Envelope) -> Result<Envelope, BadCloudEvent> {
    if !is_structured(&envelope.content_type) {
        return Ok(envelope);
    }
    let read = serde_json::from_slice::<CloudEvent<'_>>(&envelope.data);
    let mut inner = read.map_err(|error| BadCloudEvent(error.to_string())).and_then(CloudEvent::into_envelope)?;
    for (name, value) in envelope.headers {
        if !name.starts_with("ce-") {
            inner.headers.entry(name).or_insert(value);
        }
    }
    Ok(inner)
}

/// Whether a payload of this content type is a whole CloudEvent.
pub fn is_structured(content_type: &str) -> bool {
    is_media_type(content_type, STRUCTURED)
}

/// Whether a media type is one of JSON (JSON Event Format 3.1); none stands for that too.
pub(crate) fn is_json(content_type: &str) -> bool {
    let subtype = subtype(content_type);
    content_type.trim().is_empty() || subtype == "json" || subtype.ends_with("+json")
}

/// Whether the data of a media type is text, which people read as such.
pub(crate) fn is_text(content_type: &str) -> bool {
    let subtype = subtype(content_type);
    content_type.trim_start().get(..5).is_some_and(|start| start.eq_ignore_ascii_case("text/"))
        || subtype == "xml"
        || subtype.ends_with("+xml")
}

/// Whether an attribute is no extension, or one that only nodes write.
pub(crate) fn is_reserved(name: &str) -> bool {
    const OF_CLOUD_EVENTS: [&str; 9] =
        ["specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "data"];
    OF_CLOUD_EVENTS.contains(&name) || OF_NODES.contains(&name)
}

fn subtype(content_type: &str) -> String {
    let media_type = content_type.split(';').next().unwrap_or_default();
    media_type.split_once('/').map_or("", |(_, subtype)| subtype).trim().to_ascii_lowercase()
}

/// A CloudEvent as it was written.
#[derive(Default)]
struct CloudEvent<'a> {
    attributes: Vec<(Cow<'a, str>, String)>,
    data: Option<&'a RawValue>,
    base64: Option<Cow<'a, str>>,
}

/// The value of an attribute, in the text form that CloudEvents give each type; none where it is not set.
struct AttributeValue(Option<String>);

impl CloudEvent<'_> {
    fn into_envelope(self) -> Result<Envelope, BadCloudEvent> {
        let Self { attributes, data, base64 } = self;
        let mut envelope = Envelope::default();
        let mut version = None;
        for (name, value) in attributes {
            match name.as_ref() {
                "specversion" => version = Some(value),
                "id" => envelope.id = value,
                "source" => envelope.source = value,
                "type" => envelope.r#type = value,
                "datacontenttype" => envelope.content_type = value.trim().to_owned(),
                "time" => {
                    let time = read_time(&value);
                    let Some((millis, exact)) = time else {
                        return bad(format!("`time` is {value:?}; write it as 2026-01-31T12:00:00Z (RFC 3339)"));
                    };
                    envelope.time = millis;
                    if exact {
                        envelope.headers.insert(TIME.into(), value);
                    }
                }
                "traceparent" | "tracestate" => drop(envelope.headers.insert(name.into_owned(), value)),
                name if OF_NODES.contains(&name) => {}
                _ => drop(envelope.headers.insert(format!("ce-{name}"), value)),
            }
        }
        match version.as_deref() {
            Some(VERSION) => {}
            Some(other) => return bad(format!("`specversion` is {other:?}; {VERSION} is understood")),
            None => return bad("`specversion` is missing".into()),
        }
        for (name, value) in [("id", &envelope.id), ("source", &envelope.source), ("type", &envelope.r#type)] {
            if value.is_empty() {
                return bad(format!("`{name}` is missing or empty"));
            }
        }
        envelope.data = data_of(&envelope.content_type, data, base64)?;
        Ok(envelope)
    }
}

/// The payload: JSON as it is written, the content of a string for other media types.
fn data_of(content_type: &str, data: Option<&RawValue>, base64: Option<Cow<'_, str>>) -> Result<Bytes, BadCloudEvent> {
    match (data, base64) {
        (Some(_), Some(_)) => bad("`data` and `data_base64` are both there; send one".into()),
        (None, None) => Ok(Bytes::new()),
        (None, Some(base64)) => match BASE64_STANDARD.decode(base64.as_bytes()) {
            Ok(data) => Ok(data.into()),
            Err(why) => bad(format!("`data_base64` is not base64: {why}")),
        },
        // A copy: a slice would keep the attributes alive.
        (Some(data), None) if is_json(content_type) => Ok(Bytes::copy_from_slice(data.get().as_bytes())),
        (Some(data), None) => match serde_json::from_str::<String>(data.get()) {
            Ok(text) => Ok(text.into()),
            Err(_) => bad(format!("`data` of {content_type:?} has to be a string, or `data_base64`")),
        },
    }
}

fn bad<T>(problem: String) -> Result<T, BadCloudEvent> {
    Err(BadCloudEvent(problem))
}

impl<'de> Deserialize<'de> for CloudEvent<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = CloudEvent<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a CloudEvent: one JSON object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<CloudEvent<'de>, M::Error> {
                let (mut event, mut names) = (CloudEvent::default(), HashSet::new());
                while let Some(name) = map.next_key::<Cow<'de, str>>()? {
                    if !names.insert(name.clone()) {
                        return Err(M::Error::custom(format_args!("{name:?} is there twice")));
                    }
                    if names.len() > ATTRIBUTES {
                        return Err(M::Error::custom(format_args!("there are more than {ATTRIBUTES} attributes")));
                    }
                    match name.as_ref() {
                        // `null` is data too.
                        "data" => event.data = Some(map.next_value()?),
                        "data_base64" => event.base64 = map.next_value()?,
                        _ => event.attributes.extend(attribute(name, &mut map)?),
                    }
                }
                Ok(event)
            }
        }
        from.deserialize_map(Members)
    }
}

fn attribute<'de, M: MapAccess<'de>>(
    name: Cow<'de, str>,
    map: &mut M,
) -> Result<Option<(Cow<'de, str>, String)>, M::Error> {
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
        let problem = format_args!("the attribute {name:?} has other characters than lower-case letters and digits");
        return Err(M::Error::custom(problem));
    }
    match map.next_value() {
        Ok(AttributeValue(value)) => Ok(value.map(|value| (name, value))),
        Err(why) => Err(M::Error::custom(format_args!("the attribute {name:?}: {why}"))),
    }
}

impl<'de> Deserialize<'de> for AttributeValue {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct AttributeVisitor;
        impl Visitor<'_> for AttributeVisitor {
            type Value = AttributeValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, a whole number or a boolean")
            }

            fn visit_str<E>(self, value: &str) -> Result<AttributeValue, E> {
                Ok(AttributeValue(Some(value.to_owned())))
            }

            fn visit_bool<E>(self, value: bool) -> Result<AttributeValue, E> {
                Ok(AttributeValue(Some(value.to_string())))
            }

            fn visit_i64<E>(self, value: i64) -> Result<AttributeValue, E> {
                Ok(AttributeValue(Some(value.to_string())))
            }

            fn visit_u64<E>(self, value: u64) -> Result<AttributeValue, E> {
                Ok(AttributeValue(Some(value.to_string())))
            }

            fn visit_unit<E>(self) -> Result<AttributeValue, E> {
                Ok(AttributeValue(None))
            }
        }
        from.deserialize_any(AttributeVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(payload: &str) -> Result<Envelope, String> {
        let data = Bytes::copy_from_slice(payload.as_bytes());
        let headers = [("traceparent".to_owned(), "outer".to_owned())].into();
        open(Envelope { content_type: STRUCTURED.into(), headers, data, ..Envelope::default() })
            .map_err(|why| why.to_string())
    }

    #[test]
    fn a_cloud_event_becomes_the_event_that_it_says() {
        let event = read(
            r#"{"specversion":"1.0","id":"e-1","source":"/carts","type":"shop.cart.changed","subject":"u42",
            "time":"2026-11-22T10:00:00.5Z","datacontenttype":"application/json","dataschema":null,"tenant":"blue",
            "priority":5,"urgent":true,"tracestate":"a=b","notifierseq":"7","data":{"qty": 1.50}}"#,
        );
        let headers = [
            ("ce-priority", "5"),
            ("ce-subject", "u42"),
            ("ce-tenant", "blue"),
            ("ce-urgent", "true"),
            ("traceparent", "outer"),
            ("tracestate", "a=b"),
        ];
        let expected = Envelope {
            id: "e-1".into(),
            time: 1_795_341_600_500,
            r#type: "shop.cart.changed".into(),
            source: "/carts".into(),
            content_type: "application/json".into(),
            headers: headers.map(|(name, value)| (name.into(), value.into())).into(),
            data: r#"{"qty": 1.50}"#.into(),
        };
        assert_eq!(event, Ok(expected));
    }

    #[test]
    fn data_is_json_or_the_content_of_a_string_or_base64() {
        for (rest, content_type, data) in [
            ("", "", &b""[..]),
            (r#","data":null"#, "", b"null"),
            (r#","data":"a""#, "", b"\"a\""),
            (r#","data":"a","datacontenttype":"application/vnd.x+json; v=1""#, "application/vnd.x+json; v=1", b"\"a\""),
            (r#","data":"a\n\u00fc","datacontenttype":"text/plain""#, "text/plain", "a\n\u{fc}".as_bytes()),
            (r#","data_base64":"/w==","datacontenttype":"image/png""#, "image/png", b"\xff"),
            (r#","data_base64":null,"data":1"#, "", b"1"),
        ] {
            let event = read(&format!(r#"{{"specversion":"1.0","id":"1","source":"/","type":"t"{rest}}}"#));
            let event = event.expect(rest);
            assert_eq!((event.content_type.as_str(), &event.data[..]), (content_type, data), "{rest}");
        }
    }

    #[test]
    fn a_fault_is_named() {
        let with = |rest: &str| format!(r#"{{"specversion":"1.0","id":"1","source":"/","type":"t",{rest}}}"#);
        let many: Vec<String> = (0..ATTRIBUTES).map(|number| format!("\"a{number}\":1")).collect();
        for (payload, named) in [
            ("hello".to_owned(), "line 1"),
            ("[]".into(), "one JSON object"),
            ("{}".into(), "`specversion` is missing"),
            (r#"{"specversion":"0.3","id":"1","source":"/","type":"t"}"#.into(), "`specversion` is \"0.3\"; 1.0"),
            (r#"{"specversion":"1.0","id":"","source":"/","type":"t"}"#.into(), "`id`"),
            (r#"{"specversion":"1.0","id":"1","type":"t"}"#.into(), "`source`"),
            (r#"{"specversion":"1.0","id":"1","source":"/","type":null}"#.into(), "`type`"),
            (with(r#""id":"2""#), "\"id\" is there twice"),
            (with(r#""Tenant":"a""#), "\"Tenant\""),
            (with(r#""a_b":"a""#), "\"a_b\""),
            (with(r#""tenant":{}"#), "\"tenant\""),
            (with(r#""tenant":1.5"#), "\"tenant\""),
            (with(r#""time":"yesterday""#), "`time` is \"yesterday\""),
            (with(r#""data":1,"data_base64":"AA==""#), "both"),
            (with(r#""data_base64":"?""#), "not base64"),
            (with(r#""data":{},"datacontenttype":"text/plain""#), "a string"),
            (with(&many.join(",")), "more than 256"),
        ] {
            let problem = read(&payload).expect_err(named);
            assert!(problem.contains(named), "{payload}: {problem}");
        }
    }
}
