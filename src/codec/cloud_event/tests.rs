//! What a CloudEvent says survives its way: in either mode, from a service or by way of a client's publish.

use std::collections::BTreeMap;

use bytes::Bytes;
use percent_encoding::NON_ALPHANUMERIC;
use proptest::{collection::btree_map, option, prelude::*, sample::select};
use serde_json::{Map, Value, json};
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

use super::*;
use crate::{
    event::{
        Gone, Place,
        cloud_event::{STRUCTURED, open},
        headers::{HeaderReader, written},
    },
    proto::Envelope,
    subject::Subject,
};

fn told(subject: &str, place: Option<Place>, envelope: Envelope) -> Map<String, Value> {
    let message = Message { place, ..Message::new(Subject::parse(subject).expect("a subject"), envelope) };
    parsed(&message)
}

fn parsed(message: &Message) -> Map<String, Value> {
    let mut out = Vec::new();
    write(message, None, &mut out);
    assert!(!out.contains(&b'\n'), "one line");
    let Ok(Value::Object(event)) = serde_json::from_slice(&out) else {
        panic!("{}", String::from_utf8_lossy(&out));
    };
    event
}

#[test]
fn an_event_is_told_with_its_subject_and_place() {
    let headers = [
        ("ce-tenant", "blue"),
        ("ce-Odd_name", "1"),
        ("x-tenant", "a"),
        ("x-te-nant", "b"),
        ("ce-notifierseq", "0"),
        ("traceparent", "00-ab"),
    ];
    let envelope = Envelope {
        id: "m1".into(),
        time: 1_795_338_000_500,
        r#type: "shop.cart.changed".into(),
        source: "/carts".into(),
        content_type: "application/json".into(),
        headers: headers.map(|(name, value)| (name.into(), value.into())).into(),
        data: "{\"qty\": 1.50}".into(),
    };
    let place = Some(Place { stream: "SHOP".into(), seq: 1 << 40 });
    let expected = json!({
        "specversion": "1.0", "id": "m1", "source": "/carts", "type": "shop.cart.changed", "subject": "cart.u42",
        "time": "2026-11-22T09:00:00.5Z", "datacontenttype": "application/json", "tenant": "blue", "oddname": "1",
        "xtenant": "b", "traceparent": "00-ab", "notifiersubject": "cart.u42", "notifierstream": "SHOP",
        "notifierseq": "1099511627776", "data": {"qty": 1.5},
    });
    assert_eq!(Value::Object(told("cart.u42", place, envelope)), expected);
}

#[test]
fn required_attributes_that_are_not_told_are_made() {
    let event = |place| told("cart.j\u{fc} r?".split(' ').next().expect("a part"), place, Envelope::default());
    let place = Some(Place { stream: "SHOP".into(), seq: 7 });
    let stored = event(place);
    let expected = json!({
        "specversion": "1.0", "id": "SHOP/7/0", "source": "/cart.j%C3%BC", "type": "notifier.event",
        "subject": "cart.j\u{fc}", "notifiersubject": "cart.j\u{fc}", "notifierstream": "SHOP", "notifierseq": "7",
    });
    assert_eq!(Value::Object(stored), expected);
    let (one, two) = (event(None), event(None));
    assert!(one["id"] != two["id"] && one["id"].as_str().is_some_and(|id| id.len() == 32), "{one:?} {two:?}");
}

#[test]
fn the_end_of_a_value_has_no_data_and_says_why() {
    let subject = Subject::parse("price.x").expect("a subject");
    let envelope = Envelope { id: "1".into(), data: "1".into(), ..Envelope::default() };
    let event = parsed(&Message::new(subject, envelope).ended(Some(Gone::Expired)));
    assert_eq!((event.get("notifiergone"), event.get("data")), (Some(&json!("expired")), None));
}

