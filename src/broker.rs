//! Where events come from and go to: NATS, or this process itself. Either one
//! yields the same messages in the same order per publisher and subject.

pub mod headers;
mod intake;
mod memory;
mod message;
mod nats;
mod publish_error;
mod state;

use std::sync::Arc;

pub use intake::{Arrived, FeedId};
pub use memory::Memory;
pub use message::{LAST_TIME, Message, unix_millis};
pub use nats::{Nats, NatsError, overhear};
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
    /// Starts connecting, and goes on for ever; see [`Self::state`]. What
    /// arrives comes out of the intakes, which somebody has to keep reading.
    ///
    /// # Errors
    /// When the settings cannot be used: an unreadable credentials file, a URL
    /// that is none. A server that is away is no error.
    pub async fn connect(
        config: &Config,
        metrics: &Arc<Metrics>,
        tasks: &Tasks,
    ) -> Result<(Self, Vec<Intake>), NatsError> {
        Ok(match config.broker.kind {
            BrokerKind::Memory => {
                let (memory, intake) = Memory::new(&config.events.forward_headers, metrics.clone());
                (Self::Memory(memory), vec![Intake(Inlet::Memory(intake))])
            }
            BrokerKind::Nats => {
                let (nats, intakes) = Nats::connect(config, metrics, tasks).await?;
                let intakes = intakes.into_iter().map(|intake| Intake(Inlet::Nats(Box::new(intake)))).collect();
                (Self::Nats(Box::new(nats)), intakes)
            }
        })
    }

    /// Opens a feed of one pattern. An intake tells when it is open; while the
    /// broker is away, that is once it is back.
    pub fn open(&self, pattern: &Pattern) -> Feed {
        Feed(match self {
            Self::Nats(nats) => Source::Nats(nats.open(pattern)),
            Self::Memory(memory) => Source::Memory(memory.open(pattern)),
        })
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

/// Keeps a pattern's events coming. Dropping it ends the subscription at the
/// broker; what is on its way may still arrive.
#[derive(Debug)]
pub struct Feed(Source);

#[derive(Debug)]
enum Source {
    Nats(nats::NatsFeed),
    Memory(memory::MemoryFeed),
}

impl Feed {
    /// By what its events are known.
    pub fn id(&self) -> FeedId {
        match &self.0 {
            Source::Nats(feed) => feed.id(),
            Source::Memory(feed) => feed.id(),
        }
    }
}

/// Where events come in: all that arrives for some of the feeds. A feed stays
/// with one intake.
#[derive(Debug)]
pub struct Intake(Inlet);

#[derive(Debug)]
enum Inlet {
    Nats(Box<nats::NatsIntake>),
    Memory(memory::MemoryIntake),
}

impl Intake {
    /// Waits until something has arrived. What nobody reads stays with the
    /// broker as long as that has room.
    pub async fn next(&mut self, arrived: &mut Arrived) {
        match &mut self.0 {
            Inlet::Nats(intake) => intake.next(arrived).await,
            Inlet::Memory(intake) => intake.next(arrived).await,
        }
    }
}
