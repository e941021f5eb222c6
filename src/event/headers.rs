//! The header vocabulary of events, read and written: the names of
//! NATS (`Nats-Msg-Id`, ADR-4 and JetStream), HTTP (`Content-Type`), W3C Trace
//! Context (`traceparent`) and the CloudEvents NATS binding (`ce-*`, values
//! percent-encoded). Free of any client library.

use bytes::Bytes;
use percent_encoding::percent_decode_str;
use prost::Message as _;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::proto::Envelope;

/// Media type of a payload that is an `Envelope` message.
pub const ENVELOPE: &str = "application/vnd.notifier.v1.envelope+protobuf";

/// JetStream's de-duplication identifier. It is compared over a whole stream,
/// so that of a client's event is made by the node.
pub const MSG_ID: &str = "Nats-Msg-Id";
/// The client's own id of its event, percent-encoded. Only nodes write this
/// header, so only this spelling is understood.
pub const CLIENT_ID: &str = "Notifier-Id";
/// Makes of a message an order to JetStream (ADR-51): it publishes the event
/// itself when that is due, to the subject that the order names.
pub const SCHEDULE: &str = "Nats-Schedule";
/// Media type of the payload.
pub const CONTENT_TYPE: &str = "Content-Type";

/// Prefix of CloudEvents attributes.
const CLOUD_EVENTS: &str = "ce-";

/// When an event happened, as its publisher wrote it: kept beside `time` where that cannot hold all of it.
pub const TIME: &str = "ce-time";

/// Reads events; knows which headers clients get to see.
#[derive(Clone, Debug)]
pub struct HeaderReader {
    forward: Vec<String>,
}

impl HeaderReader {
    /// Passes on headers of these names, compared without case.
    pub fn new(forward: &[String]) -> Self {
        Self { forward: forward.to_vec() }
    }

    /// Puts an event together from its headers and payload. Where a header
    /// stands several times, call `headers` so that the last one comes last:
    /// the last one counts, because a server appends its own. The client's own
    /// id counts most; the names of NATS and HTTP, spelled as here, count more
    /// than other spellings and `ce-*`, in whatever order they come.
    ///
    /// # Errors
    /// When the payload claims to be an envelope and cannot be read as one.
    pub fn read<'h>(
        &self,
        headers: impl Iterator<Item = (&'h str, &'h str)>,
        payload: Bytes,
    ) -> Result<Envelope, prost::DecodeError> {
        let mut envelope = Envelope::default();
        // By rank: CloudEvents, another spelling, the name as it is spelled here, a client's own.
        let (mut ids, mut types): ([String; 4], [String; 3]) = Default::default();
        for (name, value) in headers {
            match name.len() {
                11 if name.eq_ignore_ascii_case(MSG_ID) => ids[1 + usize::from(name == MSG_ID)] = value.into(),
                11 if name == CLIENT_ID => ids[3] = decoded(value),
                12 if name.eq_ignore_ascii_case(CONTENT_TYPE) => {
                    types[1 + usize::from(name == CONTENT_TYPE)] = value.into();
                }
                _ if is_cloud_events(name) => {
                    let lower = name.to_ascii_lowercase();
                    match lower.as_str() {
                        "ce-id" => ids[0] = decoded(value),
                        "ce-datacontenttype" => types[0] = decoded(value),
                        "ce-source" => envelope.source = decoded(value),
                        "ce-type" => envelope.r#type = decoded(value),
                        TIME => {
                            let text = decoded(value);
                            let (millis, exact) = read_time(&text).unwrap_or_default();
                            envelope.time = millis;
                            envelope.headers.remove(TIME);
                            if exact {
                                envelope.headers.insert(TIME.into(), text);
                            }
                        }
                        "ce-specversion" => {}
                        _ => {
                            envelope.headers.insert(lower, decoded(value));
                        }
                    }
                }
                _ if self.forwards(name) => {
                    envelope.headers.insert(name.to_ascii_lowercase(), value.into());
                }
                _ => {}
            }
        }
        (envelope.id, envelope.content_type) = (highest(ids), highest(types));
        if is_media_type(&envelope.content_type, ENVELOPE) {
            return unwrap(envelope, payload);
        }
        envelope.data = payload;
        Ok(envelope)
    }

    /// The event as its receivers see it once it has been written as headers
    /// and read again: for a broker that has no headers.
    pub fn reread(&self, mut envelope: Envelope) -> Envelope {
        let is_id = |name: &str| [MSG_ID, CLIENT_ID].iter().any(|id| id.eq_ignore_ascii_case(name));
        envelope.headers = std::mem::take(&mut envelope.headers)
            .into_iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value))
            .filter(|(name, _)| is_cloud_events(name) || self.forwards(name) && !is_id(name))
            .collect();
        envelope
    }

    /// Whether clients get to see headers of this name.
    pub fn forwards(&self, name: &str) -> bool {
        self.forward.iter().any(|forwarded| forwarded.eq_ignore_ascii_case(name))
    }
}

