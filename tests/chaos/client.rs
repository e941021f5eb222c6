//! A client that behaves as the protocol asks of it, on a network and with a
//! reader that do not: sockets are dropped, nothing is read for seconds. It
//! goes on with another node, from its cursors.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use bytes::Bytes;
use notifier::{
    codec::Encoding,
    proto::{
        ClientFrame, Connect, Pong, ServerFrame, Subscription as Wanted, client_frame::Body as ClientBody,
        server_frame::Body,
    },
    socket::{ClientSocket, SocketError},
};
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::subscription::Subscription;

/// How often the nodes of this world ping.
pub const HEARTBEAT: Duration = Duration::from_secs(1);

/// Silent for two heartbeats, and a little more on a busy machine: dead.
const SILENCE: Duration = HEARTBEAT.saturating_mul(2).saturating_add(Duration::from_millis(500));

/// For an upgrade; a node that takes longer is cut off or stopped.
const CONNECT_TIME: Duration = Duration::from_secs(2);

pub struct ChaosClient {
    pub name: String,
    state: Arc<Mutex<State>>,
    orders: mpsc::Sender<Command>,
    task: JoinHandle<()>,
}

/// What a fault does to a client.
#[derive(Clone, Copy, Debug)]
pub enum Command {
    /// Drop the socket without a word.
    DropSocket,
    /// Read nothing for so long.
    StopReading(Duration),
}

/// What there is to know about it.
pub struct State {
    pub subscriptions: Vec<Subscription>,
    /// The node it is connected to.
    pub node: Option<usize>,
    /// How often it was welcomed.
    pub welcomes: u64,
    /// How its connections ended.
    pub ends: BTreeMap<String, u64>,
    /// Frames that a faithful node does not send in this world.
    pub wrong: Vec<String>,
    /// The longest time without news from the stream.
    pub longest_silence: Duration,
    news: Instant,
}

impl ChaosClient {
    pub fn start(
        name: String,
        nodes: Vec<SocketAddr>,
        encoding: Encoding,
        seed: u64,
        subscriptions: Vec<Subscription>,
    ) -> Self {
        let state = Arc::new(Mutex::new(State {
            subscriptions,
            node: None,
            welcomes: 0,
            ends: BTreeMap::new(),
            wrong: Vec::new(),
            longest_silence: Duration::ZERO,
            news: Instant::now(),
        }));
        let (orders, received) = mpsc::channel(16);
        let life = Life {
            nodes,
            encoding,
            random: fastrand::Rng::with_seed(seed),
            state: Arc::clone(&state),
            orders: received,
        };
        Self { name, state, orders, task: tokio::spawn(life.run()) }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic")
    }

    pub fn node(&self) -> Option<usize> {
        self.state().node
    }

    /// Tells it to misbehave.
    pub async fn order(&self, order: Command) {
        self.orders.send(order).await.expect("it lives");
    }

    /// Panics when its task has.
    pub fn must_live(&self) {
        assert!(!self.task.is_finished(), "{} has ended", self.name);
    }
}

