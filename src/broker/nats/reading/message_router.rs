//! The message router decodes each message of the reading connection and takes it
//! to where it belongs: a feed, a stream, or a request that waits. A message that
//! cannot be an event is counted and harms nothing else.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;

use crate::{
    broker::{
        arrived::Arrived,
        feed::FeedId,
        nats::reading::{
            faults::Faults, headers, parser::Raw, pending_requests::PendingRequests, request_replies::failure,
        },
        request_error::RequestError,
        stored::Stored,
    },
    classes::{Class, Classes, StreamIndex},
    clock::unix_millis,
    config::Delivery,
    event::{
        BatchMark, Gone, cloud_event,
        header_limits::HeaderLimits,
        headers::{self as vocabulary, HeaderReader},
        message::{Message, Place},
    },
    metrics::{BrokerEvent, Drop as Dropped, Metrics},
    proto::Envelope,
    subject::Subject,
};

/// Decodes and routes the messages of a reading connection.
#[derive(Clone, Debug)]
pub(crate) struct MessageRouter {
    reader: Arc<HeaderReader>,
    limits: HeaderLimits,
    classes: Arc<Classes>,
    /// Names of the streams, in the order of the configuration.
    streams: Arc<[Arc<str>]>,
    pending_requests: PendingRequests,
    faults: Faults,
    /// Whether clients get to see some header that servers add.
    forwards_servers: bool,
    metrics: Arc<Metrics>,
}

/// Time at which the bytes at hand were read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadTime {
    arrived: Instant,
    unix_millis: u64,
}

/// The stream, sequence and time at which a message is stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoredAt {
    pub(crate) index: StreamIndex,
    pub(crate) seq: u64,
    pub(crate) unix_millis: u64,
}

impl ReadTime {
    pub(crate) fn now() -> Self {
        Self { arrived: Instant::now(), unix_millis: unix_millis() }
    }
}

impl MessageRouter {
    pub(crate) fn new(
        reader: HeaderReader,
        limits: HeaderLimits,
        classes: Arc<Classes>,
        streams: Arc<[Arc<str>]>,
        pending_requests: PendingRequests,
        metrics: Arc<Metrics>,
    ) -> Self {
        let forwards_servers = headers::ADDED.iter().any(|name| reader.forwards(name));
        let (reader, faults) = (Arc::new(reader), Faults::wanted());
        Self { reader, limits, classes, streams, pending_requests, faults, forwards_servers, metrics }
    }

    /// Takes a message to where it belongs.
    pub(crate) fn sort(&self, raw: &Raw<'_>, read_time: ReadTime, arrived: &mut Arrived) {
        let feed = FeedId(raw.sid);
        if feed == FeedId::ANSWERS {
            self.pending_requests.direct_get_replies.receive(raw, |raw, index| self.stored(raw, index, read_time));
        } else if feed == FeedId::REPLIES {
            self.pending_requests.request_replies.receive(raw, || self.reply(raw));
        } else if feed == FeedId::ACKS {
            self.pending_requests.acks.receive(raw);
        } else if let Some(index) = feed.stream() {
            if self.faults.lose() {
                return;
            }
            let stored = self.stored(raw, index, read_time);
            arrived.stored.extend(stored.map(|stored| (index, stored)));
        } else {
            arrived.events.extend(self.event(raw, read_time).map(|event| (feed, event)));
        }
    }

    /// The event, where the message is one that nothing stores.
    pub(crate) fn event(&self, raw: &Raw<'_>, read_time: ReadTime) -> Option<Arc<Message>> {
        let subject = self.subject(raw.subject)?;
        if !self.classes.is_empty() {
            if self.classes.republishes(&subject) {
                return self.dropped(Dropped::ReservedSubject);
            }
            if self.classes.class(&subject) != Class::Live {
                // Its stream brings it, with its place.
                return None;
            }
        }
        let envelope = self.envelope(self.headers(raw), raw)?;
        Some(Arc::new(
            Message {
                subject,
                envelope,
                arrived: read_time.arrived,
                place: None,
                gone: None,
                untraced: false,
                batch: None,
            }
            .stamped(read_time.unix_millis),
        ))
    }

    /// The stored event of a message; nothing when the server does not say its place.
    fn stored(&self, raw: &Raw<'_>, index: StreamIndex, read_time: ReadTime) -> Option<Stored> {
        let added = headers::added(raw.headers?);
        let time = added.time.and_then(vocabulary::unix_millis).unwrap_or(read_time.unix_millis);
        let at = StoredAt { index, seq: added.seq?, unix_millis: time };
        let subject = added.subject.unwrap_or_default();
        // Headers that only servers have written say nothing to clients.
        let headers = raw.headers.filter(|_| added.others || self.forwards_servers);
        let stored = self.kept(&Raw { subject, headers, ..*raw }, at, read_time);
        Some(Stored { ends_older: added.ends_older, commits: added.commits, ..stored })
    }

