//! The JSON form of a client's frames, as they are read. Unknown fields are passed
//! over, because a newer client may send them. A field that stands one level too
//! high, or has a value of the wrong type, makes its frame invalid, and no other.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor},
};

use crate::proto::generated::{
    Cancel, ClientFrame, Connect, Fetch, Ping, Pong, Publish, Refresh, Request, Subscribe, Unsubscribe,
    client_frame::Body,
};

/// The fields of an event that clients may set. `subject` is a field of the
/// frames themselves, and `stream` and `seq` are passed over inside an event as
/// well.
const EVENT: &[&str] = &["data", "dataBase64", "id", "type", "source", "contentType", "headers", "time"];

/// The fields of a position.
const POSITION: &[&str] = &["stream", "epoch", "seq"];

/// The fields of one of `connect.subscriptions` that mean nothing in `connect`
/// itself, as `after` does. A client's name and version change nothing, wherever
/// they stand.
const SUBSCRIPTION: &[&str] = &["subject", "snapshot"];

/// Keys beside a body that are looked at: a client mistakes one or two.
const UNKNOWN: usize = 8;

/// A frame with a fault in one field. Its other fields count for nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct InvalidFrame {
    /// The frame's correlation number.
    pub id: u64,
    fault: FieldFault,
}

/// The fault of a field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum FieldFault {
    /// The field stands one level too high, where it says nothing.
    #[error("`{field}` stands {place} `{body}`, where it would be passed over; put it inside `{inside}`")]
    Misplaced { field: &'static str, place: &'static str, body: &'static str, inside: Inside },
    /// The value is none of those that the field may have.
    #[error("`{path}`: {problem}")]
    Value { path: String, problem: String },
}

/// Where a field belongs: a body, or a field of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Inside {
    body: &'static str,
    field: &'static str,
}

impl fmt::Display for Inside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { body, field } = self;
        if field.is_empty() { f.write_str(body) } else { write!(f, "{body}.{field}") }
    }
}

/// A frame as it came.
#[derive(Debug)]
struct ReadFrame(Result<ClientFrame, InvalidFrame>);

/// The number of a frame, whatever else is wrong with it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct FrameId {
    id: u64,
}

/// Reads one line.
///
/// # Errors
/// When the line is not a JSON object.
pub(crate) fn read_frame(line: &[u8]) -> Result<Result<ClientFrame, InvalidFrame>, serde_json::Error> {
    let error = match serde_json::from_slice(line) {
        Ok(ReadFrame(frame)) => return Ok(frame),
        Err(error) => error,
    };
    // From here on nothing is fast: clients that are right never come here.
    let is_object = line.trim_ascii_start().starts_with(b"{") && serde_json::from_slice::<IgnoredAny>(line).is_ok();
    if !is_object {
        return Err(error);
    }
    let id = serde_json::from_slice(line).map_or(0, |FrameId { id }| id);
    let read = serde_path_to_error::deserialize::<_, ReadFrame>(&mut serde_json::Deserializer::from_slice(line));
    let path = read.err().map_or_else(String::new, |error| error.path().to_string());
    // The place in the line says nothing more than the path.
    let text = error.to_string();
    let problem = text.rsplit_once(" at line ").map_or(&*text, |(problem, _)| problem).to_owned();
    Ok(Err(InvalidFrame { id, fault: FieldFault::Value { path, problem } }))
}

