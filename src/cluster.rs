//! The nodes of one installation reach each other: a message to all of them, and a
//! request that gathers their answers within a deadline and says when it is partial.
//! Nothing is stored, and everything is said at most once. It stands on the bus of
//! either broker, and knows nothing of what its users say.

mod awaited_answers;
mod membership;
pub mod message;
mod peers;
mod subscription;

use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::StreamExt as _;
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::{Instant, timeout_at};

pub use message::{BadMessage, MESSAGE_BYTES, MessageHead};
pub use peers::{BEACON, PEER_TIME};
pub use subscription::{ClusterSubscription, ReceivedMessage};

use crate::{broker::Bus, metrics::Metrics};
use awaited_answers::AwaitedAnswers;
use membership::Membership;

/// A node among the nodes of its installation. Its users have it say something every
/// [`BEACON`], by which others know that it lives.
pub struct Cluster {
    bus: Arc<dyn Bus>,
    membership: Arc<Membership>,
}

/// The nodes that answer a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Responders {
    /// Every node, once: the request ends as soon as those that are known have answered.
    All,
    /// Every node, also ones that are not known yet: the whole deadline is waited for.
    AllAndUnknown,
    /// Nodes that have something to say: the whole deadline is waited for, and nobody is missed.
    Any,
}

/// The end of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gathered {
    /// Whether the request could be sent at all.
    pub reached: bool,
    /// Whether the answer of a node may be missing: one that is known to live did not
    /// answer in time, or nobody could be asked.
    pub partial: bool,
    /// The nodes that did not answer, as far as they are known by name.
    pub missing: Vec<String>,
    /// Whether this node has heard its own request, as others should have.
    pub echoed: bool,
}

impl Cluster {
    /// A node that nobody has heard yet.
    pub fn new(node: String, bus: Arc<dyn Bus>, metrics: Arc<Metrics>) -> Self {
        Self { bus, membership: Arc::new(Membership::new(node, metrics)) }
    }

    /// Name of this node.
    pub fn node(&self) -> &str {
        &self.membership.node
    }

    /// Whether it is certain that no other node listens.
    pub fn is_alone(&self) -> bool {
        self.bus.listeners().is_some_and(|listeners| listeners <= 1)
    }

    /// Whether all others were asked to answer since the broker was last away.
    pub fn has_discovered(&self) -> bool {
        self.membership.discovered.load(Ordering::Relaxed)
    }

    /// The broker was away: nodes may have come that were not heard.
    pub fn forget_discovery(&self) {
        self.membership.discovered.store(false, Ordering::Relaxed);
    }

    /// Forgets nodes that were silent for longer than [`PEER_TIME`].
    pub fn refresh(&self) {
        self.membership.refresh();
    }

    /// Whether the broker refuses to let this node listen: then it has to begin anew.
    pub fn is_refused(&self) -> bool {
        self.bus.is_refused()
    }

    /// Listens from now on; nothing when the bus has ended.
    pub async fn listen(&self) -> Option<ClusterSubscription> {
        Some(ClusterSubscription::new(self.bus.listen().await?, self.membership.clone()))
    }

    /// Says something to all others; false when that cannot leave now.
    pub async fn broadcast(&self, body: &impl Serialize) -> bool {
        self.say(&self.membership.head(), body, None).await
    }

    /// Answers a message.
    pub async fn answer(&self, reply_to: &str, body: &impl Serialize) {
        if self.membership.left.load(Ordering::Relaxed) {
            return;
        }
        let payload = message::write(&self.membership.head(), body);
        self.membership.count_sent(self.bus.answer(reply_to.to_owned(), payload).await);
    }

    /// Tells the others that this node leaves, and says nothing more from then on.
    /// `body` is for nodes of older versions, which know no such message.
    pub async fn leave(&self, body: &impl Serialize) {
        if self.is_alone() || self.membership.left.swap(true, Ordering::Relaxed) {
            return;
        }
        let head = MessageHead { leaving: true, ..self.membership.head() };
        self.membership.count_sent(self.bus.broadcast(message::write(&head, body), None).await);
    }

    /// Asks all others, and gives their answers with the names of their nodes as they
    /// come, until all that is awaited is there or the deadline is over.
    pub async fn request<A: DeserializeOwned>(
        &self,
        question: &impl Serialize,
        responders: Responders,
        deadline: Duration,
        mut answered: impl FnMut(String, A),
    ) -> Gathered {
        if self.is_alone() {
            return Gathered { reached: true, ..Gathered::default() };
        }
        let (end, echoes) = (Instant::now() + deadline, self.membership.echoes());
        let listeners = self.bus.listeners();
        let mut awaited = self.membership.awaited(listeners);
        // Where nodes may be there that nobody knows, their answers are waited for.
        let all_are_known = listeners.is_some() || (responders == Responders::All && self.has_discovered());
        let head = MessageHead { hello: responders == Responders::AllAndUnknown, ..self.membership.head() };
        let asked = async {
            let (inbox, answers) = self.bus.inbox().await?;
            self.say(&head, question, Some(inbox)).await.then_some(answers)
        };
        let Ok(Some(mut answers)) = timeout_at(end, asked).await else {
            return Gathered { partial: true, missing: awaited.nodes(), ..Gathered::default() };
        };
        while !(all_are_known && awaited.is_empty()) {
            let Ok(Some(payload)) = timeout_at(end, answers.next()).await else { break };
            match self.read(&payload, &mut awaited) {
                Ok((node, answer)) => answered(node, answer),
                Err(error) => self.membership.refuse(&error),
            }
        }
        if responders == Responders::AllAndUnknown {
            self.membership.discovered.store(true, Ordering::Relaxed);
        }
        let echoed = self.membership.echoes() > echoes;
        let partial = responders != Responders::Any && !awaited.is_empty();
        let missing = if partial { awaited.nodes() } else { Vec::new() };
        Gathered { reached: true, partial, missing, echoed }
    }

    fn read<A: DeserializeOwned>(
        &self,
        payload: &[u8],
        awaited: &mut AwaitedAnswers,
    ) -> Result<(String, A), BadMessage> {
        let head = message::head(payload)?;
        let answer = message::body(payload)?;
        self.membership.count_received();
        self.membership.hear(&head);
        awaited.remove(&head);
        Ok((head.node.unwrap_or_default(), answer))
    }

    async fn say(&self, head: &MessageHead, body: &impl Serialize, reply_to: Option<String>) -> bool {
        let left = self.membership.left.load(Ordering::Relaxed);
        let sent = !left && self.bus.broadcast(message::write(head, body), reply_to).await;
        self.membership.count_sent(sent);
        sent
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("instance", &self.membership.instance).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
