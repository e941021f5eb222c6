//! The policy of all outboxes of a node.

use std::{sync::Arc, time::Duration};

use crate::{metrics::Metrics, tasks::Tasks};

/// The policy of all outboxes of a node.
#[derive(Debug)]
pub struct Policy {
    /// Bytes that may wait. One frame may exceed it, so that an event larger
    /// than the limit still reaches a client that keeps up.
    pub bytes: usize,
    /// Frames that may wait.
    pub frames: usize,
    /// From our Close to the end of the connection, whatever the peer does.
    pub close_time: Duration,
    /// The time after which a peer that takes nothing while something waits is
    /// closed, and in which it has to take its share (`progress.rs`).
    pub stall_time: Duration,
    /// Owner of the tasks that drain.
    pub tasks: Tasks,
    /// Where it counts.
    pub metrics: Arc<Metrics>,
}
