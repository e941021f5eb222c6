//! Asking services: request and reply of NATS core. Both go by the connection
//! that reads, because no publisher can break that one, and because only the
//! connection that asks is told that nobody listens.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::time::timeout;

use crate::{
    broker::{
        feed::{Feed, FeedId},
        nats::{
            block::block,
            random_ids::RandomIds,
            reading::{Awaited, Interest, NotSent, RequestReplies},
        },
        request_error::RequestError,
    },
    event::message::Message,
    proto::Envelope,
    subject::Pattern,
};

/// Asks services.
#[derive(Debug)]
pub(crate) struct Services {
    interest: Arc<Interest>,
    request_replies: Arc<RequestReplies>,
    /// The prefix of the subjects that answers come to; a number follows.
    inbox: String,
    /// All of that.
    everything: Pattern,
    /// Exists once somebody has asked: a node whose clients ask nobody needs no
    /// permission for it.
    feed: OnceLock<Feed>,
    random_ids: RandomIds,
}

impl Services {
    pub(crate) fn new(
        interest: Arc<Interest>,
        request_replies: Arc<RequestReplies>,
        inbox: String,
        everything: Pattern,
        random_ids: RandomIds,
    ) -> Self {
        Self { interest, request_replies, inbox, everything, feed: OnceLock::new(), random_ids }
    }

    /// Asks whoever listens on the subject, and waits for the first answer.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub(crate) async fn ask(&self, message: Message, wait: Duration) -> Result<Envelope, RequestError> {
        let mut awaited = self.send(&message)?;
        // It waits with the connection's commands, which are counted.
        drop(message);
        timeout(wait, awaited.answer()).await.unwrap_or(Err(RequestError::Timeout))
    }

    /// Has the question sent.
    fn send(&self, message: &Message) -> Result<Awaited, RequestError> {
        let number = self.random_ids.number().ok_or(RequestError::Unavailable)?;
        let awaited = self.request_replies.expect(number);
        // Before the question: a server handles one client's commands in order.
        self.feed.get_or_init(|| self.interest.open(FeedId::REPLIES, &self.everything));
        let block = block(&message.envelope, &[]);
        let data = &message.envelope.data;
        let (subject, reply) = (&message.subject, awaited.name());
        let total = block.len() + data.len();
        let line = format!("HPUB {subject} {}.{reply} {} {total}\r\n", self.inbox, block.len());
        let sent = self.interest.send(&[line.as_bytes(), block.as_bytes(), data, b"\r\n"], total);
        sent.map_err(|why| match why {
            NotSent::Offline => RequestError::Unavailable,
            NotSent::Full => RequestError::Busy,
            NotSent::TooLarge { max } => RequestError::TooLarge { max },
        })?;
        Ok(awaited)
    }
}
