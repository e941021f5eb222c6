//! The context of a hub: its limits, and the services that all its parts use.

use std::sync::Arc;

use crate::{config::Overflow, metrics::Metrics, quota::Quotas, tasks::Tasks};

/// The limits of a hub, its tasks and its metrics.
#[derive(Debug)]
pub struct Context {
    /// Bytes of events that may wait for one pattern with many members.
    pub backlog_bytes: usize,
    /// The fate of live events for a connection without room.
    pub overflow: Overflow,
    /// Stored events that one subscription may be sent before it is live.
    pub replay_events: u64,
    /// Shapes of wildcards that one user may hold; 0: as many as come.
    pub wildcard_shapes: u32,
    /// How much may be read for a user.
    pub quotas: Arc<Quotas>,
    /// The owner of all tasks that it begins.
    pub tasks: Tasks,
    /// Where it counts.
    pub metrics: Arc<Metrics>,
}