#[test]
fn data_is_json_or_text_or_base64() {
    for (content_type, data, expected) in [
        ("", &b"{\"a\":\n1}"[..], Some(("data", json!({"a": 1})))),
        ("", b"null", Some(("data", json!(null)))),
        ("", b"hello", Some(("data_base64", json!("aGVsbG8=")))),
        ("text/plain; charset=utf-8", b"hello", Some(("data", json!("hello")))),
        ("text/plain", b"\xff", Some(("data_base64", json!("/w==")))),
        ("application/soap+xml", b"<a/>", Some(("data", json!("<a/>")))),
        ("image/png", b"hello", Some(("data_base64", json!("aGVsbG8=")))),
        // A string would be taken for JSON that is a string.
        ("text/json", b"{}", Some(("data_base64", json!("e30=")))),
        ("text/plain", b"", None),
    ] {
        let envelope =
            Envelope { content_type: content_type.into(), data: Bytes::from_static(data), ..Envelope::default() };
        let event = told("a", None, envelope);
        for name in ["data", "data_base64"] {
            let expected = expected.as_ref().filter(|(told, _)| *told == name).map(|(_, value)| value);
            assert_eq!(event.get(name), expected, "{content_type} {data:?}");
        }
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z.]{1,8}", "\\PC{1,12}"]
}

fn moment() -> impl Strategy<Value = String> {
    // From the year 1 to 9999; seconds, nanoseconds, offset in minutes.
    (-62_135_500_000..253_402_200_000_i64, prop_oneof![Just(0), 0..1_000_000_000_i64], -840..840_i32).prop_map(
        |(seconds, nanoseconds, minutes)| {
            let time = i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds);
            let offset = UtcOffset::from_whole_seconds(minutes * 60).expect("an offset");
            let time = OffsetDateTime::from_unix_timestamp_nanos(time).expect("a time").to_offset(offset);
            time.format(&Rfc3339).expect("a text")
        },
    )
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        text().prop_map(Value::from),
        Just(json!("")),
        any::<i32>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from)
    ]
}

fn data() -> impl Strategy<Value = Option<(Option<&'static str>, &'static str, Value)>> {
    let json_types =
        select(vec![None, Some("application/json"), Some("application/vnd.shop+json; v=1"), Some("text/json")]);
    let value = prop_oneof![value(), Just(json!(null)), vec_of_values(), Just(json!({"a": {"b": [1.5, "\u{fc}\n"]}}))];
    let text_types = select(vec![Some("text/plain"), Some("application/xml"), Some("application/octet-stream")]);
    let bytes = proptest::collection::vec(any::<u8>(), 0..20);
    let any_type = select(vec![None, Some("image/png"), Some("application/json"), Some("text/plain")]);
    prop_oneof![
        Just(None),
        (json_types, value).prop_map(|(content_type, value)| Some((content_type, "data", value))),
        (text_types, ".{0,12}").prop_map(|(content_type, text)| Some((content_type, "data", json!(text)))),
        (any_type, bytes).prop_map(|(content_type, bytes)| {
            Some((content_type, "data_base64", json!(BASE64_STANDARD.encode(bytes))))
        }),
    ]
}

fn vec_of_values() -> impl Strategy<Value = Value> {
    proptest::collection::vec(value(), 0..4).prop_map(Value::from)
}

prop_compose! {
    fn cloud_event()(id in text(), source in text(), kind in text(), subject in option::of(text()),
        time in option::of(moment()), schema in option::of(text()), trace in option::of("[0-9a-f-]{1,20}"),
        extensions in btree_map("[a-z][a-z0-9]{0,10}", value(), 0..4), data in data()) -> Map<String, Value> {
        let mut event: Map<String, Value> = extensions.into_iter().filter(|(name, _)| !is_reserved(name)).collect();
        for (name, value) in [("subject", subject), ("time", time), ("dataschema", schema), ("traceparent", trace)] {
            event.extend(value.map(|value| (name.to_owned(), json!(value))));
        }
        for (name, value) in [("specversion", "1.0".to_owned()), ("id", id), ("source", source), ("type", kind)] {
            event.insert(name.into(), json!(value));
        }
        if let Some((content_type, name, value)) = data {
            event.extend(content_type.map(|content_type| ("datacontenttype".to_owned(), json!(content_type))));
            event.insert(name.into(), value);
        }
        event
    }
}

