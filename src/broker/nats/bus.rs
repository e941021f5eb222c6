//! The bus between nodes at NATS: one subject, and subjects below it for answers.

use std::{sync::Arc, time::Duration};

use async_nats::Client;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream::BoxStream};
use tokio::time::timeout;

use crate::broker::{
    bus::{Bus, BusMessage},
    degraded::Degraded,
    feed::FeedId,
    nats::live_publisher::is_connected,
};

/// Time for which a message may wait for room in the client's command queue.
const SAY_TIME: Duration = Duration::from_secs(2);

/// The subject on which the nodes of one installation reach each other.
#[derive(Debug)]
pub(crate) struct NatsBus {
    client: Client,
    subject: String,
    degraded: Arc<Degraded>,
}

impl NatsBus {
    pub(crate) fn new(client: Client, subject: String, degraded: Arc<Degraded>) -> Self {
        Self { client, subject, degraded }
    }

    async fn publish(&self, subject: String, reply_to: Option<String>, payload: Bytes) -> bool {
        if !is_connected(&self.client) {
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

#[async_trait]
impl Bus for NatsBus {
    async fn listen(&self) -> Option<BoxStream<'static, BusMessage>> {
        self.degraded.allow(FeedId::CONTROL);
        let subscriber = self.client.subscribe(self.subject.clone()).await.ok()?;
        let below = format!("{}.", self.subject);
        let messages = subscriber.map(move |message| {
            // An answer goes nowhere else, whatever the question says.
            let reply_to = message.reply.map(|subject| subject.to_string());
            let reply_to = reply_to.filter(|subject| subject.starts_with(&below));
            BusMessage { payload: message.payload, reply_to }
        });
        Some(messages.boxed())
    }

    async fn inbox(&self) -> Option<(String, BoxStream<'static, Bytes>)> {
        // Below our own subject, so that nodes need no permission for another.
        let inbox = format!("{}.{:016x}", self.subject, fastrand::u64(..));
        let subscriber = self.client.subscribe(inbox.clone()).await.ok()?;
        Some((inbox, subscriber.map(|message| message.payload).boxed()))
    }

    async fn broadcast(&self, payload: Bytes, reply_to: Option<String>) -> bool {
        self.publish(self.subject.clone(), reply_to, payload).await
    }

    async fn answer(&self, inbox: String, payload: Bytes) -> bool {
        self.publish(inbox, None, payload).await
    }

    fn is_refused(&self) -> bool {
        self.degraded.is_refused(FeedId::CONTROL)
    }
}
