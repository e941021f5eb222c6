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
    proto::{ClientFrame, Connect, Pong, ServerFrame, client_frame::Body as ClientBody, server_frame::Body},
    socket::{ClientSocket, SocketError},
};
use notifier_verify::verdict::Verdict;
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

/// A frame that does not come in this world, or for no subscription of the client.
const UNEXPECTED: &str = "unexpected frame";

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
    /// Frames that a correct node does not send in this world.
    pub wrong: Verdict,
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
            wrong: Verdict::default(),
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
                if pinged && let Err(error) = self.send(&mut socket, ClientBody::Pong(Pong::default())).await {
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
        let subscriptions = self.subscriptions.iter().map(|each| each.checked.rule.request()).collect();
        Connect { subscriptions, ..Connect::default() }
    }

    /// Takes a frame in; returns why the connection has to end, if so.
    fn take(&mut self, node: usize, frame: ServerFrame) -> Option<String> {
        match frame.body? {
            Body::Welcome(_) => {
                self.node = Some(node);
                self.welcomes += 1;
            }
            Body::Event(event) => {
                self.subscriptions.iter_mut().for_each(|each| each.event(&event, &mut self.wrong));
                self.news();
            }
            Body::Replay(replay) => {
                self.of(&replay.subject, |each, wrong| {
                    replay.events.iter().for_each(|event| each.replayed(event, wrong));
                });
                self.news();
            }
            Body::Subscribed(subscribed) => {
                self.of(&subscribed.subject, |each, wrong| each.subscribed(&subscribed, wrong));
            }
            Body::Gap(gap) => self.of(&gap.subject, |each, wrong| each.checked.gap(&gap, wrong)),
            Body::Ping(ping) => {
                self.subscriptions
                    .iter_mut()
                    .for_each(|each| each.checked.checkpoint(&ping.positions, &mut self.wrong));
            }
            Body::Goaway(_) => return Some("goaway".into()),
            // A subscription that cannot be served now is asked for again, elsewhere.
            Body::Error(error) if error.retryable => return Some(format!("error {}", error.code)),
            Body::Unsubscribed(unsubscribed) => return Some(format!("unsubscribed: {}", unsubscribed.reason)),
            other => self.wrong.find(UNEXPECTED, || format!("{other:?}")),
        }
        None
    }

    /// Hands the subscription of a frame to `take`.
    fn of(&mut self, subject: &str, take: impl FnOnce(&mut Subscription, &mut Verdict)) {
        match self.subscriptions.iter_mut().find(|each| each.pattern() == subject) {
            Some(subscription) => take(subscription, &mut self.wrong),
            None => self.wrong.find(UNEXPECTED, || format!("for {subject}, which nobody asked for")),
        }
    }

    fn news(&mut self) {
        self.longest_silence = self.longest_silence.max(self.news.elapsed());
        self.news = Instant::now();
    }

    fn disconnected(&mut self, end: &str) {
        self.node = None;
        *self.ends.entry(end.to_owned()).or_default() += 1;
        self.subscriptions.iter_mut().for_each(|each| each.checked.rule.disconnected());
    }

    /// Whether it is interested in every event.
    pub fn takes_all(&self) -> bool {
        self.subscriptions.iter().any(|subscription| subscription.pattern() == "chaos.>")
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
