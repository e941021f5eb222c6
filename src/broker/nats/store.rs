//! Publishing into a stream: an event is handed to the connection at once, so
//! that those of one publisher stay in order, and is stored when JetStream says
//! so. It goes by a connection of our own, on which nothing else comes in: no answer
//! to it can break the connection, and events that clients publish do not hold
//! up those that they read.

use std::{sync::Arc, time::Duration};

use tokio::time::{sleep, timeout};

use crate::{
    broker::{
        contract::Acknowledgement,
        feed::{Feed, FeedId},
        nats::{
            block::block,
            random_ids::RandomIds,
            reading::{Acks, Interest, NotSent},
        },
        publish_error::PublishError,
    },
    event::message::Message,
    subject::Pattern,
};

/// How long a stream may take to acknowledge: an election takes some seconds.
/// As long an event may wait until the connection takes it.
const ACK_TIME: Duration = Duration::from_secs(5);

/// How often a node that leaves looks whether all is stored.
const LOOK: Duration = Duration::from_millis(10);

/// Says into which stream the event must go: another one that took the subject
/// over would acknowledge it too.
const EXPECTED_STREAM: &str = "Nats-Expected-Stream";

/// Publishes into streams.
#[derive(Debug)]
pub(crate) struct StreamPublisher {
    interest: Arc<Interest>,
    acks: Arc<Acks>,
    /// The prefix of the subjects that acknowledgements come to; a number
    /// follows.
    inbox: String,
    /// All of that.
    _feed: Feed,
    random_ids: RandomIds,
}

impl StreamPublisher {
    /// By a connection; `everything` is what stands below the inbox.
    pub(crate) fn new(
        interest: Arc<Interest>,
        acks: Arc<Acks>,
        inbox: String,
        everything: &Pattern,
        random_ids: RandomIds,
    ) -> Self {
        let feed = interest.open(FeedId::ACKS, everything);
        Self { interest, acks, inbox, _feed: feed, random_ids }
    }

    /// Returns when all that was published is acknowledged, or waited for no more.
    pub(crate) async fn flush(&self) {
        while !self.acks.is_empty() {
            sleep(LOOK).await;
        }
    }

    /// Hands an event over; the answer resolves when it is stored. Events leave in
    /// the order in which this is polled first.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub(crate) async fn submit(&self, stream: &Arc<str>, message: &Message) -> Result<Acknowledgement, PublishError> {
        let number = self.random_ids.number().ok_or(PublishError::Unavailable)?;
        let mut awaited = self.acks.expect(number, stream);
        let block = block(&message.envelope, &[(EXPECTED_STREAM, stream)]);
        let (subject, data) = (&message.subject, &message.envelope.data);
        let total = block.len() + data.len();
        let line = format!("HPUB {subject} {}.{} {} {total}\r\n", self.inbox, awaited.name(), block.len());
        let command = [line.as_bytes(), block.as_bytes(), data, b"\r\n"];
        match timeout(ACK_TIME, self.interest.send_in_turn(&command, total)).await {
            Ok(Ok(())) => Ok(Box::pin(async move { awaited.outcome(ACK_TIME).await })),
            Ok(Err(NotSent::TooLarge { max })) => Err(PublishError::TooLarge { max }),
            Ok(Err(NotSent::Offline | NotSent::Full)) | Err(_) => Err(PublishError::Unavailable),
        }
    }
}
