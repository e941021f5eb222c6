//! Where events come from and go to: NATS, or this process itself. Either one
//! yields the same messages in the same order per publisher and subject.

pub mod headers;
mod memory;
mod message;
mod nats;
mod publish_error;
mod state;

use std::sync::Arc;

pub use memory::Memory;
pub use message::{LAST_TIME, Message, unix_millis};
pub use nats::{Nats, NatsError};
pub use publish_error::PublishError;
pub use state::{BrokerState, Link};

use crate::{
    config::{BrokerKind, Config},
    drain::Tasks,
    metrics::Metrics,
    subject::Pattern,
};

/// A connection to one kind of broker.
#[derive(Debug)]
pub enum Broker {
    /// A NATS server or cluster.
    Nats(Box<Nats>),
    /// This process.
    Memory(Memory),
}

impl Broker {
    /// Starts connecting, and goes on for ever; see [`Self::state`].
    ///
    /// # Errors
    /// When the settings cannot be used: an unreadable credentials file, a URL
    /// that is none. A server that is away is no error.
    pub async fn connect(config: &Config, metrics: &Arc<Metrics>, tasks: &Tasks) -> Result<Self, NatsError> {
        Ok(match config.broker.kind {
            BrokerKind::Memory => Self::Memory(Memory::new(&config.events.forward_headers, metrics.clone())),
            BrokerKind::Nats => Self::Nats(Box::new(Nats::connect(config, metrics, tasks).await?)),
        })
    }

    /// Opens the live feed of one pattern. Returns once it is certain that the
    /// server knows of it: what is published from then on arrives. Waits while
    /// the broker is away.
    pub async fn open(&self, pattern: &Pattern) -> Feed {
        match self {
            Self::Nats(nats) => Feed(Source::Nats(nats.open(pattern).await)),
            Self::Memory(memory) => Feed(Source::Memory(memory.open(pattern))),
        }
    }

    /// Publishes one event.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn publish(&self, message: Message) -> Result<(), PublishError> {
        match self {
            Self::Nats(nats) => nats.publish(message).await,
            Self::Memory(memory) => {
                memory.publish(message);
                Ok(())
            }
        }
    }

    /// Returns when all that was published has left this process, or will not.
    pub async fn flush(&self) {
        if let Self::Nats(nats) = self {
            nats.flush().await;
        }
    }

    /// Whether the broker is there, now and as it changes.
    pub fn state(&self) -> &BrokerState {
        match self {
            Self::Nats(nats) => nats.state(),
            Self::Memory(memory) => memory.state(),
        }
    }
}

/// The events of one pattern as they arrive. Dropping it ends the
/// subscription at the broker.
#[derive(Debug)]
pub struct Feed(Source);

#[derive(Debug)]
enum Source {
    Nats(nats::NatsFeed),
    Memory(memory::MemoryFeed),
}

impl Feed {
    /// Waits for events and appends all that are there, at most `most`. False
    /// when no more will come. Cancel-safe.
    pub async fn next(&mut self, batch: &mut Vec<Arc<Message>>, most: usize) -> bool {
        match &mut self.0 {
            Source::Nats(feed) => feed.next(batch, most).await,
            Source::Memory(feed) => feed.next(batch, most).await,
        }
    }
}
