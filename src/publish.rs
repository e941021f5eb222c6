//! The door through which clients publish, whatever way they came: it checks
//! grants, size and headers, then hands the event to the broker.

use std::sync::Arc;

use crate::{
    broker::{
        Broker, LAST_TIME, Message, PublishError,
        headers::{ENVELOPE, is_attribute},
    },
    classes::{Class, Classes},
    config::Config,
    error::{Code, Refusal},
    grants::Grants,
    metrics::Metrics,
    proto::{Envelope, Published},
};

/// Headers of one event. As many as a browser sends with a request, twice over.
const HEADERS: usize = 64;

/// Bytes of all headers of one event together, names included.
const HEADER_BYTES: usize = 8 * 1024;

/// Bytes of identifier, type, source and content type, each.
const ATTRIBUTE_BYTES: usize = 1024;

/// Names that only servers may write: NATS' own and this node's.
const SERVER_HEADERS: [&str; 2] = ["nats-", "notifier-"];

/// Takes events from clients.
#[derive(Debug)]
pub struct Publisher {
    broker: Arc<Broker>,
    classes: Arc<Classes>,
    /// Names, in the order of the configuration.
    streams: Vec<String>,
    metrics: Arc<Metrics>,
    event_bytes: usize,
}

impl Publisher {
    /// A door to this broker.
    pub fn new(broker: Arc<Broker>, classes: Arc<Classes>, config: &Config, metrics: Arc<Metrics>) -> Self {
        let streams = config.streams.iter().map(|stream| stream.name.clone()).collect();
        Self { broker, classes, streams, metrics, event_bytes: config.limits.event_bytes.bytes() }
    }

    /// The largest event it takes, bytes of data.
    pub fn event_bytes(&self) -> usize {
        self.event_bytes
    }

    /// Publishes one event. One that is to be stored is stored when this returns.
    ///
    /// # Errors
    /// The refusal to tell.
    pub async fn publish(&self, grants: &Grants, subject: &str, envelope: Envelope) -> Result<Published, Refusal> {
        let parsed = grants.publish(subject)?;
        self.check(subject, &envelope)?;
        let message = Message::new(parsed, envelope);
        let published = match self.classes.class(&message.subject) {
            Class::Live => self.broker.publish(message).await.map(|()| Published::default()),
            Class::Stored(stream) => self.broker.store(stream, message).await.map(|receipt| Published {
                stream: self.streams[stream.0].clone(),
                seq: receipt.seq,
                duplicate: receipt.duplicate,
            }),
        };
        let published = published.map_err(|error| refusal(subject, error))?;
        self.metrics.messages_published.increment(1);
        Ok(published)
    }

    fn check(&self, subject: &str, envelope: &Envelope) -> Result<(), Refusal> {
        if envelope.data.len() > self.event_bytes {
            return Err(too_large(subject, self.event_bytes));
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
        if envelope.content_type == ENVELOPE {
            return refuse("an envelope is for services on NATS; send its fields as the event's own".into());
        }
        let bytes: usize = envelope.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        if envelope.headers.len() > HEADERS || bytes > HEADER_BYTES {
            return refuse(format!("more than {HEADERS} headers, or {HEADER_BYTES} bytes of them"));
        }
        for (name, value) in &envelope.headers {
            let lower = name.to_ascii_lowercase();
            if !is_header_name(name) || !is_header_value(value) {
                return refuse(format!("the header {name:?} has a character that headers may not have"));
            }
            if is_attribute(name) {
                return refuse(format!("the header {name:?} is a field of the event; set that"));
            }
            if SERVER_HEADERS.iter().any(|prefix| lower.starts_with(prefix)) {
                return refuse(format!("the header {name:?} is written by servers only; leave it out"));
            }
        }
        Ok(())
    }
}

fn refusal(subject: &str, error: PublishError) -> Refusal {
    let (code, message) = match error {
        PublishError::TooLarge { max } => return too_large(subject, max),
        PublishError::Unavailable => (
            Code::BrokerUnavailable,
            "this node has no connection to its broker; the event was not kept, try again".to_owned(),
        ),
        PublishError::NoStream => {
            (Code::BrokerUnavailable, "nobody serves its stream now; the event was not kept, try again".to_owned())
        }
        PublishError::Unconfirmed => (
            Code::Timeout,
            "its stream did not answer in time and may have stored it; send it again with the same `id`".to_owned(),
        ),
        PublishError::Refused(reason) => (Code::StreamRefused, format!("its stream refuses the event: {reason}")),
    };
    Refusal::of(code, subject, message)
}

fn too_large(subject: &str, max: usize) -> Refusal {
    Refusal::of(Code::TooLarge, subject, format!("the event has more than {max} bytes; send a reference instead"))
}

/// A `token` of RFC 9110 5.6.2.
fn is_header_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn is_header_value(value: &str) -> bool {
    !value.chars().any(char::is_control)
}
