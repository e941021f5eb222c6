//! The JSON form of a client's frames, as they are read: unknown fields are
//! passed over, because a newer client may send them. A field that stands one
//! level too high is refused instead: it would be lost without a word.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor},
};

use crate::proto::generated::{
    ClientFrame, Connect, Fetch, Pong, Publish, Refresh, Request, Subscribe, Unsubscribe, client_frame::Body,
};

/// The fields of an event that clients may set. `subject` is a field of the
/// frames themselves, and `stream` and `seq` are passed over inside an event as
/// well.
const EVENT: &[&str] = &["data", "dataBase64", "id", "type", "source", "contentType", "headers", "time"];

/// The fields of a position.
const POSITION: &[&str] = &["stream", "epoch", "seq"];

/// The fields of one of `connect.subscriptions`. A client's name and version
/// change nothing, wherever they stand.
const SUBSCRIPTION: &[&str] = &["subject", "after", "snapshot"];

/// Keys beside a body that are looked at: a client mistakes one or two.
const UNKNOWN: usize = 8;

/// A frame in which a field stands one level too high, where it says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` stands {place} `{body}`, where it would be passed over; put it inside `{inside}`")]
pub struct Misplaced {
    /// The frame's correlation number.
    pub id: u64,
    field: &'static str,
    place: &'static str,
    body: &'static str,
    inside: Inside,
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
pub(crate) struct ReadFrame(pub(crate) Result<ClientFrame, Misplaced>);

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
    misplaced: Option<Misplaced>,
}

impl FrameReader {
    fn body<'de, T: JsonBody, M: MapAccess<'de>>(&mut self, map: &mut M) -> Result<(), M::Error> {
        let (body, misplaced) = map.next_value_seed(BodyIn::<T>(PhantomData))?;
        if self.frame.body.replace(body.into()).is_some() {
            return Err(M::Error::custom("a frame has one body; send two frames on two lines"));
        }
        self.misplaced = misplaced.map(|field| Misplaced {
            id: 0,
            field,
            place: "directly in",
            body: T::KEY,
            inside: Inside { body: T::KEY, field: T::DEEPER.0 },
        });
        Ok(())
    }
}

/// Whether a key beside a body is a field of that body.
fn beside<T: JsonBody>(key: &str) -> Option<Misplaced> {
    let field = T::FIELDS.iter().find(|name| **name == key)?;
    let inside = Inside { body: T::KEY, field: "" };
    Some(Misplaced { id: 0, field, place: "beside", body: T::KEY, inside })
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
                Ok(ReadFrame(misplaced.map_or(Ok(self.frame), |misplaced| Err(Misplaced { id, ..misplaced }))))
            }
        }
    };
}

client_frame_in_json! {
    Connect = "connect" { token = "token", client = "client", subscriptions = "subscriptions" }
        with "subscriptions" of SUBSCRIPTION;
    Subscribe = "subscribe" { subject = "subject", after = "after", snapshot = "snapshot" } with "after" of POSITION;
    Unsubscribe = "unsubscribe" { subject = "subject" } with "" of &[];
    Publish = "publish" { subject = "subject", event = "event" } with "event" of EVENT;
    Request = "request" { subject = "subject", event = "event", timeout_ms = "timeoutMs" } with "event" of EVENT;
    Fetch = "fetch" { subject = "subject", after = "after", last = "last", limit = "limit" } with "after" of POSITION;
    Refresh = "refresh" { token = "token" } with "" of &[];
    Pong = "pong" {} with "" of &[];
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
        let frame: ReadFrame = serde_json::from_str(line).map_err(|why| why.to_string())?;
        Ok(frame.0.map_err(|misplaced| misplaced.to_string()))
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
            r#"{"connect":{"name":"shop","version":"1"}}"#,
            r#"{"pong":{},"data":1}"#,
            "{}",
        ] {
            assert!(read(line).expect(line).is_ok(), "{line}");
        }
    }

    #[test]
    fn a_frame_has_each_field_and_one_body_once() {
        for line in [
            r#"{"subscribe":{"subject":"a","subject":"b"}}"#,
            r#"{"subscribe":{"subject":"a"},"pong":{}}"#,
            r#"{"subscribe":"a"}"#,
            r#"[]"#,
        ] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