/// The last of some ranked values that says anything.
fn highest<const RANKS: usize>(ranked: [String; RANKS]) -> String {
    ranked.into_iter().rfind(|value| !value.is_empty()).unwrap_or_default()
}

fn is_cloud_events(name: &str) -> bool {
    name.get(..CLOUD_EVENTS.len()).is_some_and(|prefix| prefix.eq_ignore_ascii_case(CLOUD_EVENTS))
}

/// Whether a content type names this media type, with whatever parameters (RFC
/// 9110 8.3.1): its case does not matter.
pub fn is_media_type(content_type: &str, media_type: &str) -> bool {
    let Some((start, parameters)) = content_type.trim_start().split_at_checked(media_type.len()) else { return false };
    let parameters = parameters.trim_start();
    start.eq_ignore_ascii_case(media_type) && (parameters.is_empty() || parameters.starts_with(';'))
}

/// Whether a header says what a field of the event says, so that nobody may
/// set it on the side.
pub fn is_attribute(name: &str) -> bool {
    const ATTRIBUTES: [&str; 7] =
        ["content-type", "ce-id", "ce-source", "ce-type", "ce-time", "ce-datacontenttype", "ce-specversion"];
    ATTRIBUTES.iter().any(|attribute| attribute.eq_ignore_ascii_case(name))
}

/// The envelope inside the payload; what it leaves open, the headers say.
fn unwrap(outer: Envelope, payload: Bytes) -> Result<Envelope, prost::DecodeError> {
    let mut inner = Envelope::decode(payload)?;
    if inner.id.is_empty() {
        inner.id = outer.id;
    }
    for (name, value) in outer.headers {
        inner.headers.entry(name).or_insert(value);
    }
    Ok(inner)
}

/// The identifier by which a stream knows an event again; empty: by none. Where
/// the node has made one, it stands among the headers.
pub fn msg_id(envelope: &Envelope) -> &str {
    envelope.headers.get(MSG_ID).unwrap_or(&envelope.id)
}

/// The headers that say what an envelope says, for a publisher.
pub fn written(envelope: &Envelope) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    let mut add = |name: &str, value: String| {
        if !value.is_empty() {
            headers.push((name.to_owned(), value));
        }
    };
    add(MSG_ID, msg_id(envelope).to_owned());
    add(CONTENT_TYPE, envelope.content_type.clone());
    if !envelope.r#type.is_empty() || !envelope.source.is_empty() || envelope.time != 0 {
        add("ce-specversion", "1.0".into());
        add("ce-id", encoded(&envelope.id));
        add("ce-type", encoded(&envelope.r#type));
        add("ce-source", encoded(&envelope.source));
        if envelope.time != 0 && !envelope.headers.contains_key(TIME) {
            add(TIME, rfc3339(envelope.time).unwrap_or_default());
        }
    }
    for (name, value) in envelope.headers.iter().filter(|(name, _)| *name != MSG_ID) {
        let value = if is_cloud_events(name) { encoded(value) } else { value.clone() };
        headers.push((name.clone(), value));
    }
    headers
}

