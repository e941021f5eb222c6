//! The guard of an open connection, which keeps the connection counts right.

use std::sync::Arc;

use crate::{admission::Permit, close::CloseReason, outbox::Outbox, session::node_services::NodeServices};

/// Counts an open connection, and its end with the reason.
#[derive(Debug)]
pub(crate) struct ConnectionGuard {
    pub(crate) services: Arc<NodeServices>,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) permit: Arc<Permit>,
}

impl ConnectionGuard {
    pub(crate) fn new(services: Arc<NodeServices>, outbox: Arc<Outbox>, permit: Arc<Permit>) -> Self {
        services.metrics.connections.increment(1);
        services.metrics.connections_opened.increment(1);
        Self { services, outbox, permit }
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.outbox.close(CloseReason::Internal);
        }
        let reason = self.outbox.closed().unwrap_or(CloseReason::Lost);
        self.services.metrics.connections.decrement(1);
        self.services.metrics.connections_closed.of(reason).increment(1);
    }
}
