//! The cluster channel: a subject on which the nodes of an installation reach each
//! other, at most once. Permissions at NATS decide which clients may use it.

use std::{sync::Arc, time::Duration};

use async_nats::{Client, Subscriber, connection};
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::time::{Instant, timeout, timeout_at};

use crate::broker::{degraded::Degraded, feed::FeedId};

/// Time for which a message may wait for room in the client's command queue.
const SAY_TIME: Duration = Duration::from_secs(2);

/// The channel between the nodes of one installation.
#[derive(Clone, Debug)]
pub struct Cluster {
    client: Client,
    subject: String,
    degraded: Arc<Degraded>,
}

/// A message of another node.
#[derive(Debug)]
pub struct ClusterMessage {
    /// The bytes of the message.
    pub payload: Bytes,
    /// Where it waits for answers, if it does.
    pub reply_to: Option<String>,
}

/// A subscription to the channel. It lives through outages; messages that are sent
/// meanwhile are lost.
#[derive(Debug)]
pub struct ClusterSubscription {
    subscriber: Subscriber,
    /// The prefix of the subjects for answers.
    answers: String,
}

impl Cluster {
    pub(crate) fn new(client: Client, subject: String, degraded: Arc<Degraded>) -> Self {
        Self { client, subject, degraded }
    }

    /// Whether the broker lets this node not listen: then it has to begin anew.
    pub fn is_refused(&self) -> bool {
        self.degraded.is_refused(FeedId::CONTROL)
    }

    /// Whether anybody would hear.
    fn is_up(&self) -> bool {
        self.client.connection_state() == connection::State::Connected
    }

    /// Begins to listen; nothing when the client has ended.
    pub async fn listen(&self) -> Option<ClusterSubscription> {
        self.degraded.allow(FeedId::CONTROL);
        let subscriber = self.client.subscribe(self.subject.clone()).await.ok()?;
        Some(ClusterSubscription { subscriber, answers: format!("{}.", self.subject) })
    }

    /// Says something to all; false when it cannot leave now.
    pub async fn tell(&self, payload: Bytes) -> bool {
        self.publish(self.subject.clone(), None, payload).await
    }

    /// Says something to all, and gives the answers that come within a time.
    pub async fn ask(&self, payload: Bytes, patience: Duration, mut answer: impl FnMut(&[u8])) -> bool {
        // Below our own subject, so that nodes need no permission for another.
        let answers = format!("{}.{:016x}", self.subject, fastrand::u64(..));
        let Ok(mut subscriber) = self.client.subscribe(answers.clone()).await else { return false };
        if !self.publish(self.subject.clone(), Some(answers), payload).await {
            return false;
        }
        let end = Instant::now() + patience;
        while let Ok(Some(message)) = timeout_at(end, subscriber.next()).await {
            answer(&message.payload);
        }
        true
    }

    /// Answers what was asked.
    pub async fn answer(&self, reply_to: String, payload: Bytes) -> bool {
        self.publish(reply_to, None, payload).await
    }

    async fn publish(&self, subject: String, reply_to: Option<String>, payload: Bytes) -> bool {
        if !self.is_up() {
            return false;
        }
        let said = async {
            match reply_to {
                Some(reply_to) => self.client.publish_with_reply(subject, reply_to, payload).await,
                None => self.client.publish(subject, payload).await,
            }
        };
        matches!(timeout(SAY_TIME, said).await, Ok(Ok(())))
    }
}

impl ClusterSubscription {
    /// The next thing that is said; nothing when the client has ended.
    pub async fn next(&mut self) -> Option<ClusterMessage> {
        let message = self.subscriber.next().await?;
        // An answer goes nowhere else, whatever the question says.
        let reply_to = message.reply.map(|subject| subject.to_string());
        let reply_to = reply_to.filter(|subject| subject.starts_with(&self.answers));
        Some(ClusterMessage { payload: message.payload, reply_to })
    }
}
