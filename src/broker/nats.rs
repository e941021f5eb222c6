//! NATS core through `async-nats`: connects for ever, subscribes, publishes.

mod feed;
mod options;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_nats::{Client, HeaderMap, HeaderName, HeaderValue, RequestErrorKind, client::PublishErrorKind, connection};
use tokio::sync::Mutex;

pub(crate) use feed::NatsFeed;
pub use options::NatsError;

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

/// How long the server may take to confirm subscriptions.
const FENCE_TIME: Duration = Duration::from_secs(5);

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

/// Confirms subscriptions; one round trip serves all that wait for one.
#[derive(Debug, Default)]
struct Fence {
    asked: AtomicU64,
    answered: Mutex<u64>,
}

impl Nats {
    /// Starts connecting and returns; `state` tells when it is connected.
    ///
    /// # Errors
    /// See [`NatsError`].
    pub async fn connect(config: &Config, metrics: &Arc<Metrics>, tasks: &Tasks) -> Result<Self, NatsError> {
        let state = Arc::new(BrokerState::new(Link::Starting));
        let client = options::connect(config, metrics, &state).await?;
        tasks.spawn_vital("broker state", watch(client.clone(), state.clone(), metrics.clone()));
        Ok(Self {
            client,
            state,
            metrics: metrics.clone(),
            reader: Arc::new(Reader::new(&config.events.forward_headers)),
            event_bytes: config.limits.event_bytes.bytes(),
            fence: Fence::default(),
        })
    }

    pub(crate) async fn open(&self, pattern: &Pattern) -> NatsFeed {
        loop {
            match self.client.subscribe(pattern.as_str().to_owned()).await {
                Ok(subscriber) => {
                    self.confirm().await;
                    return NatsFeed::new(subscriber, self.reader.clone(), self.metrics.clone(), self.event_bytes);
                }
                // Only a pattern that NATS finds invalid, which ours are not,
                // or a client that is going down with the node.
                Err(error) => {
                    tracing::error!(%pattern, %error, "cannot subscribe; trying again");
                    tokio::time::sleep(FENCE_TIME).await;
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

    pub(crate) fn state(&self) -> &BrokerState {
        &self.state
    }

    /// Returns when the server has processed all that was sent before: it
    /// handles one client's commands in order, and answers a request that
    /// nobody serves at once (`503`). A flush would only empty our buffer.
    async fn confirm(&self) {
        let ticket = self.fence.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let mut answered = self.fence.answered.lock().await;
        while *answered < ticket {
            self.state.up().await;
            let upto = self.fence.asked.load(Ordering::SeqCst);
            let request = self.client.request(self.client.new_inbox(), "".into());
            match tokio::time::timeout(FENCE_TIME, request).await {
                Ok(Err(error)) if error.kind() == RequestErrorKind::NoResponders => *answered = upto,
                Ok(Ok(_)) => *answered = upto,
                // Lost with the connection: subscriptions are made anew by then.
                _ if self.state.link() != Link::Up => {}
                _ => {
                    tracing::warn!(
                        "the NATS server does not answer requests, so subscriptions cannot be confirmed; \
                         allow this user to publish and subscribe to its inbox prefix (broker.nats.inbox_prefix)"
                    );
                    *answered = upto;
                }
            }
        }
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
