//! Publishing what nothing stores. The client's own queue is bounded in
//! commands, whatever each of them weighs; here the bytes in it are.

use std::{sync::Arc, time::Duration};

use async_nats::{
    Client, HeaderMap, HeaderName, HeaderValue,
    client::{self, PublishErrorKind},
    connection,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::timeout,
};

use crate::{
    broker::publish_error::PublishError,
    event::{headers, message::Message},
    tasks::Tasks,
};

/// How long a publish may wait for room in the client's command queue.
pub(crate) const PUBLISH_TIME: Duration = Duration::from_secs(2);

/// Bytes of large events that may wait until NATS takes them: what a slow link
/// carries in the time that a publish may wait.
const WAITING_BYTES: u32 = 8 * 1024 * 1024;

/// Bytes beyond which an event is large. The client's queue takes 2,048 others,
/// which come to as much.
const LARGE: usize = 4 * 1024;

/// Large events given back at once, as many as there is room for.
const TOGETHER: usize = WAITING_BYTES as usize / LARGE;

/// Publishes events that nothing stores.
#[derive(Debug)]
pub(crate) struct LivePublisher {
    client: Client,
    room: Arc<Semaphore>,
    /// The room of large events, once the client has them.
    handed: mpsc::Sender<OwnedSemaphorePermit>,
}

impl LivePublisher {
    /// By a client.
    pub(crate) fn new(client: Client, tasks: &Tasks) -> Self {
        let (handed, given) = mpsc::channel(TOGETHER);
        tasks.spawn_vital("live publishes", give_back(client.clone(), given));
        Self { client, room: Arc::new(Semaphore::new(WAITING_BYTES as usize)), handed }
    }

    /// Hands an event over. Those of one publisher stay in order.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub(crate) async fn publish(&self, message: Message) -> Result<(), PublishError> {
        if !is_connected(&self.client) {
            return Err(PublishError::Unavailable);
        }
        match timeout(PUBLISH_TIME, self.hand_over(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) if error.kind() == PublishErrorKind::MaxPayloadExceeded => {
                Err(PublishError::TooLarge { max: self.client.server_info().max_payload })
            }
            Ok(Err(_)) | Err(_) => Err(PublishError::Unavailable),
        }
    }

    async fn hand_over(&self, message: Message) -> Result<(), client::PublishError> {
        let bytes = message.cost();
        let large = bytes > LARGE;
        let bytes = u32::try_from(bytes).unwrap_or(WAITING_BYTES).min(WAITING_BYTES);
        // It is never closed.
        let room = if large { self.room.clone().acquire_many_owned(bytes).await.ok() } else { None };
        let subject = message.subject.as_str().to_owned();
        self.client.publish_with_headers(subject, written(&message), message.envelope.data).await?;
        if let Some(room) = room {
            // The queue has a place for each permit; at the node's end nobody takes it.
            let _ = self.handed.try_send(room);
        }
        Ok(())
    }

    /// Returns when NATS has all that was published; at once while it is away,
    /// when nothing is taken.
    pub(crate) async fn flush(&self) -> Result<(), client::FlushError> {
        if is_connected(&self.client) { self.client.flush().await } else { Ok(()) }
    }
}

/// Whether a client would be heard.
pub(crate) fn is_connected(client: &Client) -> bool {
    client.connection_state() == connection::State::Connected
}

/// Gives room back whenever NATS has taken all that was handed over before.
async fn give_back(client: Client, mut given: mpsc::Receiver<OwnedSemaphorePermit>) {
    let mut handed = Vec::new();
    while given.recv_many(&mut handed, TOGETHER).await > 0 {
        // It fails only when the client has ended, with all that it had.
        let _ = client.flush().await;
        handed.clear();
    }
}

fn written(message: &Message) -> HeaderMap {
    headers::written(&message.envelope)
        .into_iter()
        .filter_map(|(name, value)| Some((name.parse::<HeaderName>().ok()?, value.parse::<HeaderValue>().ok()?)))
        .collect()
}
