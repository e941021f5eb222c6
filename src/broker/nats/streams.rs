//! The streams of a configuration, for whoever looks after them.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::{
    broker::{
        nats::{
            error::NatsError,
            jetstream::{JetStream, Report, Wanted, direct_get, ensure_streams, state},
            last_refusal::LastRefusal,
            options::{self, NatsAccess},
        },
        stored::StreamState,
        stream_error::StreamError,
    },
    config::Config,
};

/// How long connecting may take.
const CONNECT_TIME: Duration = Duration::from_secs(4);

/// How long a stream may take until it answers Direct Get.
const DIRECT_GET_TIME: Duration = Duration::from_secs(2);

/// Between two attempts to ask it.
const PAUSE: Duration = Duration::from_millis(100);

/// The streams of a configuration, and a connection to look after them.
#[derive(Debug)]
pub struct Streams {
    jetstream: JetStream,
    wanted: Vec<Wanted>,
    refusal: LastRefusal,
}

impl Streams {
    /// Connects, once.
    ///
    /// # Errors
    /// See [`NatsError`].
    pub async fn connect(config: &Config) -> Result<Self, NatsError> {
        let refusal = LastRefusal::default();
        let heard = refusal.clone();
        let access = NatsAccess::of(config)?;
        let client =
            options::connect_once(&access, &config.broker.nats, CONNECT_TIME, move |event| heard.observe(event))
                .await?;
        let jetstream = JetStream::new(client, &config.broker.nats.jetstream_prefix());
        Ok(Self { jetstream, wanted: Wanted::all(config), refusal })
    }

    /// Whether each stream is as it has to be and can be read, by its name.
    pub async fn check(&self) -> Vec<(&str, Result<Report, StreamError>)> {
        self.ensure_streams(false).await
    }

    /// Makes each stream what it has to be, also where the configuration keeps
    /// nodes from it (`manage = false`).
    pub async fn apply(&self) -> Vec<(&str, Result<Report, StreamError>)> {
        self.ensure_streams(true).await
    }

    /// How far a stream has come.
    ///
    /// # Errors
    /// See [`StreamError`].
    pub async fn state(&self, name: &str) -> Result<StreamState, StreamError> {
        state(&self.jetstream, name).await.map_err(|error| self.refusal.explained(error))
    }

    async fn ensure_streams(&self, apply: bool) -> Vec<(&str, Result<Report, StreamError>)> {
        let mut results = Vec::new();
        for wanted in &self.wanted {
            let result = self.settle_one(wanted, apply).await.map_err(|error| self.refusal.explained(error));
            let lost = matches!(result, Err(StreamError::Away | StreamError::Silence { .. }));
            results.push((wanted.settings.name.as_str(), result));
            if lost {
                // The others would each wait as long, to learn the same.
                break;
            }
        }
        results
    }

    async fn settle_one(&self, wanted: &Wanted, apply: bool) -> Result<Report, StreamError> {
        let report = ensure_streams(&self.jetstream, wanted, apply).await?;
        // Servers take a moment until they answer for a stream that is new.
        let begun = Instant::now();
        loop {
            match direct_get(&self.jetstream, &wanted.settings.name).await {
                Err(StreamError::NoDirectGet { .. }) if begun.elapsed() < DIRECT_GET_TIME => sleep(PAUSE).await,
                result => return result.map(|()| report),
            }
        }
    }
}
