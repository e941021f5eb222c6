//! The streams of a configuration, for whoever looks after them.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_nats::{Event, ServerError};

use crate::{
    broker::{
        nats::{
            error::NatsError,
            jetstream::{JetStream, Report, Wanted, settle, state},
            options::{self, Access},
        },
        stored::StreamState,
        stream_error::StreamError,
    },
    config::Config,
};

/// How long connecting may take.
const CONNECT_TIME: Duration = Duration::from_secs(4);

/// The streams of a configuration, and a connection to look after them.
#[derive(Debug)]
pub struct Streams {
    jetstream: JetStream,
    wanted: Vec<Wanted>,
    refusal: Refusal,
}

/// The last refusal that the server told the connection of.
type Refusal = Arc<Mutex<Option<String>>>;

impl Streams {
    /// Connects, once.
    ///
    /// # Errors
    /// See [`NatsError`].
    pub async fn connect(config: &Config) -> Result<Self, NatsError> {
        let refusal = Refusal::default();
        let heard = refusal.clone();
        let hear = move |event: &Event| {
            if let Event::ServerError(ServerError::Other(said)) = event {
                *heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(said.clone());
            }
        };
        let access = Access::of(config)?;
        let client = options::connect_once(&access, &config.broker.nats, CONNECT_TIME, hear).await?;
        let jetstream = JetStream::new(client, &config.broker.nats.jetstream_prefix());
        Ok(Self { jetstream, wanted: Wanted::all(config), refusal })
    }

    /// Whether each stream is as it has to be, by its name.
    pub async fn check(&self) -> Vec<(&str, Result<Report, StreamError>)> {
        self.settle(false).await
    }

    /// Makes each stream what it has to be, also where the configuration keeps
    /// nodes from it (`manage = false`).
    pub async fn apply(&self) -> Vec<(&str, Result<Report, StreamError>)> {
        self.settle(true).await
    }

    /// How far a stream has come.
    ///
    /// # Errors
    /// See [`StreamError`].
    pub async fn state(&self, name: &str) -> Result<StreamState, StreamError> {
        state(&self.jetstream, name).await.map_err(|error| self.explained(error))
    }

    async fn settle(&self, apply: bool) -> Vec<(&str, Result<Report, StreamError>)> {
        let mut results = Vec::new();
        for wanted in &self.wanted {
            let result = settle(&self.jetstream, wanted, apply).await.map_err(|error| self.explained(error));
            let lost = matches!(result, Err(StreamError::Away | StreamError::Silence { .. }));
            results.push((wanted.settings.name.as_str(), result));
            if lost {
                // The others would each wait as long, to learn the same.
                break;
            }
        }
        results
    }

    /// Finds the reason for a silence among what the server told the connection:
    /// a refusal names the subject, or the inbox that all requests share.
    fn explained(&self, error: StreamError) -> StreamError {
        let said = self.refusal.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match (error, said) {
            (StreamError::Silence { subject }, Some(said))
                if said.contains(&subject) || said.contains("Subscription") =>
            {
                StreamError::Denied { subject, said }
            }
            (error, _) => error,
        }
    }
}
