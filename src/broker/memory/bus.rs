//! The bus between nodes in one process: what is said reaches all that listen.

use std::{
    future::ready,
    sync::atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{
    StreamExt as _,
    stream::{BoxStream, unfold},
};
use tokio::sync::broadcast::{self, error::RecvError};

use crate::broker::bus::{Bus, BusMessage};

/// Messages that may wait for a node that is slow to take them; older ones are lost.
const WAITING: usize = 256;

/// The bus of the broker in this process.
#[derive(Debug)]
pub(crate) struct MemoryBus {
    said: broadcast::Sender<BusMessage>,
    /// Answers, each with its inbox.
    answers: broadcast::Sender<(String, Bytes)>,
    inboxes: AtomicU64,
}

impl Default for MemoryBus {
    fn default() -> Self {
        let (said, answers) = (broadcast::Sender::new(WAITING), broadcast::Sender::new(WAITING));
        Self { said, answers, inboxes: AtomicU64::new(0) }
    }
}

#[async_trait]
impl Bus for MemoryBus {
    async fn listen(&self) -> Option<BoxStream<'static, BusMessage>> {
        Some(stream(self.said.subscribe()))
    }

    async fn inbox(&self) -> Option<(String, BoxStream<'static, Bytes>)> {
        let inbox = self.inboxes.fetch_add(1, Ordering::Relaxed).to_string();
        let own = inbox.clone();
        let answers = stream(self.answers.subscribe())
            .filter_map(move |(inbox, payload): (String, Bytes)| ready((inbox == own).then_some(payload)));
        Some((inbox, answers.boxed()))
    }

    async fn broadcast(&self, payload: Bytes, reply_to: Option<String>) -> bool {
        // Nobody may listen yet, as at NATS.
        let _ = self.said.send(BusMessage { payload, reply_to });
        true
    }

    async fn answer(&self, inbox: String, payload: Bytes) -> bool {
        // Whoever asked may have stopped waiting.
        let _ = self.answers.send((inbox, payload));
        true
    }

    fn listeners(&self) -> Option<usize> {
        Some(self.said.receiver_count())
    }
}

/// What a receiver hears; what it was too slow for is passed over.
fn stream<T: Clone + Send + 'static>(receiver: broadcast::Receiver<T>) -> BoxStream<'static, T> {
    let next = |mut receiver: broadcast::Receiver<T>| async {
        loop {
            match receiver.recv().await {
                Ok(heard) => return Some((heard, receiver)),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    };
    unfold(receiver, next).boxed()
}
