//! The JSON form of what does not follow from its fields: an event, whose data
//! is embedded, and the frames, whose body is named by its key.

use std::{borrow::Cow, collections::BTreeMap, fmt, marker::PhantomData};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, IgnoredAny, MapAccess, Visitor},
    ser::SerializeMap as _,
};
use serde_json::value::RawValue;

use crate::proto::generated::{
    BatchPlace, ClientFrame, Event, ServerFrame, client_frame::Body as ClientBody, server_frame::Body as ServerBody,
};

/// For fields at their default, which are left out.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Levels of nesting that data may have to be embedded. Parsers that recurse
/// give up at some depth (System.Text.Json at 64, serde_json at 128) and would
/// lose the whole frame; up to four levels are the frame's own.
const DATA_DEPTH: usize = 60;

/// The data of an event as it can stand inside a JSON line: valid JSON on one
/// line, borrowed where nothing has to change. None when it is not JSON, when
/// it is nested too deep, or when its content type says that it is something
/// else.
///
/// Valid JSON may hold raw line feeds between tokens; they would end the line.
/// Inside a string a raw line feed is not valid, so a space says the same.
pub fn embeddable<'a>(content_type: &str, data: &'a [u8]) -> Option<Cow<'a, str>> {
    if !may_be_json(content_type) {
        return None;
    }
    let raw: &RawValue = serde_json::from_slice(data).ok()?;
    let text = raw.get();
    if is_deep(text.as_bytes()) {
        return None;
    }
    let breaks = memchr::memchr2(b'\n', b'\r', text.as_bytes()).is_some();
    Some(if breaks { Cow::Owned(text.replace(['\n', '\r'], " ")) } else { Cow::Borrowed(text) })
}

/// Whether valid JSON is nested deeper than [`DATA_DEPTH`].
fn is_deep(json: &[u8]) -> bool {
    if memchr::memchr2_iter(b'[', b'{', json).nth(DATA_DEPTH).is_none() {
        // Nearly always: so few cannot stand inside each other.
        return false;
    }
    let (mut depth, mut string, mut escaped) = (0usize, false, false);
    json.iter().any(|byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => string = !string,
            b'[' | b'{' if !string => depth += 1,
            b']' | b'}' if !string => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > DATA_DEPTH
    })
}

/// An absent content type says nothing; `text/plain` with the body `42` does.
fn may_be_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let media_type = media_type.to_ascii_lowercase();
    media_type.is_empty() || media_type == "application/json" || media_type.ends_with("+json")
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct JsonEvent<'a> {
    #[serde(skip_serializing_if = "is_default")]
    subject: Cow<'a, str>,
    #[serde(skip_serializing_if = "is_default")]
    stream: Cow<'a, str>,
    #[serde(skip_serializing_if = "is_default")]
    seq: u64,
    #[serde(skip_serializing_if = "is_default")]
    id: Cow<'a, str>,
    #[serde(skip_serializing_if = "is_default")]
    time: u64,
    #[serde(rename = "type", skip_serializing_if = "is_default")]
    kind: Cow<'a, str>,
    #[serde(skip_serializing_if = "is_default")]
    source: Cow<'a, str>,
    #[serde(skip_serializing_if = "is_default")]
    content_type: Cow<'a, str>,
    #[serde(skip_serializing_if = "is_default")]
    headers: Cow<'a, BTreeMap<String, String>>,
    #[serde(borrow, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "is_default")]
    data_base64: Cow<'a, str>,
    #[serde(skip_serializing_if = "is_default")]
    gone: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<BatchPlace>,
}

/// `"data":null` is data too; an `Option` alone would take it for none.
fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

impl Default for JsonEvent<'_> {
    fn default() -> Self {
        Self {
            subject: Cow::default(),
            stream: Cow::default(),
            seq: 0,
            id: Cow::default(),
            time: 0,
            kind: Cow::default(),
            source: Cow::default(),
            content_type: Cow::default(),
            headers: Cow::Owned(BTreeMap::new()),
            data: None,
            data_base64: Cow::default(),
            gone: Cow::default(),
            batch: None,
        }
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let data =
            embeddable(&self.content_type, &self.data).and_then(|text| RawValue::from_string(text.into_owned()).ok());
        let data_base64 = match data {
            Some(_) => Cow::default(),
            None => BASE64_STANDARD.encode(&self.data).into(),
        };
        let event = JsonEvent {
            subject: self.subject.as_str().into(),
            stream: self.stream.as_str().into(),
            seq: self.seq,
            id: self.id.as_str().into(),
            time: self.time,
            kind: self.r#type.as_str().into(),
            source: self.source.as_str().into(),
            content_type: self.content_type.as_str().into(),
            headers: Cow::Borrowed(&self.headers),
            data: data.as_deref(),
            data_base64,
            gone: self.gone.as_str().into(),
            batch: self.batch.clone(),
        };
        event.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let event = JsonEvent::deserialize(from)?;
        let data = match (event.data, event.data_base64.as_ref()) {
            (Some(_), base64) if !base64.is_empty() => {
                return Err(D::Error::custom("`data` and `dataBase64` are both there; send one"));
            }
            (Some(raw), _) => Bytes::copy_from_slice(raw.get().as_bytes()),
            (None, base64) => BASE64_STANDARD
                .decode(base64)
                .map_err(|error| D::Error::custom(format_args!("`dataBase64` is not base64: {error}")))?
                .into(),
        };
        Ok(Self {
            subject: event.subject.into_owned(),
            stream: event.stream.into_owned(),
            seq: event.seq,
            id: event.id.into_owned(),
            time: event.time,
            r#type: event.kind.into_owned(),
            source: event.source.into_owned(),
            content_type: event.content_type.into_owned(),
            headers: event.headers.into_owned(),
            data,
            gone: event.gone.into_owned(),
            batch: event.batch,
        })
    }
}

