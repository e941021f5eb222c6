//! The life of a client: one connection after the other, each by one of its transports.

mod event_streams;
mod polls;
mod websockets;

use std::{
    net::SocketAddr,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use serde_json::json;
use tokio::{sync::mpsc, time::sleep};

use super::{
    nodes::HEARTBEAT,
    state::State,
    transport::{Habits, Transport},
};

/// Silent for two heartbeats, and a little more on a busy machine: dead.
const SILENCE: Duration = HEARTBEAT.saturating_mul(2).saturating_add(Duration::from_millis(500));

/// For a connection and its answer; a node that takes longer is cut off or stopped.
const CONNECT_TIME: Duration = Duration::from_secs(2);

/// How a connection ends that the client leaves of its own accord.
const CHANGED: &str = "changed";

/// The end of a connection that was not made.
const NO_CONNECTION: &str = "no connection";

/// The end of a connection that broke.
const BROKEN: &str = "broken";

/// What a fault does to a client.
#[derive(Clone, Copy, Debug)]
pub enum Command {
    /// Drop the socket without a word.
    DropSocket,
    /// Read nothing for so long.
    StopReading(Duration),
}

pub struct Life {
    pub nodes: Vec<SocketAddr>,
    pub habits: Habits,
    pub random: fastrand::Rng,
    pub state: Arc<Mutex<State>>,
    pub orders: mpsc::Receiver<Command>,
}

impl Life {
    pub async fn run(mut self) {
        let mut last = None;
        loop {
            let node = self.choose(last);
            let transport = self.random.choice(self.habits.transports.clone()).expect("a transport");
            let left = self.habits.changes_after.clone().map(|events| self.random.u64(events));
            self.state().begin(transport, left);
            let end = self.connection(node, transport).await;
            self.state().disconnected(&end);
            last = Some(node).filter(|_| end != CHANGED);
            if last.is_some() {
                // What every client does, so that a dead node is not hammered.
                sleep(Duration::from_millis(self.random.u64(20..200))).await;
            }
        }
    }

    /// Any node but the one that was just lost.
    fn choose(&mut self, last: Option<usize>) -> usize {
        let others: Vec<usize> = (0..self.nodes.len()).filter(|node| Some(*node) != last).collect();
        self.random.choice(others).unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic")
    }

    /// One connection from its beginning to its end; returns why it ended.
    async fn connection(&mut self, node: usize, transport: Transport) -> String {
        let ended = match transport {
            Transport::WebSocket(encoding) => self.websocket(node, encoding).await,
            Transport::Events => self.event_stream(node).await,
            Transport::Poll => self.polls(node).await,
        };
        match ended {
            Err(end) => end,
        }
    }

    /// The result of something, with what is ordered meanwhile. It is kept over a stall: giving up
    /// a message that is half read would lose it.
    async fn attend<T>(
        &mut self,
        patience: Duration,
        event: impl Future<Output = Result<T, String>>,
    ) -> Result<T, String> {
        let mut event = pin!(event);
        loop {
            tokio::select! {
                result = &mut event => return result,
                order = self.orders.recv() => match order {
                    Some(Command::StopReading(time)) => sleep(time).await,
                    Some(Command::DropSocket) | None => return Err("dropped".into()),
                },
                () = sleep(patience) => return Err("silence".into()),
            }
        }
    }

    /// Method, target, headers and body of a request without a WebSocket: by the cursor of the last
    /// one as often as not, else from where each subscription stands.
    fn request(&mut self, path: &str, parameters: &str) -> (&'static str, String, Option<String>, String) {
        let by_id = self.random.bool();
        let state = self.state();
        match state.id().filter(|_| by_id) {
            Some(id) => {
                let patterns: Vec<String> = state
                    .subscriptions
                    .iter()
                    .map(|each| format!("subject={}", each.pattern().replace('>', "%3E")))
                    .collect();
                ("GET", format!("{path}?{}{parameters}", patterns.join("&")), Some(id.to_owned()), String::new())
            }
            None => {
                let body = json!({"subscriptions": state.asked()}).to_string();
                let parameters = parameters.replacen('&', "?", 1);
                ("POST", format!("{path}{parameters}"), None, body)
            }
        }
    }
}
