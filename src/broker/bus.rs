//! The bus between the nodes that share a broker: short messages to all of them, each
//! at most once. Permissions at the broker decide who may use it.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

/// The bus between the nodes of an installation.
#[async_trait]
pub trait Bus: fmt::Debug + Send + Sync {
    /// Listens from now on to what nodes say to all, this node included; nothing
    /// when the bus has ended. The stream lives through outages; messages that are
    /// sent meanwhile are lost.
    async fn listen(&self) -> Option<BoxStream<'static, BusMessage>>;

    /// An address for answers that nobody else has, and the answers that come to it.
    async fn inbox(&self) -> Option<(String, BoxStream<'static, Bytes>)>;

    /// Sends a message to all nodes, this one included, and says where it waits for
    /// answers; false when the message cannot leave now.
    async fn broadcast(&self, payload: Bytes, reply_to: Option<String>) -> bool;

    /// Sends an answer to an inbox; false when the answer cannot leave now.
    async fn answer(&self, inbox: String, payload: Bytes) -> bool;

    /// How many nodes listen, this one included, where the bus knows.
    fn listeners(&self) -> Option<usize> {
        None
    }

    /// Whether the broker refuses to let this node listen: then it has to begin anew.
    fn is_refused(&self) -> bool {
        false
    }
}

/// A message of a node to all.
#[derive(Clone, Debug)]
pub struct BusMessage {
    /// The bytes of the message.
    pub payload: Bytes,
    /// The inbox in which answers are awaited, if they are.
    pub reply_to: Option<String>,
}
