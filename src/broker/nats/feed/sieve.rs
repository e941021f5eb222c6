//! From a message as it came to an event for clients. What cannot be one is
//! counted and harms nothing else.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;

use crate::{
    broker::{
        headers::Reader,
        message::{Message, unix_millis},
        nats::feed::{headers, parser::Raw},
    },
    metrics::{BrokerEvent, Drop as Dropped, Metrics},
    subject::Subject,
};

/// Lets events through.
#[derive(Clone, Debug)]
pub(crate) struct Sieve {
    reader: Arc<Reader>,
    metrics: Arc<Metrics>,
}

/// When the bytes at hand were read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    arrived: Instant,
    unix_millis: u64,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Self { arrived: Instant::now(), unix_millis: unix_millis() }
    }
}

impl Sieve {
    pub(crate) fn new(reader: Reader, metrics: Arc<Metrics>) -> Self {
        Self { reader: Arc::new(reader), metrics }
    }

    /// The event, where the message is one.
    pub(crate) fn event(&self, raw: &Raw<'_>, moment: Moment) -> Option<Arc<Message>> {
        // The system's own subjects match a leading wildcard, but are nobody's events.
        let subject = match std::str::from_utf8(raw.subject).ok().and_then(|text| Subject::parse(text).ok()) {
            Some(subject) if subject.is_reserved() => return self.dropped(Dropped::ReservedSubject),
            Some(subject) => subject,
            None => return self.dropped(Dropped::BadSubject),
        };
        let headers = match raw.headers.map(headers::parse) {
            Some(Ok(headers)) => headers,
            Some(Err(headers::Unreadable)) => {
                self.metrics.broker_events.of(BrokerEvent::BadHeaders).increment(1);
                Vec::new()
            }
            None => Vec::new(),
        };
        // Copied, because a slice would keep alive all that was read with it.
        match self.reader.read(headers.into_iter(), Bytes::copy_from_slice(raw.payload)) {
            Ok(envelope) => {
                Some(Arc::new(Message { subject, envelope, arrived: moment.arrived }.stamped(moment.unix_millis)))
            }
            Err(_) => self.dropped(Dropped::BadEnvelope),
        }
    }

    /// Counts a message that was too large to be looked at.
    pub(crate) fn too_large(&self) {
        self.dropped(Dropped::TooLarge);
    }

    /// Counts what was read.
    pub(crate) fn received(&self, messages: u64) {
        self.metrics.messages_received.increment(messages);
    }

    fn dropped(&self, reason: Dropped) -> Option<Arc<Message>> {
        self.metrics.drops.of(reason).increment(1);
        None
    }
}