/// A frame in JSON is an object with its correlation number and one key that
/// names its body.
macro_rules! frame_in_json {
    ($frame:ident, $body:ident, $number:ident = $number_key:literal, { $($variant:ident = $key:literal,)+ }) => {
        impl Serialize for $frame {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                let mut map = to.serialize_map(None)?;
                if self.$number != 0 {
                    map.serialize_entry($number_key, &self.$number)?;
                }
                match &self.body {
                    $(Some($body::$variant(body)) => map.serialize_entry($key, body)?,)+
                    None => {}
                }
                map.end()
            }
        }
    };
}

/// Reading one passes over other keys: a newer node may send them.
macro_rules! frame_from_json {
    ($frame:ident, $body:ident, $number:ident = $number_key:literal, { $($variant:ident = $key:literal,)+ }) => {
        impl<'de> Deserialize<'de> for $frame {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                struct Frame(PhantomData<$frame>);
                impl<'de> Visitor<'de> for Frame {
                    type Value = $frame;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("a frame: one JSON object on one line")
                    }

                    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<$frame, M::Error> {
                        let mut frame = $frame::default();
                        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                            let body = match key.as_ref() {
                                $number_key => {
                                    frame.$number = map.next_value()?;
                                    continue;
                                }
                                $($key => $body::$variant(map.next_value()?),)+
                                _ => {
                                    map.next_value::<IgnoredAny>()?;
                                    continue;
                                }
                            };
                            if frame.body.replace(body).is_some() {
                                return Err(M::Error::custom("a frame has one body; send two frames on two lines"));
                            }
                        }
                        Ok(frame)
                    }
                }
                from.deserialize_map(Frame(PhantomData))
            }
        }
    };
}

// Read by `client_json`.
frame_in_json!(ClientFrame, ClientBody, id = "id", {
    Connect = "connect",
    Subscribe = "subscribe",
    Unsubscribe = "unsubscribe",
    Publish = "publish",
    Request = "request",
    Fetch = "fetch",
    Refresh = "refresh",
    Pong = "pong",
    Ping = "ping",
    Cancel = "cancel",
});

/// The same rows for both.
macro_rules! server_frame {
    ($($rows:tt)+) => {
        frame_in_json!($($rows)+);
        frame_from_json!($($rows)+);
        body_in_json!($($rows)+);
    };
}

/// The body of a frame apart from its name.
macro_rules! body_in_json {
    ($frame:ident, $body:ident, $number:ident = $number_key:literal, { $($variant:ident = $key:literal,)+ }) => {
        impl $frame {
            /// The name of the body, and the body alone in JSON.
            pub(crate) fn body_in_json(&self) -> Option<(&'static str, Vec<u8>)> {
                match self.body.as_ref()? {
                    $($body::$variant(body) => Some(($key, serde_json::to_vec(body).ok()?)),)+
                }
            }
        }
    };
}

server_frame!(ServerFrame, ServerBody, reply_to = "replyTo", {
    Event = "event",
    Welcome = "welcome",
    Subscribed = "subscribed",
    Unsubscribed = "unsubscribed",
    Replay = "replay",
    Gap = "gap",
    Ping = "ping",
    Goaway = "goaway",
    Published = "published",
    Response = "response",
    Fetched = "fetched",
    Refreshed = "refreshed",
    TokenExpiring = "tokenExpiring",
    Error = "error",
    Pong = "pong",
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_json_is_embedded() {
        let rows: &[(&str, &[u8], Option<&str>)] = &[
            ("", b"{\"a\":1}", Some("{\"a\":1}")),
            ("", b" 42\n", Some("42")),
            ("", b"{\n  \"a\":\r\n1}", Some("{   \"a\":  1}")),
            ("", b"", None),
            ("", b"hello", None),
            ("", b"{} {}", None),
            ("", b"{\"a\":1", None),
            ("", b"\"\xff\"", None),
            ("", b"\"a\nb\"", None),
            ("application/json; charset=utf-8", b"1", Some("1")),
            ("application/problem+JSON", b"1", Some("1")),
            ("text/plain", b"42", None),
        ];
        for (content_type, data, expected) in rows {
            assert_eq!(embeddable(content_type, data).as_deref(), *expected, "{data:?}");
        }
    }

    #[test]
    fn what_other_parsers_could_not_read_is_not_embedded() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let flat = format!("[{}]", vec!["{\"\\\"[[\":[]}"; 200].join(","));
        let rows = [
            (nested(DATA_DEPTH), true),
            (nested(DATA_DEPTH + 1), false),
            (nested(100_000), false),
            (flat, true),
            (format!("\"{}\"", "[".repeat(1_000)), true),
            (format!("{}1{}", "{\"a\":".repeat(61), "}".repeat(61)), false),
            // As deep as it may be, and with more beside it.
            (format!("[[],{}]", nested(DATA_DEPTH - 1)), true),
            (format!("[[],{}]", nested(DATA_DEPTH)), false),
            // A bracket in a string closes nothing.
            (format!("[[\"]]\",{}]]", nested(DATA_DEPTH - 1)), false),
        ];
        for (data, embedded) in rows {
            assert_eq!(embeddable("", data.as_bytes()).is_some(), embedded, "{}", &data[..data.len().min(80)]);
        }
    }
}
