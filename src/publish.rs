//! The publisher takes events from clients, over WebSocket or HTTP: it checks
//! grants, size and headers, adds the identity of the sender, then hands the event
//! to the broker.

mod event_id;
mod outgoing;
mod identity_headers;

use std::sync::Arc;

use futures_util::future::BoxFuture;

pub use outgoing::Sender;
pub(crate) use outgoing::{BROKER_LIMIT, EVENT_LIMIT, EventLimits, check_name, outgoing, too_large};

use crate::{
    broker::{Broker, PublishError},
    classes::{Class, Classes},
    config::Config,
    error::{Code, Refusal},
    metrics::Metrics,
    proto::{Envelope, Published},
    quota::Quotas,
};

/// Takes events from clients.
#[derive(Debug)]
pub struct Publisher {
    broker: Arc<dyn Broker>,
    classes: Arc<Classes>,
    /// Names, in the order of the configuration.
    streams: Vec<String>,
    quotas: Arc<Quotas>,
    metrics: Arc<Metrics>,
    limits: EventLimits,
}

/// An event that the broker has.
pub enum Sent {
    /// Nothing stores it: it is published.
    Live(Published),
    /// The event is stored once this resolves. A caller that does not wait will
    /// not learn whether it was.
    Stored(BoxFuture<'static, Result<Published, Refusal>>),
}

impl Publisher {
    /// A door to this broker.
    pub fn new(
        broker: Arc<dyn Broker>,
        classes: Arc<Classes>,
        config: &Config,
        quotas: Arc<Quotas>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let streams = config.streams.iter().map(|stream| stream.name.clone()).collect();
        Self { broker, classes, streams, quotas, metrics, limits: EventLimits::new(&config.limits) }
    }

    /// The largest event it takes, bytes of data.
    pub fn event_bytes(&self) -> usize {
        self.limits.bytes
    }

    /// Publishes one event. One that is to be stored is stored when this returns.
    ///
    /// # Errors
    /// The refusal to tell.
    pub async fn publish(&self, sender: Sender<'_>, subject: &str, envelope: Envelope) -> Result<Published, Refusal> {
        match self.send(sender, subject, envelope).await? {
            Sent::Live(published) => Ok(published),
            Sent::Stored(stored) => stored.await,
        }
    }

    /// Hands one event to the broker. Events that are sent one after the other
    /// reach it in that order, those that are stored as those that are not.
    ///
    /// # Errors
    /// The refusal to tell.
    pub async fn send(&self, sender: Sender<'_>, subject: &str, envelope: Envelope) -> Result<Sent, Refusal> {
        let parsed = sender.grants.publish(subject)?;
        let message = outgoing(sender, parsed, envelope, self.limits, &self.quotas)?;
        let metrics = self.metrics.clone();
        let Class::Stored(stream) = self.classes.class(&message.subject) else {
            self.broker.publish(message).await.map_err(|error| refusal(subject, error))?;
            metrics.messages_published.increment(1);
            return Ok(Sent::Live(Published::default()));
        };
        let acknowledgement = self.broker.submit(stream, message).await.map_err(|error| refusal(subject, error))?;
        let (subject, stream) = (subject.to_owned(), self.streams[stream.0].clone());
        Ok(Sent::Stored(Box::pin(async move {
            let receipt = acknowledgement.await.map_err(|error| refusal(&subject, error))?;
            metrics.messages_published.increment(1);
            Ok(Published { stream, seq: receipt.seq, duplicate: receipt.duplicate })
        })))
    }
}

fn refusal(subject: &str, error: PublishError) -> Refusal {
    let (code, message) = match error {
        PublishError::TooLarge { max } => return too_large(subject, max, BROKER_LIMIT),
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
