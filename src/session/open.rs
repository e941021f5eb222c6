//! That a connection is open: counted as long as it is, and its end with the reason.

use std::sync::Arc;

use crate::{close::CloseReason, gate::Permit, outbox::Outbox, session::shared::Shared};

/// Counts an open connection, and its end with the reason.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) shared: Arc<Shared>,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) permit: Arc<Permit>,
}

impl Open {
    pub(crate) fn new(shared: Arc<Shared>, outbox: Arc<Outbox>, permit: Arc<Permit>) -> Self {
        shared.metrics.connections.increment(1);
        shared.metrics.connections_opened.increment(1);
        Self { shared, outbox, permit }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.outbox.close(CloseReason::Internal);
        }
        let reason = self.outbox.closed().unwrap_or(CloseReason::Lost);
        self.shared.metrics.connections.decrement(1);
        self.shared.metrics.connections_closed.of(reason).increment(1);
    }
}
