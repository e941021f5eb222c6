//! The connection that a request comes from, as requests in flight see it.

use std::sync::Arc;

use crate::{access::grants::Grants, outbox::Outbox, services::NodeServices, socket::ConnectionId};

/// The connection that a request comes from.
pub(crate) struct Requester<'a> {
    pub(crate) services: &'a NodeServices,
    pub(crate) outbox: &'a Arc<Outbox>,
    /// Its present grants.
    pub(crate) grants: &'a Grants,
}

impl Requester<'_> {
    pub(crate) fn connection(&self) -> ConnectionId {
        self.outbox.wire().id()
    }

    /// How many things, and bytes of them, may wait for their turn: as much as a
    /// client may send at once.
    pub(crate) fn queue_limits(&self) -> (usize, usize) {
        let limits = &self.services.limits;
        (limits.frames_burst as usize, limits.bytes_burst.bytes())
    }
}