/// The payload of a CloudEvent, as bytes that two writers of the same JSON agree on.
fn payload(event: &Map<String, Value>) -> Vec<u8> {
    let content_type = event.get("datacontenttype").and_then(Value::as_str).unwrap_or_default();
    let bytes = match (event.get("data"), event.get("data_base64").and_then(Value::as_str)) {
        (Some(Value::String(text)), _) if !is_json(content_type) => text.clone().into_bytes(),
        (Some(value), _) => value.to_string().into_bytes(),
        (None, base64) => BASE64_STANDARD.decode(base64.unwrap_or_default()).expect("base64"),
    };
    match serde_json::from_slice::<Value>(&bytes) {
        Ok(value) if is_json(content_type) => value.to_string().into_bytes(),
        _ => bytes,
    }
}

/// The attributes in the text form of CloudEvents, without those that only nodes write.
fn attributes(event: &Map<String, Value>) -> BTreeMap<String, String> {
    let told = event.iter().filter(|(name, _)| !["data", "data_base64"].contains(&&***name));
    let told =
        told.filter(|(name, _)| ![SUBJECT, STREAM, SEQ, GONE, BATCH, BATCH_INDEX, BATCH_LAST].contains(&&***name));
    told.map(|(name, value)| (name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned))).collect()
}

fn reader() -> HeaderReader {
    HeaderReader::new(&["traceparent".into(), "tracestate".into()])
}

/// Of an event in structured mode, as a service publishes it.
fn structured(event: &Map<String, Value>) -> Envelope {
    let data = serde_json::to_vec(event).expect("JSON").into();
    let headers = [("content-type", STRUCTURED)];
    open(reader().read(headers.into_iter(), data).expect("an event")).expect("a CloudEvent")
}

/// Of an event in binary mode.
fn binary(event: &Map<String, Value>) -> Envelope {
    let mut headers = Vec::new();
    for (name, value) in attributes(event) {
        match name.as_str() {
            "datacontenttype" => headers.push(("Content-Type".to_owned(), value)),
            _ => headers.push((format!("ce-{name}"), utf8_percent_encode(&value, NON_ALPHANUMERIC).to_string())),
        }
    }
    let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    open(reader().read(headers, payload(event).into()).expect("an event")).expect("an event")
}

/// The same event as a node writes it to NATS for a client, and as nodes read it there.
fn by_way_of_a_node(envelope: &Envelope) -> Envelope {
    let headers = written(envelope);
    let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    reader().read(headers, envelope.data.clone()).expect("an event")
}

/// Objects whose members are as good as any.
const ALMOST: &str = "\\{(\"[a-z_]{0,9}\":(\"a\"|1|null|\\{\\}),?){0,5}\\}?";

proptest! {
    #[test]
    fn a_cloud_event_comes_out_as_it_went_in(event in cloud_event()) {
        let events = [structured(&event), binary(&event)];
        for envelope in events.iter().cloned().chain(events.iter().map(by_way_of_a_node)) {
            let mut out = told("shop.a", None, envelope);
            if !event.contains_key("subject") {
                prop_assert_eq!(out.remove("subject"), Some(json!("shop.a")));
            }
            prop_assert_eq!(attributes(&out), attributes(&event));
            prop_assert_eq!(payload(&out), payload(&event));
        }
    }

    #[test]
    fn no_payload_breaks_the_reader(data in prop_oneof![".{0,60}", ALMOST]) {
        let envelope = Envelope { content_type: STRUCTURED.into(), data: data.into(), ..Envelope::default() };
        if let Ok(envelope) = open(envelope) {
            told("a", None, envelope);
        }
    }
}
