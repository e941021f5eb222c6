//! The guard of an open connection, which keeps the connection counts right.

use std::sync::Arc;

use crate::{admission::Permit, close::CloseReason, metrics::Transport, outbox::Outbox, session::sessions::Sessions};

/// Counts an open connection, and its end with the reason.
#[derive(Debug)]
pub(crate) struct ConnectionGuard {
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) permit: Arc<Permit>,
}

impl ConnectionGuard {
    pub(crate) fn new(sessions: Arc<Sessions>, outbox: Arc<Outbox>, permit: Arc<Permit>) -> Self {
        let metrics = &sessions.services.metrics;
        metrics.connections.increment(1);
        metrics.transport_connections.of(transport(&outbox)).increment(1);
        metrics.connections_opened.increment(1);
        Self { sessions, outbox, permit }
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.outbox.close(CloseReason::Internal);
        }
        let reason = self.outbox.closed().unwrap_or(CloseReason::Lost);
        let metrics = &self.sessions.services.metrics;
        metrics.connections.decrement(1);
        metrics.transport_connections.of(transport(&self.outbox)).decrement(1);
        metrics.connections_closed.of(reason).increment(1);
    }
}

/// The transport by which the frames of a connection reach its client.
fn transport(outbox: &Outbox) -> Transport {
    match outbox.framing().answers_pings() {
        true => Transport::WebSocket,
        false if outbox.wire().is_memory() => Transport::Poll,
        false => Transport::Events,
    }
}