/// A body in JSON.
trait JsonBody: Default + Into<Body> {
    /// The key that names it.
    const KEY: &'static str;
    /// Its fields.
    const FIELDS: &'static [&'static str];
    /// The field that has others inside, and their names; empty for none.
    const DEEPER: (&'static str, &'static [&'static str]);

    /// Reads the value of one of [`FIELDS`](Self::FIELDS).
    fn read<'de, M: MapAccess<'de>>(&mut self, field: usize, map: &mut M) -> Result<(), M::Error>;
}

/// The meaning of a key in a body.
enum BodyKey {
    Field(usize),
    Deeper(&'static str),
    Unknown,
}

/// Tells what a key is, without keeping it.
struct KeyOf<T>(PhantomData<T>);

impl<'de, T: JsonBody> DeserializeSeed<'de> for KeyOf<T> {
    type Value = BodyKey;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<BodyKey, D::Error> {
        from.deserialize_identifier(self)
    }
}

impl<T: JsonBody> Visitor<'_> for KeyOf<T> {
    type Value = BodyKey;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E>(self, key: &str) -> Result<BodyKey, E> {
        let deeper = || T::DEEPER.1.iter().find(|name| **name == key);
        Ok(match T::FIELDS.iter().position(|name| *name == key) {
            Some(field) => BodyKey::Field(field),
            None => deeper().map_or(BodyKey::Unknown, |name| BodyKey::Deeper(name)),
        })
    }
}

/// A body, and the first field that stands in it one level too high.
struct BodyIn<T>(PhantomData<T>);

impl<'de, T: JsonBody> DeserializeSeed<'de> for BodyIn<T> {
    type Value = (T, Option<&'static str>);

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de, T: JsonBody> Visitor<'de> for BodyIn<T> {
    type Value = (T, Option<&'static str>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: a JSON object", T::KEY)
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let (mut body, mut misplaced, mut read) = (T::default(), None, 0_u32);
        while let Some(key) = map.next_key_seed(KeyOf::<T>(PhantomData))? {
            match key {
                BodyKey::Field(field) if read & (1 << field) != 0 => {
                    return Err(M::Error::duplicate_field(T::FIELDS[field]));
                }
                BodyKey::Field(field) => {
                    read |= 1 << field;
                    body.read(field, &mut map)?;
                }
                BodyKey::Deeper(name) => {
                    misplaced = misplaced.or(Some(name));
                    map.next_value::<IgnoredAny>()?;
                }
                BodyKey::Unknown => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok((body, misplaced))
    }
}

/// The frame while it is read.
#[derive(Default)]
struct FrameReader {
    frame: ClientFrame,
    misplaced: Option<FieldFault>,
}

impl FrameReader {
    fn body<'de, T: JsonBody, M: MapAccess<'de>>(&mut self, map: &mut M) -> Result<(), M::Error> {
        let (body, misplaced) = map.next_value_seed(BodyIn::<T>(PhantomData))?;
        if self.frame.body.replace(body.into()).is_some() {
            return Err(M::Error::custom("a frame has one body; send two frames on two lines"));
        }
        self.misplaced = misplaced.map(|field| FieldFault::Misplaced {
            field,
            place: "directly in",
            body: T::KEY,
            inside: Inside { body: T::KEY, field: T::DEEPER.0 },
        });
        Ok(())
    }
}

/// Whether a key beside a body is a field of that body.
fn beside<T: JsonBody>(key: &str) -> Option<FieldFault> {
    let field = T::FIELDS.iter().find(|name| **name == key)?;
    let inside = Inside { body: T::KEY, field: "" };
    Some(FieldFault::Misplaced { field, place: "beside", body: T::KEY, inside })
}

macro_rules! client_frame_in_json {
    ($($type:ident = $key:literal { $($field:ident = $name:literal),* } with $inside:literal of $deeper:expr;)+) => {
        $(
            impl From<$type> for Body {
                fn from(body: $type) -> Self {
                    Self::$type(body)
                }
            }

            impl JsonBody for $type {
                const KEY: &'static str = $key;
                const FIELDS: &'static [&'static str] = &[$($name),*];
                const DEEPER: (&'static str, &'static [&'static str]) = ($inside, $deeper);

                #[allow(unused_variables, unused_mut, unused_assignments)] // a body may have no field
                fn read<'de, M: MapAccess<'de>>(&mut self, field: usize, map: &mut M) -> Result<(), M::Error> {
                    let mut at = 0;
                    $(
                        if field == at {
                            self.$field = map.next_value()?;
                            return Ok(());
                        }
                        at += 1;
                    )*
                    Ok(())
                }
            }
        )+

        impl<'de> Visitor<'de> for FrameReader {
            type Value = ReadFrame;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a frame: one JSON object on one line")
            }

            fn visit_map<M: MapAccess<'de>>(mut self, mut map: M) -> Result<ReadFrame, M::Error> {
                let mut unknown = Vec::new();
                while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
                    match key.as_ref() {
                        "id" => self.frame.id = map.next_value()?,
                        $($key => self.body::<$type, _>(&mut map)?,)+
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                            if unknown.len() < UNKNOWN {
                                unknown.push(key);
                            }
                        }
                    }
                }
                let judged = |key| match &self.frame.body {
                    $(Some(Body::$type(_)) => beside::<$type>(key),)+
                    None => None,
                };
                let misplaced = self.misplaced.or_else(|| unknown.iter().find_map(|key| judged(key.as_ref())));
                let id = self.frame.id;
                Ok(ReadFrame(misplaced.map_or(Ok(self.frame), |fault| Err(InvalidFrame { id, fault }))))
            }
        }
    };
}

client_frame_in_json! {
    Connect = "connect" {
        token = "token", client = "client", subscriptions = "subscriptions", after = "after", replaces = "replaces"
    } with "subscriptions" of SUBSCRIPTION;
    Subscribe = "subscribe" { subject = "subject", after = "after", snapshot = "snapshot" } with "after" of POSITION;
    Unsubscribe = "unsubscribe" { subject = "subject" } with "" of &[];
    Publish = "publish" { subject = "subject", event = "event" } with "event" of EVENT;
    Request = "request" { subject = "subject", event = "event", timeout_ms = "timeoutMs" } with "event" of EVENT;
    Fetch = "fetch" { subject = "subject", after = "after", last = "last", limit = "limit" } with "after" of POSITION;
    Refresh = "refresh" { token = "token" } with "" of &[];
    Pong = "pong" {} with "" of &[];
    Ping = "ping" {} with "" of &[];
    Cancel = "cancel" { id = "id" } with "" of &[];
}

impl<'de> Deserialize<'de> for ReadFrame {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(FrameReader::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Result<ClientFrame, String>, String> {
        let frame = read_frame(line.as_bytes()).map_err(|why| why.to_string())?;
        Ok(frame.map_err(|invalid| invalid.to_string()))
    }

    #[test]
    fn a_field_one_level_too_high_is_named_with_its_place() {
        let rows = [
            (r#"{"publish":{"subject":"a","data":1}}"#, "`data` stands directly in `publish`", "`publish.event`"),
            (r#"{"publish":{"dataBase64":"","event":{"data":1}}}"#, "`dataBase64`", "`publish.event`"),
            (r#"{"id":1,"publish":{"subject":"a","event":{},"id":"o-1"}}"#, "`id` stands directly", "`publish.event`"),
            (r#"{"request":{"subject":"a","headers":{"b":"c"}}}"#, "`headers`", "`request.event`"),
            (r#"{"publish":{"subject":"a"},"event":{"data":1}}"#, "`event` stands beside `publish`", "`publish`"),
            (r#"{"timeoutMs":5,"request":{"subject":"a"}}"#, "`timeoutMs` stands beside", "`request`"),
            (r#"{"subscribe":{"subject":"a","seq":7}}"#, "`seq`", "`subscribe.after`"),
            (r#"{"fetch":{"subject":"a"},"last":true}"#, "`last` stands beside `fetch`", "`fetch`"),
            (r#"{"connect":{"subject":"a"}}"#, "`subject`", "`connect.subscriptions`"),
        ];
        for (line, field, place) in rows {
            let said = read(line).expect(line).expect_err(line);
            assert!(said.contains(field) && said.ends_with(&format!("put it inside {place}")), "{line}: {said}");
        }
    }

    #[test]
    fn what_a_newer_client_may_send_is_passed_over() {
        for line in [
            r#"{"publish":{"subject":"a","ttlMs":5,"event":{"data":1,"priority":2}},"trace":{"data":1}}"#,
            r#"{"publish":{"subject":"a","stream":"S","seq":1,"event":{"data":1}}}"#,
            r#"{"presence":{"subject":"a"},"event":{}}"#,
            r#"{"unsubscribe":{"subject":"a","data":1}}"#,
            r#"{"connect":{"name":"shop","version":"1","id":1}}"#,
            r#"{"pong":{},"data":1}"#,
            "{}",
        ] {
            assert!(read(line).expect(line).is_ok(), "{line}");
        }
    }

    #[test]
    fn a_value_of_the_wrong_type_is_named_and_concerns_its_frame_alone() {
        let rows = [
            (r#"{"id":7,"request":{"subject":"a","timeoutMs":1.5}}"#, 7, "`request.timeoutMs`"),
            (r#"{"id":7,"request":{"subject":"a","timeoutMs":-1}}"#, 7, "`request.timeoutMs`"),
            (r#"{"fetch":{"subject":"a","limit":-1},"id":7}"#, 7, "`fetch.limit`"),
            (r#"{"id":7,"publish":{"subject":"a","event":{"headers":{"n":1}}}}"#, 7, "`publish.event.headers.n`"),
            (r#"{"id":7,"publish":{"subject":"a","event":{"headers":{"n":null}}}}"#, 7, "`publish.event.headers.n`"),
            (r#"{"id":7,"publish":{"subject":"a","event":{"id":1}}}"#, 7, "`publish.event.id`"),
            (
                r#"{"id":7,"publish":{"subject":"a","event":{"time":"2026-01-01T00:00:00Z"}}}"#,
                7,
                "`publish.event.time`",
            ),
            (r#"{"id":7,"publish":{"subject":"a","event":{"data":1,"dataBase64":"AA=="}}}"#, 7, "`publish.event`"),
            (r#"{"id":7,"subscribe":{"subject":"\ud800"}}"#, 7, "`subscribe.subject`"),
            (r#"{"id":7,"subscribe":{"subject":null}}"#, 7, "`subscribe.subject`"),
            (r#"{"id":7,"subscribe":{"subject":["a"]}}"#, 7, "`subscribe.subject`"),
            (r#"{"id":7,"subscribe":"a"}"#, 7, "`subscribe`"),
            (r#"{"id":7,"subscribe":{"subject":"a","subject":"b"}}"#, 7, "duplicate field `subject`"),
            (r#"{"id":7,"subscribe":{"subject":"a"},"pong":{}}"#, 7, "a frame has one body"),
            (r#"{"id":1.5,"subscribe":{"subject":"a"}}"#, 0, "`id`"),
        ];
        for (line, id, named) in rows {
            let invalid = read_frame(line.as_bytes()).expect(line).expect_err(line);
            assert_eq!(invalid.id, id, "{line}");
            assert!(invalid.to_string().contains(named), "{line}: {invalid}");
            assert!(!invalid.to_string().contains(" at line "), "{invalid}");
        }
    }

    #[test]
    fn a_line_that_is_not_an_object_is_no_frame() {
        for line in ["[]", "1", "{", r#"{"id":7,}"#, r#"{"subscribe":{"subject":"a"}"#, "{} {}", "\"a\""] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
