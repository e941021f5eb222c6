//! The settings and services that the fan-outs of all live patterns share.

use std::sync::Arc;

use crate::{config::Overflow, metrics::Metrics, tasks::Tasks};

/// The settings and services that all topics of a node share.
#[derive(Clone, Debug)]
pub(crate) struct LiveFanOut {
    /// Bytes of events that may wait for one pattern with many members.
    pub(crate) backlog_bytes: usize,
    /// The fate of events for a connection without room.
    pub(crate) overflow: Overflow,
    /// Owner of the tasks that work them off.
    pub(crate) tasks: Tasks,
    /// Where it counts.
    pub(crate) metrics: Arc<Metrics>,
}