fn decoded(value: &str) -> String {
    percent_decode_str(value).decode_utf8_lossy().into_owned()
}

/// The characters that the CloudEvents HTTP binding (3.1.3.2) wants encoded,
/// which the NATS binding takes over.
pub(crate) fn encoded(value: &str) -> String {
    const SPECIAL: &percent_encoding::AsciiSet = &percent_encoding::CONTROLS.add(b' ').add(b'"').add(b'%');
    percent_encoding::utf8_percent_encode(value, SPECIAL).to_string()
}

/// Milliseconds since the Unix epoch of a time as RFC 3339 writes it.
pub(crate) fn unix_millis(text: &str) -> Option<u64> {
    millis_of(OffsetDateTime::parse(text, &Rfc3339).ok()?)
}

/// None where it was before the epoch.
fn millis_of(time: OffsetDateTime) -> Option<u64> {
    u64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok()
}

/// Reads a time of RFC 3339: milliseconds since the Unix epoch, 0 where it was before, and whether the text says more
/// than those milliseconds do, as an offset or a fraction of one.
pub(crate) fn read_time(text: &str) -> Option<(u64, bool)> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    let millis = millis_of(time).unwrap_or(0);
    let exact = millis == 0 || !time.offset().is_utc() || time.nanosecond() % 1_000_000 != 0;
    Some((millis, exact))
}

/// Whether a header of this name and value says nothing but when the event happened, as `time` does.
pub(crate) fn says_time(name: &str, value: &str, time: u64) -> bool {
    name == TIME && read_time(value).is_some_and(|(millis, _)| millis == time)
}

