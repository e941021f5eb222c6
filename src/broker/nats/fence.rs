//! Confirms subscriptions. A flush would only empty our own buffer; but a
//! server handles one client's commands in order, so once something that we
//! published has come back to us, every subscription made before it is active.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use async_nats::Client;
use futures_util::StreamExt as _;
use tokio::{
    sync::{Mutex, watch},
    time::sleep,
};

use crate::{
    broker::state::{BrokerState, Link},
    drain::Tasks,
};

/// How long an echo may take.
const ECHO_TIME: Duration = Duration::from_secs(5);

/// One echo serves all who wait when it is sent.
#[derive(Debug)]
pub(crate) struct Fence {
    inbox: String,
    asked: AtomicU64,
    answered: watch::Receiver<u64>,
    /// Held by the one who waits for an echo.
    turn: Mutex<()>,
}

impl Fence {
    /// Subscribes to an inbox of its own; the task ends with the node.
    pub(crate) async fn new(client: &Client, tasks: &Tasks) -> Self {
        let inbox = client.new_inbox();
        let (answer, answered) = watch::channel(0);
        match client.subscribe(inbox.clone()).await {
            Ok(mut echoes) => tasks.spawn_vital("fence", async move {
                while let Some(echo) = echoes.next().await {
                    let number = std::str::from_utf8(&echo.payload).ok().and_then(|text| text.parse().ok());
                    answer.send_if_modified(|last| {
                        let newer = number.filter(|number: &u64| *number > *last);
                        *last = newer.unwrap_or(*last);
                        newer.is_some()
                    });
                }
            }),
            Err(error) => tracing::error!(%error, "cannot subscribe to an inbox; see broker.nats.inbox_prefix"),
        }
        Self { inbox, asked: AtomicU64::new(0), answered, turn: Mutex::default() }
    }

    /// Returns when the server knows of every subscription made before.
    pub(crate) async fn confirm(&self, client: &Client, state: &BrokerState) {
        let ticket = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let _turn = self.turn.lock().await;
        let mut answered = self.answered.clone();
        while *answered.borrow() < ticket {
            state.up().await;
            let mut link = state.watch();
            let upto = self.asked.load(Ordering::SeqCst);
            // An error means that the client goes down with the node.
            let _ = client.publish(self.inbox.clone(), upto.to_string().into()).await;
            tokio::select! {
                _ = answered.wait_for(|last| *last >= upto) => {}
                // Lost with the connection: subscriptions are made anew by the next one.
                _ = link.wait_for(|link| *link != Link::Up) => {}
                () = sleep(ECHO_TIME) => {
                    tracing::warn!(
                        "NATS does not bring back what this node publishes to its inbox, so subscriptions cannot be \
                         confirmed; allow this user to publish and subscribe to broker.nats.inbox_prefix"
                    );
                    return;
                }
            }
        }
    }
}
