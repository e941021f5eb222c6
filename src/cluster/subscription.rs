//! What other nodes say to all: messages that make sense, each counted.

use std::sync::Arc;

use futures_util::{StreamExt as _, stream::BoxStream};
use serde::de::DeserializeOwned;

use crate::{
    broker::BusMessage,
    cluster::{
        membership::Membership,
        message::{self, BadMessage},
    },
};

/// Messages of other nodes, from the moment on at which it was made.
pub struct ClusterSubscription {
    heard: BoxStream<'static, BusMessage>,
    membership: Arc<Membership>,
}

/// A message of another node.
#[derive(Debug)]
pub struct ReceivedMessage<M> {
    /// What it says.
    pub body: M,
    /// Whether each node has to answer, also one that has nothing to say.
    pub hello: bool,
    /// Where answers are awaited, if they are.
    pub reply_to: Option<String>,
}

impl ClusterSubscription {
    pub(crate) fn new(heard: BoxStream<'static, BusMessage>, membership: Arc<Membership>) -> Self {
        Self { heard, membership }
    }

    /// The next message of another node; nothing when the bus has ended.
    pub async fn next<M: DeserializeOwned>(&mut self) -> Option<ReceivedMessage<M>> {
        loop {
            let BusMessage { payload, reply_to } = self.heard.next().await?;
            match self.read(&payload) {
                Ok(Some((body, hello))) => return Some(ReceivedMessage { body, hello, reply_to }),
                Ok(None) => {}
                Err(error) => self.membership.refuse(&error),
            }
        }
    }

    /// Reads a message; nothing if it is one of this node, or says no more than that a node leaves.
    fn read<M: DeserializeOwned>(&self, payload: &[u8]) -> Result<Option<(M, bool)>, BadMessage> {
        let head = message::head(payload)?;
        if head.from.is_none() {
            return Err(BadMessage::Anonymous);
        }
        if self.membership.is_own(&head) {
            return Ok(None);
        }
        // Also of a node that says something that only later versions know.
        self.membership.hear(&head);
        let body = if head.leaving { None } else { Some((message::body(payload)?, head.hello)) };
        self.membership.count_received();
        Ok(body)
    }
}
