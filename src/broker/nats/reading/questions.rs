//! What a node has asked on one connection and has no answer to yet.

use std::sync::Arc;

use crate::broker::nats::reading::{acks::Acks, answers::Answers, replies::Replies};

/// What a node has asked on one connection and has no answer to yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Questions {
    /// Of streams.
    pub(crate) answers: Arc<Answers>,
    /// Of services.
    pub(crate) replies: Arc<Replies>,
    /// Whether streams have stored what was published.
    pub(crate) acks: Arc<Acks>,
}

impl Questions {
    /// The connection is gone, and with it what was under way.
    pub(crate) fn lost(&self) {
        self.answers.lost();
        self.replies.lost();
        self.acks.lost();
    }
}
