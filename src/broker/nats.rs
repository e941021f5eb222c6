//! NATS core: a connection of our own to read from, `async-nats` to publish.

mod address;
mod error;
mod feed;
mod identity;
mod options;
mod tls;

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
    time::Duration,
};

use async_nats::{Client, HeaderMap, HeaderName, HeaderValue, client::PublishErrorKind, connection};

pub use error::NatsError;
pub use feed::overhear;
pub(crate) use feed::{NatsFeed, NatsIntake};

use crate::{
    broker::{
        headers::{self, Reader},
        intake::FeedIds,
        message::Message,
        publish_error::PublishError,
        state::{BrokerState, Part},
    },
    config::Config,
    drain::Tasks,
    metrics::Metrics,
    subject::Pattern,
};
use feed::{Interest, Manner, Servers, Sieve, Signal};
use options::Access;

/// How long a publish may wait for room in the client's command queue.
const PUBLISH_TIME: Duration = Duration::from_secs(2);

/// The client's events can be lost when they come in bursts, so the state is
/// also compared this often.
const STATE_CHECK: Duration = Duration::from_secs(1);

/// A NATS server or cluster.
#[derive(Debug)]
pub struct Nats {
    client: Client,
    state: Arc<BrokerState>,
    feeds: FeedIds,
    /// One for each connection that is read from.
    interests: Vec<Arc<Interest>>,
    /// Spreads patterns over them.
    spread: RandomState,
}

impl Nats {
    /// Starts connecting and returns; `state` tells when it is connected.
    ///
    /// # Errors
    /// See [`NatsError`].
    pub(crate) async fn connect(
        config: &Config,
        metrics: &Arc<Metrics>,
        tasks: &Tasks,
    ) -> Result<(Self, Vec<NatsIntake>), NatsError> {
        let access = Access::of(config)?;
        let nats = &config.broker.nats;
        let connections = nats.read_connections();
        let state = Arc::new(BrokerState::away(1 + connections, metrics.clone()));
        let client = options::connect(&access, nats, metrics, &state).await?;
        tasks.spawn_vital("broker state", watch(client.clone(), state.clone()));
        let sieve = Sieve::new(Reader::new(&config.events.forward_headers), metrics.clone());
        let (interests, intakes) = (0..connections)
            .map(|number| {
                let interest = Arc::<Interest>::default();
                let manner = Manner {
                    name: access.name.clone(),
                    identity: access.identity.clone(),
                    tls: access.tls.clone(),
                    tls_required: nats.tls.required,
                    tls_first: nats.tls.first,
                    payload_bytes: config.limits.event_bytes.bytes(),
                };
                let intake = NatsIntake::new(
                    Servers::new(access.servers.clone()),
                    manner,
                    nats.ping_interval.duration(),
                    interest.clone(),
                    sieve.clone(),
                    Signal { state: state.clone(), part: Part::Reading(number), metrics: metrics.clone() },
                );
                (interest, intake)
            })
            .unzip();
        Ok((Self { client, state, feeds: FeedIds::default(), interests, spread: RandomState::new() }, intakes))
    }

    pub(crate) fn open(&self, pattern: &Pattern) -> NatsFeed {
        // Always the same connection for a pattern, so that its order outlasts its members.
        let place = self.spread.hash_one(pattern) as usize % self.interests.len();
        self.interests[place].open(self.feeds.next(), pattern)
    }

    pub(crate) async fn publish(&self, message: Message) -> Result<(), PublishError> {
        if !is_connected(&self.client) {
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
        let up = is_connected(&self.client);
        if up && !matches!(tokio::time::timeout(PUBLISH_TIME, self.client.flush()).await, Ok(Ok(()))) {
            tracing::warn!("some events may not have reached NATS");
        }
    }

    pub(crate) fn state(&self) -> &BrokerState {
        &self.state
    }
}

fn is_connected(client: &Client) -> bool {
    client.connection_state() == connection::State::Connected
}

/// Keeps the state true, whatever becomes of the client's events.
async fn watch(client: Client, state: Arc<BrokerState>) {
    let mut check = tokio::time::interval(STATE_CHECK);
    loop {
        check.tick().await;
        state.observe(Part::Publishing, is_connected(&client));
    }
}
