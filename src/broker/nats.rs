//! NATS core through `async-nats`: connects for ever, subscribes, publishes.

mod feed;
mod fence;
mod options;

use std::{sync::Arc, time::Duration};

use async_nats::{Client, HeaderMap, HeaderName, HeaderValue, client::PublishErrorKind, connection};

pub(crate) use feed::NatsFeed;
pub use options::NatsError;

use fence::Fence;

use crate::{
    broker::{
        headers::{self, Reader},
        message::Message,
        publish_error::PublishError,
        state::{BrokerState, Link},
    },
    config::Config,
    drain::Tasks,
    metrics::Metrics,
    subject::Pattern,
};

/// How long a publish may wait for room in the client's command queue.
const PUBLISH_TIME: Duration = Duration::from_secs(2);

/// How long to wait before trying again what the client refuses.
const RETRY_TIME: Duration = Duration::from_secs(5);

/// The client's events can be lost when they come in bursts, so the state is
/// also compared this often.
const STATE_CHECK: Duration = Duration::from_secs(1);

/// A connection to a NATS server or cluster.
#[derive(Debug)]
pub struct Nats {
    client: Client,
    state: Arc<BrokerState>,
    metrics: Arc<Metrics>,
    reader: Arc<Reader>,
    event_bytes: usize,
    fence: Fence,
}

impl Nats {
    /// Starts connecting and returns; `state` tells when it is connected.
    ///
    /// # Errors
    /// See [`NatsError`].
    pub async fn connect(config: &Config, metrics: &Arc<Metrics>, tasks: &Tasks) -> Result<Self, NatsError> {
        let state = Arc::new(BrokerState::new(Link::Starting));
        let client = options::connect(config, metrics, &state).await?;
        let fence = Fence::new(&client, tasks).await;
        tasks.spawn_vital("broker state", watch(client.clone(), state.clone(), metrics.clone()));
        Ok(Self {
            client,
            state,
            metrics: metrics.clone(),
            reader: Arc::new(Reader::new(&config.events.forward_headers)),
            event_bytes: config.limits.event_bytes.bytes(),
            fence,
        })
    }

    pub(crate) async fn open(&self, pattern: &Pattern) -> NatsFeed {
        loop {
            match self.client.subscribe(pattern.as_str().to_owned()).await {
                Ok(subscriber) => {
                    self.fence.confirm(&self.client, &self.state).await;
                    return NatsFeed::new(subscriber, self.reader.clone(), self.metrics.clone(), self.event_bytes);
                }
                // Only a pattern that NATS finds invalid, which ours are not,
                // or a client that is going down with the node.
                Err(error) => {
                    tracing::error!(%pattern, %error, "cannot subscribe; trying again");
                    tokio::time::sleep(RETRY_TIME).await;
                }
            }
        }
    }

    pub(crate) async fn publish(&self, message: Message) -> Result<(), PublishError> {
        if self.state.link() != Link::Up {
            return Err(PublishError::Unavailable);
        }
        let headers: HeaderMap = headers::written(&message.envelope)
            .into_iter()
            .filter_map(|(name, value)| Some((name.parse::<HeaderName>().ok()?, value.parse::<HeaderValue>().ok()?)))
            .collect();
        let subject = message.subject.as_str().to_owned();
        let published = self.client.publish_with_headers(subject, headers, message.envelope.data);
        match tokio::time::timeout(PUBLISH_TIME, published).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) if error.kind() == PublishErrorKind::MaxPayloadExceeded => {
                Err(PublishError::TooLarge { max: self.client.server_info().max_payload })
            }
            Ok(Err(_)) | Err(_) => Err(PublishError::Unavailable),
        }
    }

    pub(crate) async fn flush(&self) {
        // While it is away nothing was taken, so nothing is waiting.
        let up = self.state.link() == Link::Up;
        if up && !matches!(tokio::time::timeout(PUBLISH_TIME, self.client.flush()).await, Ok(Ok(()))) {
            tracing::warn!("some events may not have reached NATS");
        }
    }

    pub(crate) fn state(&self) -> &BrokerState {
        &self.state
    }
}

/// Keeps the state true, whatever becomes of the client's events.
async fn watch(client: Client, state: Arc<BrokerState>, metrics: Arc<Metrics>) {
    let mut check = tokio::time::interval(STATE_CHECK);
    loop {
        check.tick().await;
        let connected = client.connection_state() == connection::State::Connected;
        state.observe(connected);
        metrics.broker_connected.set(if connected { 1.0 } else { 0.0 });
    }
}
