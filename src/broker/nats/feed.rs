//! One subscription's messages, read into events.

use std::sync::Arc;

use async_nats::Subscriber;
use futures_util::{FutureExt as _, StreamExt as _};

use crate::{
    broker::{headers::Reader, message::Message},
    metrics::{Drop as Dropped, Metrics},
    subject::Subject,
};

/// The events of one pattern.
#[derive(Debug)]
pub(crate) struct NatsFeed {
    subscriber: Subscriber,
    reader: Arc<Reader>,
    metrics: Arc<Metrics>,
    event_bytes: usize,
}

impl NatsFeed {
    pub(crate) fn new(subscriber: Subscriber, reader: Arc<Reader>, metrics: Arc<Metrics>, event_bytes: usize) -> Self {
        Self { subscriber, reader, metrics, event_bytes }
    }

    pub(crate) async fn next(&mut self, batch: &mut Vec<Arc<Message>>, most: usize) -> bool {
        let Some(first) = self.subscriber.next().await else { return false };
        self.take(first, batch);
        while batch.len() < most {
            match self.subscriber.next().now_or_never() {
                Some(Some(message)) => self.take(message, batch),
                _ => break,
            }
        }
        true
    }

    /// Reads one message; what cannot be an event for clients is counted.
    fn take(&self, message: async_nats::Message, batch: &mut Vec<Arc<Message>>) {
        self.metrics.messages_received.increment(1);
        if message.payload.len() > self.event_bytes {
            return self.metrics.drops.of(Dropped::TooLarge).increment(1);
        }
        // The system's own subjects match a leading wildcard, but are nobody's events.
        let subject = match Subject::parse(message.subject.as_str()) {
            Ok(subject) if subject.is_reserved() => {
                return self.metrics.drops.of(Dropped::ReservedSubject).increment(1);
            }
            Ok(subject) => subject,
            Err(_) => return self.metrics.drops.of(Dropped::BadSubject).increment(1),
        };
        let headers = message.headers.iter().flat_map(|headers| headers.iter());
        let headers =
            headers.flat_map(|(name, values)| values.iter().map(|value| (AsRef::<str>::as_ref(name), value.as_str())));
        match self.reader.read(headers, message.payload) {
            Ok(envelope) => batch.push(Arc::new(Message::new(subject, envelope).stamped())),
            Err(_) => self.metrics.drops.of(Dropped::BadEnvelope).increment(1),
        }
    }
}
