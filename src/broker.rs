//! Where events come from and go to: NATS, or this process itself. Each one
//! yields the same messages in the same order per publisher and subject.
//!
//! Another broker is another file here, which fulfils the [`contract`], and an
//! arm in [`connect`].

mod arrived;
mod attempts;
mod bus;
pub mod contract;
mod degraded;
mod feed;
mod memory;
mod nats;
mod publish_error;
mod request_error;
mod state;
mod stored;
mod stream_error;

use std::sync::Arc;

pub use arrived::Arrived;
pub use attempts::{Attempts, Failing};
pub use bus::{Bus, BusMessage};
pub use contract::{Acknowledgement, Broker, Connection, Intake};
pub use degraded::Degraded;
pub use feed::{Feed, FeedId};
pub use nats::{NatsError, Report, Streams, decode_all};
pub use publish_error::PublishError;
pub use request_error::RequestError;
pub use state::{BrokerState, Link};
pub use stored::{Page, Purpose, Query, ReadError, Receipt, Stored, StreamState};
pub use stream_error::{Difference, Differences, StreamError};

use crate::{
    classes::Classes,
    config::{BrokerKind, Config},
    metrics::Metrics,
    subject::BadSubject,
    tasks::Tasks,
};

/// Starts connecting, and goes on for ever; see [`Broker::state`]. Events come
/// out of the intakes, which the caller has to keep reading.
///
/// # Errors
/// When the settings cannot be used: an unreadable credentials file, a
/// malformed URL. A server that is away does not count as an error.
pub async fn connect(config: &Config, metrics: &Arc<Metrics>, tasks: &Tasks) -> Result<Connection, BrokerError> {
    let classes = Arc::new(Classes::of(config)?);
    Ok(match config.broker.kind {
        BrokerKind::Memory => memory::connect(config, classes, metrics),
        BrokerKind::Nats => nats::connect(config, &classes, metrics, tasks).await?,
    })
}

/// Why a broker cannot even be looked for.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The prefix of a stream, or a pattern, is malformed.
    #[error("a stream's republish_prefix, or the pattern of a rule in subjects: it {0}")]
    Subject(#[from] BadSubject),
    /// The settings of NATS cannot be used.
    #[error(transparent)]
    Nats(#[from] NatsError),
}