impl Drop for ChaosClient {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Life {
    nodes: Vec<SocketAddr>,
    encoding: Encoding,
    random: fastrand::Rng,
    state: Arc<Mutex<State>>,
    orders: mpsc::Receiver<Command>,
}

impl Life {
    async fn run(mut self) {
        let mut last = None;
        loop {
            let node = self.choose(last);
            last = Some(node);
            let end = self.connection(node).await;
            self.state().disconnected(&end);
            // What every client does, so that a dead node is not hammered.
            sleep(Duration::from_millis(self.random.u64(20..200))).await;
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
    async fn connection(&mut self, node: usize) -> String {
        let address = self.nodes[node];
        let authority = address.to_string();
        let addresses = [address];
        let opening = ClientSocket::connect(&addresses, &authority, "/v1/ws", self.encoding.subprotocol());
        let mut socket = match timeout(CONNECT_TIME, opening).await {
            Ok(Ok(socket)) => socket,
            Ok(Err(error)) => return reason(&error),
            Err(_) => return "no upgrade in time".into(),
        };
        let connect = ClientBody::Connect(self.state().connect());
        if let Err(error) = self.send(&mut socket, connect).await {
            return reason(&error);
        }
        loop {
            let message = match self.receive(&mut socket).await {
                Ok(message) => message,
                Err(end) => return end,
            };
            let frames = self.encoding.read_server(&message).expect("frames of the protocol");
            for frame in frames {
                let pinged = matches!(frame.body, Some(Body::Ping(_)));
                if let Some(end) = self.state().take(node, frame) {
                    return end;
                }
                if pinged && let Err(error) = self.send(&mut socket, ClientBody::Pong(Pong {})).await {
                    return reason(&error);
                }
            }
        }
    }

    async fn send(&self, socket: &mut ClientSocket, body: ClientBody) -> Result<(), SocketError> {
        let mut message = Vec::new();
        self.encoding.write_client(&ClientFrame { id: 0, body: Some(body) }, &mut message);
        socket.send(self.encoding.kind(), &message).await
    }

    /// The next message, with what is ordered meanwhile.
    async fn receive(&mut self, socket: &mut ClientSocket) -> Result<Bytes, String> {
        // Kept over a stall: giving up a half-read message would lose it.
        let mut message = pin!(socket.receive());
        loop {
            tokio::select! {
                message = &mut message => return message.map_err(|error| reason(&error)),
                order = self.orders.recv() => match order {
                    Some(Command::StopReading(time)) => sleep(time).await,
                    Some(Command::DropSocket) | None => return Err("dropped".into()),
                },
                () = sleep(SILENCE) => return Err("silence".into()),
            }
        }
    }
}

impl State {
    /// Asks for everything, from where each subscription stands.
    fn connect(&self) -> Connect {
        let wanted = |subscription: &Subscription| Wanted {
            subject: subscription.pattern.as_str().to_owned(),
            after: subscription.cursor().cloned().into_iter().collect(),
            snapshot: false,
        };
        Connect { subscriptions: self.subscriptions.iter().map(wanted).collect(), ..Connect::default() }
    }

    /// Takes a frame in; returns why the connection has to end, if so.
    fn take(&mut self, node: usize, frame: ServerFrame) -> Option<String> {
        match frame.body? {
            Body::Welcome(_) => {
                self.node = Some(node);
                self.welcomes += 1;
            }
            Body::Event(event) => {
                for subscription in &mut self.subscriptions {
                    subscription.event(&event);
                }
                self.news();
            }
            Body::Replay(replay) => {
                if let Some(subscription) = self.subscription(&replay.subject) {
                    for event in &replay.events {
                        subscription.replayed(event);
                    }
                }
                self.news();
            }
            Body::Subscribed(subscribed) => {
                if let Some(subscription) = self.subscription(&subscribed.subject) {
                    subscription.subscribed(&subscribed);
                }
            }
            Body::Gap(gap) => {
                if let Some(subscription) = self.subscription(&gap.subject) {
                    subscription.gap(&gap);
                }
            }
            Body::Ping(ping) => {
                for subscription in &mut self.subscriptions {
                    subscription.checkpoint(&ping.positions);
                }
            }
            Body::Goaway(_) => return Some("goaway".into()),
            // A subscription that cannot be served now is asked for again, elsewhere.
            Body::Error(error) if error.retryable => return Some(format!("error {}", error.code)),
            Body::Unsubscribed(unsubscribed) => return Some(format!("unsubscribed: {}", unsubscribed.reason)),
            other => self.wrong.push(format!("{other:?}")),
        }
        None
    }

    fn subscription(&mut self, subject: &str) -> Option<&mut Subscription> {
        let found = self.subscriptions.iter_mut().find(|subscription| subscription.pattern.as_str() == subject);
        if found.is_none() {
            self.wrong.push(format!("a frame for {subject}, which nobody asked for"));
        }
        found
    }

    fn news(&mut self) {
        self.longest_silence = self.longest_silence.max(self.news.elapsed());
        self.news = Instant::now();
    }

    fn disconnected(&mut self, end: &str) {
        self.node = None;
        *self.ends.entry(end.to_owned()).or_default() += 1;
        for subscription in &mut self.subscriptions {
            subscription.disconnected();
        }
    }

    /// What a faithful node would not have done to it.
    pub fn complaints(&self) -> Vec<String> {
        let of_subscription = |subscription: &Subscription| {
            let named = |wrong| format!("{}: {wrong}", subscription.pattern);
            subscription.wrong.iter().map(named).collect::<Vec<_>>()
        };
        self.wrong.iter().cloned().chain(self.subscriptions.iter().flat_map(of_subscription)).collect()
    }

    /// Whether it is interested in every event.
    pub fn takes_all(&self) -> bool {
        self.subscriptions.iter().any(|subscription| subscription.pattern.as_str() == "chaos.>")
    }

    /// Whether every subscription is live and has all up to here.
    pub fn has_reached(&self, seq: u64) -> bool {
        self.subscriptions.iter().all(|subscription| subscription.has_reached(seq))
    }
}

/// In few words, so that equal ends count as equal.
fn reason(error: &SocketError) -> String {
    match error {
        SocketError::Closed { code, reason } => format!("closed {code} {reason}"),
        SocketError::Connect { .. } => "no connection".into(),
        SocketError::WebSocket(_) => "broken".into(),
        other => other.to_string(),
    }
}
