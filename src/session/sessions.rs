//! The sessions of a node: its services, and all that only sessions share.

use std::sync::Arc;

use crate::{
    outbox::Policy,
    services::NodeServices,
    session::{queue::QueueRoom, registry::Connections},
};

/// The sessions of a node: its services, and all that only sessions share.
#[derive(Debug)]
pub struct Sessions {
    /// The services of the node.
    pub services: Arc<NodeServices>,
    /// The registry, in which each session has an entry.
    pub registry: Arc<Connections>,
    /// The policy of all outboxes.
    pub policy: Arc<Policy>,
    /// Room for requests that wait for their turn.
    pub(crate) queue_room: Arc<QueueRoom>,
}

impl Sessions {
    /// No sessions yet.
    pub fn new(services: Arc<NodeServices>, registry: Arc<Connections>, policy: Policy) -> Arc<Self> {
        Arc::new(Self { services, registry, policy: Arc::new(policy), queue_room: Arc::default() })
    }
}
