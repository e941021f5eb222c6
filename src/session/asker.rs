//! A connection at the moment at which something is begun for it.

use std::sync::Arc;

use crate::{grants::Grants, outbox::Outbox, session::shared::Shared, socket::ConnectionId};

/// A connection at the moment at which something is begun for it.
pub(crate) struct Asker<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) outbox: &'a Arc<Outbox>,
    /// What it may do now.
    pub(crate) grants: &'a Grants,
}

impl Asker<'_> {
    pub(crate) fn connection(&self) -> ConnectionId {
        self.outbox.wire().id()
    }

    /// How many things, and bytes of them, may wait for their turn: as much as a
    /// client may send at once.
    pub(crate) fn queue_limits(&self) -> (usize, usize) {
        let limits = &self.shared.limits;
        (limits.frames_burst as usize, limits.bytes_burst.bytes())
    }
}
