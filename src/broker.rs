//! Where events come from and go to: NATS, or this process itself. Either one
//! yields the same messages in the same order per publisher and subject.

pub mod headers;
mod intake;
mod memory;
mod message;
mod nats;
mod publish_error;
mod request_error;
mod state;
mod stored;

use std::{sync::Arc, time::Duration};

pub use intake::{Arrived, FeedId};
pub use memory::Memory;
pub use message::{LAST_TIME, Message, Place, unix_millis};
pub use nats::{Difference, Differences, Ear, Heard, Line, Nats, NatsError, Report, StreamError, Streams, overhear};
pub use publish_error::PublishError;
pub use request_error::RequestError;
pub use state::{BrokerState, Link};
pub use stored::{Page, PageSize, Query, ReadError, Receipt, Stored, StreamState};

use crate::{
    classes::{Classes, StreamIndex},
    config::{BrokerKind, Config},
    drain::Tasks,
    metrics::Metrics,
    proto::Envelope,
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
        let classes = Arc::new(Classes::of(config).map_err(NatsError::Subject)?);
        Ok(match config.broker.kind {
            BrokerKind::Memory => {
                let (memory, intake) = Memory::new(config, classes, metrics.clone());
                (Self::Memory(memory), vec![Intake(Inlet::Memory(intake))])
            }
            BrokerKind::Nats => {
                let (nats, intakes) = Nats::connect(config, &classes, metrics, tasks).await?;
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

    /// Makes each stream what it has to be, or finds that it is; a stream can be
    /// read from then on.
    ///
    /// # Errors
    /// The name of the first stream that cannot be served, and why; a broker
    /// that is away is waited for.
    pub async fn settle(&self) -> Result<(), (String, StreamError)> {
        match self {
            Self::Nats(nats) => nats.settle().await,
            Self::Memory(_) => Ok(()),
        }
    }

    /// Follows a stream: once the feed is open, all that is stored arrives. What
    /// gets lost on the way shows as a hole in its sequences, or, if it was the
    /// last, by comparison with [`Self::stream_state`]. An intake tells again
    /// that the feed is open whenever something may have been lost.
    pub fn tail(&self, stream: StreamIndex) -> Feed {
        Feed(match self {
            Self::Nats(nats) => Source::Nats(nats.tail(stream)),
            Self::Memory(memory) => Source::Memory(memory.tail(stream)),
        })
    }

    /// Reads a page of what a stream keeps. Whoever answers may lag behind the
    /// stream: only what [`Page::through`] covers is certain.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn read(&self, stream: StreamIndex, query: &Query, size: PageSize) -> Result<Page, ReadError> {
        match self {
            Self::Nats(nats) => nats.read(stream, query, size).await,
            Self::Memory(memory) => memory.read(stream, query, size),
        }
    }

    /// Reads a page of what a stream keeps from a sequence on, without going by
    /// a copy that may lag: slow, for when one does.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn read_leader(&self, stream: StreamIndex, from: u64) -> Result<Page, ReadError> {
        match self {
            Self::Nats(nats) => nats.read_leader(stream, from).await,
            Self::Memory(memory) => memory.read(stream, &Query::From(from), PageSize { events: 64, bytes: 1 << 20 }),
        }
    }

    /// What a stream is now, certain as of the question.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn stream_state(&self, stream: StreamIndex) -> Result<StreamState, ReadError> {
        match self {
            Self::Nats(nats) => nats.stream_state(stream).await,
            Self::Memory(memory) => Ok(memory.stream_state(stream)),
        }
    }

    /// Through which sequence a stream keeps nothing, from one on and at most to
    /// another, up to which something was stored at some time; nothing when it
    /// keeps the first of them. Certain as of the question.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn gone(&self, stream: StreamIndex, from: u64, to: u64) -> Result<Option<u64>, ReadError> {
        match self {
            Self::Nats(nats) => nats.gone(stream, from, to).await,
            Self::Memory(memory) => Ok(memory.gone(stream, from, to)),
        }
    }

    /// Publishes one event into its stream, and returns once it is stored.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn store(&self, stream: StreamIndex, message: Message) -> Result<Receipt, PublishError> {
        match self {
            Self::Nats(nats) => nats.store(stream, message).await,
            Self::Memory(memory) => Ok(memory.store(stream, message)),
        }
    }

    /// Publishes one event that nothing stores.
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

    /// Asks whoever listens on a subject, and waits at most so long for the first
    /// answer. In this process nobody listens: services live at NATS.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn request(&self, message: Message, wait: Duration) -> Result<Envelope, RequestError> {
        match self {
            Self::Nats(nats) => nats.request(message, wait).await,
            Self::Memory(_) => Err(RequestError::NoResponders),
        }
    }

    /// Returns when all that was published has left this process, or will not.
    pub async fn flush(&self) {
        if let Self::Nats(nats) = self {
            nats.flush().await;
        }
    }

    /// Where nodes talk to each other; nothing where there is only one.
    pub fn line(&self) -> Option<&Line> {
        match self {
            Self::Nats(nats) => Some(nats.line()),
            Self::Memory(_) => None,
        }
    }

    /// What each subject promises.
    pub fn classes(&self) -> &Arc<Classes> {
        match self {
            Self::Nats(nats) => nats.classes(),
            Self::Memory(memory) => memory.classes(),
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
    /// Whether it reads a socket, so that each look wakes somebody up.
    pub fn is_remote(&self) -> bool {
        matches!(self.0, Inlet::Nats(_))
    }

    /// Waits until something has arrived. What nobody reads stays with the
    /// broker as long as that has room.
    pub async fn next(&mut self, arrived: &mut Arrived) {
        match &mut self.0 {
            Inlet::Nats(intake) => intake.next(arrived).await,
            Inlet::Memory(intake) => intake.next(arrived).await,
        }
    }
}