    /// The stored event at a place that is known.
    pub(crate) fn kept(&self, raw: &Raw<'_>, at: StoredAt, read_time: ReadTime) -> Stored {
        let StoredAt { index, seq, unix_millis } = at;
        let event = || {
            let subject = self.subject(raw.subject)?;
            if self.classes.class(&subject) != Class::Stored(index) {
                // By the rules it is another's, or live: then it comes by itself, if it is published.
                self.metrics.unserved.increment(1);
                return None;
            }
            let stream = self.streams.get(index.0)?;
            let headers = self.headers(raw);
            if headers.iter().any(|(name, _)| *name == vocabulary::SCHEDULE) {
                return None;
            }
            // Where all events count, an end is one of them.
            let latest = self.classes.delivery(index) == Delivery::Latest;
            let gone = if latest { Gone::of(&headers) } else { None };
            let batch = BatchMark::of(&headers);
            let envelope = self.envelope(headers, raw)?;
            let place = Some(Place { stream: stream.clone(), seq });
            let arrived = read_time.arrived;
            let message = Message { subject, envelope, arrived, place, gone: None, untraced: false, batch };
            Some(Arc::new(message.ended(gone).stamped(unix_millis)))
        };
        Stored::new(seq, event())
    }

    fn subject(&self, subject: &[u8]) -> Option<Subject> {
        let text = std::str::from_utf8(subject).unwrap_or_default();
        match self.classes.subject(text) {
            // The system's own subjects match a leading wildcard, but are nobody's events.
            Ok(subject) if subject.is_reserved() => self.dropped(Dropped::ReservedSubject),
            Ok(subject) => Some(subject),
            // A republished subject has more tokens than the stored one.
            Err(_) if Subject::parse(text).is_ok_and(|subject| self.classes.republishes(&subject)) => {
                self.dropped(Dropped::ReservedSubject)
            }
            Err(_) => self.dropped(Dropped::BadSubject),
        }
    }

    /// The reply of a service.
    fn reply(&self, raw: &Raw<'_>) -> Result<Envelope, RequestError> {
        let headers = self.headers(raw);
        match failure(&headers) {
            Some(failure) => Err(failure),
            None => self.read(headers, raw).map_err(|_| RequestError::Unreadable),
        }
    }

    fn envelope(&self, headers: Vec<(&str, &str)>, raw: &Raw<'_>) -> Option<Envelope> {
        match self.read(headers, raw) {
            Ok(envelope) => Some(envelope),
            Err(reason) => self.dropped(reason),
        }
    }

    /// # Errors
    /// The reason for which the message is dropped.
    fn read(&self, headers: Vec<(&str, &str)>, raw: &Raw<'_>) -> Result<Envelope, Dropped> {
        // Copied, because a slice would keep alive all that was read with it.
        let payload = Bytes::copy_from_slice(raw.payload);
        let envelope = self.reader.read(headers.into_iter(), payload).map_err(|_| Dropped::BadEnvelope)?;
        let mut envelope = cloud_event::open(envelope).map_err(|_| Dropped::BadCloudEvent)?;
        if self.limits.cut(&mut envelope.headers, |name| self.reader.forwards(name)) {
            self.metrics.headers_cut.increment(1);
        }
        Ok(envelope)
    }

    fn headers<'r>(&self, raw: &Raw<'r>) -> Vec<(&'r str, &'r str)> {
        match raw.headers.map(headers::parse) {
            Some(Ok(headers)) => headers,
            Some(Err(headers::BadHeader)) => {
                self.metrics.broker_events.of(BrokerEvent::BadHeaders).increment(1);
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    /// Notes a message that was too large to be looked at.
    pub(crate) fn too_large(&self, feed: FeedId, subject: &[u8]) {
        if feed == FeedId::ANSWERS {
            // Its stream has brought it before, and it was counted then.
            self.pending_requests.direct_get_replies.pass_over();
        } else if feed == FeedId::REPLIES {
            self.pending_requests.request_replies.too_large(subject);
        } else if feed == FeedId::ACKS {
            // No stream acknowledges at such length.
        } else {
            self.metrics.drops.of(Dropped::TooLarge).increment(1);
        }
    }

    /// Counts what was read.
    pub(crate) fn received(&self, messages: u64) {
        self.metrics.messages_received.increment(messages);
    }

    fn dropped<T>(&self, reason: Dropped) -> Option<T> {
        self.metrics.drops.of(reason).increment(1);
        None
    }
}