/// A time as RFC 3339 writes it, where it can be written.
pub(crate) fn rfc3339(millis: u64) -> Option<String> {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000).ok()?;
    time.format(&Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(&str, &str)], payload: &[u8]) -> Envelope {
        HeaderReader::new(&["traceparent".into()])
            .read(headers.iter().copied(), Bytes::copy_from_slice(payload))
            .expect("no envelope, or a valid one")
    }

    #[test]
    fn headers_of_nats_http_and_cloud_events_are_understood() {
        let headers = [
            ("Nats-Msg-Id", "m1"),
            ("content-type", "application/json"),
            ("ce-specversion", "1.0"),
            ("ce-type", "shop.cart%20changed"),
            ("Ce-Source", "/carts"),
            ("ce-time", "2026-11-22T10:00:00.5+01:00"),
            ("ce-tenant", "a%22b"),
            ("Traceparent", "00-ab-cd-01"),
            ("Internal-Secret", "stays inside"),
        ];
        let event = read(&headers, b"{}");
        assert_eq!(event.id, "m1");
        assert_eq!(event.content_type, "application/json");
        assert_eq!(event.r#type, "shop.cart changed");
        assert_eq!(event.source, "/carts");
        assert_eq!(event.time, 1_795_338_000_500);
        let passed: Vec<_> = event.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let time = ("ce-time", "2026-11-22T10:00:00.5+01:00");
        assert_eq!(passed, [("ce-tenant", "a\"b"), time, ("traceparent", "00-ab-cd-01")]);
    }

    #[test]
    fn a_time_is_kept_as_it_was_written_where_milliseconds_say_less() {
        for (text, millis, kept) in [
            ("2026-11-22T10:00:00Z", 1_795_341_600_000, false),
            ("2026-11-22T10:00:00.120Z", 1_795_341_600_120, false),
            ("2026-11-22T10:00:00.123456Z", 1_795_341_600_123, true),
            ("2026-11-22T10:00:00+00:00", 1_795_341_600_000, false),
            ("2026-11-22T11:00:00+01:00", 1_795_341_600_000, true),
            ("1969-07-20T20:17:40Z", 0, true),
            ("yesterday", 0, false),
        ] {
            let event = read(&[("ce-time", text)], b"");
            assert_eq!(
                (event.time, event.headers.get(TIME)),
                (millis, kept.then(|| text.to_owned()).as_ref()),
                "{text}"
            );
            let headers = written(&event);
            let written: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            assert_eq!(read(&written, b""), event, "{text}");
            assert_eq!(says_time(TIME, text, millis), text != "yesterday", "{text}");
        }
    }

    #[test]
    fn the_last_value_of_a_header_counts() {
        assert_eq!(read(&[("Nats-Msg-Id", "forged"), ("Nats-Msg-Id", "true")], b"").id, "true");
    }

    #[test]
    fn what_a_client_calls_its_event_is_what_readers_see() {
        let headers = [("Notifier-Id", "a%20b"), ("Nats-Msg-Id", "ntf.x"), ("ce-id", "c")];
        assert_eq!(read(&headers, b"").id, "a b");
        // Nodes write it in one way; any other spelling says nothing.
        assert_eq!(read(&[("notifier-id", "forged"), ("Nats-Msg-Id", "b")], b"").id, "b");
        let own = [(MSG_ID.to_owned(), "ntf.x".to_owned()), (CLIENT_ID.to_owned(), "a%20b".to_owned())];
        let envelope = Envelope { id: "a b".into(), headers: own.into(), ..Envelope::default() };
        assert_eq!(written(&envelope), [(MSG_ID, "ntf.x"), (CLIENT_ID, "a%20b")].map(|(n, v)| (n.into(), v.into())));
        let everything = HeaderReader::new(&[MSG_ID.into(), CLIENT_ID.into()]);
        let reread = everything.reread(envelope);
        assert_eq!((reread.id.as_str(), reread.headers.len()), ("a b", 0));
    }

    #[test]
    fn which_of_two_names_counts_does_not_depend_on_their_order() {
        let mut headers = [
            ("ce-id", "c"),
            ("nats-msg-id", "b"),
            ("Nats-Msg-Id", "a"),
            ("ce-datacontenttype", "text/c"),
            ("Content-Type", "text/a"),
        ];
        for _ in 0..headers.len() {
            headers.rotate_left(1);
            let event = read(&headers, b"");
            assert_eq!((event.id.as_str(), event.content_type.as_str()), ("a", "text/a"), "{headers:?}");
        }
    }

    #[test]
    fn a_media_type_is_known_with_its_parameters() {
        let form = "application/x-www-form-urlencoded";
        for (content_type, expected) in [
            (form, true),
            ("application/x-www-form-urlencoded; charset=utf-8", true),
            (" Application/X-WWW-Form-Urlencoded ;charset=UTF-8", true),
            ("application/x-www-form-urlencoded2", false),
            ("application/x-www-form", false),
            ("", false),
            ("application/x-www-form-urlencode\u{e9}", false),
        ] {
            assert_eq!(is_media_type(content_type, form), expected, "{content_type}");
        }
    }

    #[test]
    fn an_envelope_in_the_payload_is_opened() {
        let inner = Envelope { id: "e1".into(), r#type: "t".into(), data: "x".into(), ..Envelope::default() };
        let headers = [("Content-Type", ENVELOPE), ("traceparent", "00")];
        let event = read(&headers, &inner.encode_to_vec());
        assert_eq!((event.id.as_str(), event.r#type.as_str(), &event.data[..]), ("e1", "t", &b"x"[..]));
        assert_eq!(event.headers["traceparent"], "00");
        assert_eq!(event.content_type, "");
        let more = format!("{ENVELOPE}; v=1");
        assert_eq!(read(&[("Content-Type", &more)], &inner.encode_to_vec()).id, "e1");
        let reader = HeaderReader::new(&[]);
        assert!(reader.read([("Content-Type", ENVELOPE)].into_iter(), Bytes::from_static(b"\xff")).is_err());
    }

    #[test]
    fn what_is_written_is_read_back() {
        let event = Envelope {
            id: "i 1".into(),
            time: 1_795_338_000_500,
            r#type: "ü t".into(),
            source: "/s".into(),
            content_type: "text/plain".into(),
            headers: [("ce-x".into(), "50%".into()), ("traceparent".into(), "".into())].into(),
            data: "x".into(),
        };
        let headers = written(&event);
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(read(&headers, b"x"), event);
    }
}
