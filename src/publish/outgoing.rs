//! Outgoing messages of clients: checked for size and headers, then given identity
//! headers. Free of I/O.

use crate::{
    access::grants::Grants,
    config::Limits,
    error::{Code, Refusal},
    event::{
        HeaderLimits, LAST_TIME, Message, cloud_event,
        headers::{ENVELOPE, is_attribute, is_media_type, says_time},
    },
    proto::Envelope,
    publish::{event_id::name, identity_headers::add_identity_headers},
    quota::Quotas,
    socket::ConnectionId,
    subject::Subject,
};

/// Bytes of identifier, type, source and content type, each.
const ATTRIBUTE_BYTES: usize = 1024;

/// Names that only servers may write: NATS' own and this node's.
const SERVER_HEADERS: [&str; 2] = ["nats-", "notifier-"];

/// The most that one event may have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventLimits {
    /// Bytes of data.
    pub(crate) bytes: usize,
    /// Its headers.
    pub(crate) headers: HeaderLimits,
}

impl EventLimits {
    /// Those of the configuration.
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { bytes: limits.event_bytes.bytes(), headers: HeaderLimits::new(limits) }
    }
}

/// The sender of a message.
#[derive(Clone, Copy, Debug)]
pub struct Sender<'a> {
    /// Its grants, which tell its identity.
    pub grants: &'a Grants,
    /// The WebSocket connection that it comes by; none over HTTP.
    pub connection: Option<ConnectionId>,
}

/// Builds the message that a client sends to a subject that it may send to, and
/// counts it for its user.
///
/// # Errors
/// `too_large`, `bad_request`, `rate_limited`.
pub(crate) fn outgoing(
    sender: Sender<'_>,
    subject: Subject,
    envelope: Envelope,
    limits: EventLimits,
    quotas: &Quotas,
) -> Result<Message, Refusal> {
    // Taken apart here, where its sender can be told what is wrong with it.
    let mut envelope = cloud_event::open(envelope).map_err(|why| {
        Refusal::of(Code::BadRequest, subject.as_str(), format!("the data is not a CloudEvent: {why}"))
    })?;
    check(subject.as_str(), &envelope, limits)?;
    let identity = sender.grants.identity();
    // Last: what is refused for another reason has cost the user nothing.
    quotas.publish(quotas.account(identity.user_key()), subject.as_str(), bytes(&subject, &envelope))?;
    name(&mut envelope, identity, &subject);
    add_identity_headers(&mut envelope.headers, identity, sender.connection);
    Ok(Message::new(subject, envelope))
}

/// Refuses a header that only servers may write.
///
/// # Errors
/// `bad_request`.
pub(crate) fn check_name(subject: &str, name: &str) -> Result<(), Refusal> {
    let servers = |prefix: &&str| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    if SERVER_HEADERS.iter().any(servers) {
        let problem = format!("the header {name:?} is written by servers only; leave it out");
        return Err(Refusal::of(Code::BadRequest, subject, problem));
    }
    Ok(())
}

/// The limit that every event has to keep, as refusals name it.
pub(crate) const EVENT_LIMIT: &str = "limits.event_bytes of this node";

/// That of whatever carries it from here, headers included.
pub(crate) const BROKER_LIMIT: &str = "max_payload of the NATS server";

/// The refusal of an event that is larger than a limit.
pub(crate) fn too_large(subject: &str, max: usize, limit: &str) -> Refusal {
    let message = format!("the event has more than {max} bytes, which is {limit}; send a reference instead");
    Refusal::of(Code::TooLarge, subject, message)
}

/// The bytes of an event at the broker: its data, and all that is written beside it.
fn bytes(subject: &Subject, envelope: &Envelope) -> usize {
    let Envelope { id, r#type, source, content_type, headers, data, .. } = envelope;
    let headers: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    subject.as_str().len() + data.len() + headers + id.len() + r#type.len() + source.len() + content_type.len()
}

fn check(subject: &str, envelope: &Envelope, limits: EventLimits) -> Result<(), Refusal> {
    if envelope.data.len() > limits.bytes {
        return Err(too_large(subject, limits.bytes, EVENT_LIMIT));
    }
    let refuse = |problem: String| Err(Refusal::of(Code::BadRequest, subject, problem));
    if envelope.time > LAST_TIME {
        return refuse(format!("`time` is after the year 9999; give milliseconds since 1970, at most {LAST_TIME}"));
    }
    for (name, value) in [
        ("id", &envelope.id),
        ("type", &envelope.r#type),
        ("source", &envelope.source),
        ("contentType", &envelope.content_type),
    ] {
        if value.len() > ATTRIBUTE_BYTES {
            return refuse(format!("`{name}` is longer than {ATTRIBUTE_BYTES} bytes"));
        }
        if !is_header_value(value) {
            return refuse(format!("`{name}` has a control character"));
        }
    }
    if is_media_type(&envelope.content_type, ENVELOPE) {
        return refuse("an envelope is for services on NATS; send its fields as the event's own".into());
    }
    if cloud_event::is_structured(&envelope.content_type) {
        return refuse("a CloudEvent inside a CloudEvent would be taken for the outer one; name its data JSON".into());
    }
    if !limits.headers.fit(&envelope.headers) {
        let HeaderLimits { count, bytes } = limits.headers;
        return refuse(format!(
            "more than {count} headers (limits.event_headers of this node), or {bytes} bytes of them \
             (limits.event_header_bytes); send fewer"
        ));
    }
    for (name, value) in &envelope.headers {
        if !is_header_name(name) || !is_header_value(value) {
            return refuse(format!("the header {name:?} has a character that headers may not have"));
        }
        if is_attribute(name) && !says_time(name, value, envelope.time) {
            return refuse(format!("the header {name:?} is a field of the event; set that"));
        }
        check_name(subject, name)?;
    }
    Ok(())
}

/// A `token` of RFC 9110 5.6.2.
fn is_header_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn is_header_value(value: &str) -> bool {
    !value.chars().any(char::is_control)
}
