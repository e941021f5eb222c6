//! Requests of a node on one connection that wait for their answers.

use std::sync::Arc;

use crate::broker::nats::reading::{acks::Acks, direct_get_replies::DirectGetReplies, request_replies::RequestReplies};

/// Requests of a node on one connection that wait for their answers.
#[derive(Clone, Debug, Default)]
pub(crate) struct PendingRequests {
    /// Of streams.
    pub(crate) direct_get_replies: Arc<DirectGetReplies>,
    /// Of services.
    pub(crate) request_replies: Arc<RequestReplies>,
    /// Whether streams have stored what was published.
    pub(crate) acks: Arc<Acks>,
}

impl PendingRequests {
    /// The connection is gone, and with it what was under way.
    pub(crate) fn lost(&self) {
        self.direct_get_replies.lost();
        self.request_replies.lost();
        self.acks.lost();
    }
}
