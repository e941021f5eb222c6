//! All of a node between its broker, which is in the process, and the sockets of its clients.

use std::sync::{Arc, OnceLock};

use notifier::{
    access::{
        grants::{Grants, Rules},
        identity::Identity,
    },
    broker::{self, Broker},
    close::CloseReason,
    codec::Encoding,
    config::{Config, Limits, Overflow, Size},
    event::Message,
    hub::{Attachment, Context, Hub, PositionHandle, SubscribeOptions},
    journal::Journal,
    outbox::{Outbox, Policy},
    proto::{Envelope, Event, Goaway, Ping, Position, ServerFrame, server_frame::Body},
    quota::Quotas,
    subject::{Pattern, Subject},
};

use crate::{
    explore::any,
    ground::{Ground, LONG, Values, connection},
    peer::Peer,
};

/// What is below `shop` is stored, of what is below `state` the newest values are, and what is below `news` is not.
const SETTINGS: &str = r#"
[broker]
kind = "memory"

[[streams]]
name = "SHOP"
subjects = ["shop.>"]

[[streams]]
name = "STATE"
subjects = ["state.>"]
max_messages_per_subject = 1

[[subjects]]
pattern = "shop.>"
delivery = "durable"
stream = "SHOP"

[[subjects]]
pattern = "state.>"
delivery = "latest"
stream = "STATE"

[[grants]]
role = "wide"
subscribe = ["shop.>", "news.>"]

[[grants]]
role = "narrow"
subscribe = ["shop.>", "news.>"]
deny = ["shop.b", "news.b"]
"#;

/// Bytes and frames that may wait for one client: two events or so.
pub(crate) const SHORT: (usize, usize) = (400, 2);

/// Everything.
pub(crate) const ENDLESS: (usize, usize) = (usize::MAX, usize::MAX);

/// More members than get their events at once: there is a task for them.
pub(crate) const MANY: usize = 20;

/// A node without listeners.
#[derive(Clone)]
pub(crate) struct Node {
    ground: Ground,
    broker: Arc<dyn Broker>,
    hub: Arc<Hub>,
    rules: Arc<Rules>,
    journal: Arc<Journal>,
    policy: Arc<Policy>,
}

/// A client of it.
pub(crate) struct Client {
    pub(crate) attachment: Attachment,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) peer: Peer,
}

impl Node {
    /// One with so much in memory of what is stored, and queues of that length.
    pub(crate) async fn new(window: Size, queue: (usize, usize), overflow: Overflow) -> Self {
        static CONFIG: OnceLock<Config> = OnceLock::new();
        let mut config = CONFIG.get_or_init(|| toml::from_str(SETTINGS).expect("settings")).clone();
        config.streams[0].window.bytes = window;
        let ground = Ground::new();
        let Ground { metrics, tasks } = &ground;
        let (broker, intakes) = broker::connect(&config, metrics, tasks).await.expect("a broker");
        let classes = broker.classes().clone();
        let journals = Journal::all(&config, &classes, &broker, tasks, metrics);
        let journal = journals[0].clone();
        let context = Context {
            backlog_bytes: usize::MAX,
            overflow,
            replay_events: u64::MAX,
            wildcard_shapes: 0,
            quotas: Quotas::new(&Limits::default()),
            tasks: tasks.clone(),
            metrics: metrics.clone(),
        };
        let hub = Hub::new(context, broker.clone(), intakes, journals).expect("a hub");
        let policy = ground.policy(queue.0, queue.1, LONG);
        Self { ground, broker, hub, rules: Arc::new(Rules::new(&config, classes)), journal, policy }
    }

    /// A client whose socket takes up to so many bytes at once.
    pub(crate) fn connect(&self, most: usize) -> Client {
        let (outbox, peer) = connection(self.policy.clone(), 1 + any(most), None);
        Client { attachment: self.hub.attach(outbox.clone(), Encoding::Json), outbox, peer }
    }

    /// A client with room for all, who sees when something is handed out.
    pub(crate) async fn witness(&self, subject: &str) -> Client {
        let (outbox, peer) = connection(self.ground.policy(ENDLESS.0, ENDLESS.1, LONG), usize::MAX, None);
        let mut client = Client { attachment: self.hub.attach(outbox.clone(), Encoding::Json), outbox, peer };
        client.subscribe(subject).await;
        client
    }

    /// Some clients, all with one socket that takes all.
    pub(crate) fn crowd(&self, size: usize, subject: &str) -> (Vec<Attachment>, Arc<Outbox>) {
        let (outbox, _) = connection(self.ground.policy(ENDLESS.0, ENDLESS.1, LONG), usize::MAX, None);
        let join = |_| {
            let mut attachment = self.hub.attach(outbox.clone(), Encoding::Json);
            attachment.join(&pattern(subject), SubscribeOptions::default()).expect("room");
            attachment
        };
        ((0..size).map(join).collect(), outbox)
    }

    /// Waits until it is known what is stored.
    pub(crate) async fn ready(&self) {
        self.journal.ready().await;
    }

    pub(crate) async fn publish(&self, subject: &str, number: u64) {
        let envelope = Envelope { data: number.to_string().into(), ..Envelope::default() };
        let message = Message::new(Subject::parse(subject).expect("a subject"), envelope);
        self.broker.publish(message).await.expect("published");
    }

    /// Waits until a client has got everything up to a sequence, or it is in its outbox.
    pub(crate) async fn handed_out(&self, follower: &PositionHandle, seq: u64) {
        while self.hub.tell_positions(follower, |at| at.iter().all(|position| position.seq < seq)) {
            notifier::sync::yield_now().await;
        }
    }

    /// What somebody wants who has everything up to a sequence.
    pub(crate) fn after(&self, seq: u64) -> SubscribeOptions {
        let after = [Position { seq, ..self.journal.position(self.journal.head()) }];
        SubscribeOptions { after: after.into(), ..SubscribeOptions::default() }
    }

    /// Tells a client how far it is, as a heartbeat does.
    pub(crate) fn beat(&self, outbox: &Arc<Outbox>, follower: &PositionHandle) {
        self.hub.tell_positions(follower, |positions| {
            let ping = Body::Ping(Ping { positions, ..Ping::default() });
            outbox.push(&Encoding::Json.frame(&ServerFrame { reply_to: 0, body: Some(ping) }));
        });
    }

    /// What those with a role may do.
    pub(crate) fn grants(&self, role: &str) -> Grants {
        let identity = Identity { user: "u".into(), roles: vec![role.into()], ..Identity::default() };
        self.rules.grant(identity).expect("grants")
    }

    /// Ends all, with a client who gets nothing more.
    pub(crate) async fn end_with(self, client: Client) {
        assert!(client.end().await.is_empty());
        self.end().await;
    }

    /// Ends all. What the series say then.
    pub(crate) async fn end(self) -> Values {
        self.ground.end().await
    }
}

impl Client {
    pub(crate) fn join(&mut self, subject: &str, wish: SubscribeOptions) {
        self.attachment.join(&pattern(subject), wish).expect("room");
    }

    /// Joins, and is told so before anything else.
    pub(crate) async fn subscribe(&mut self, subject: &str) {
        self.join(subject, SubscribeOptions::default());
        assert!(matches!(self.peer.next().await, Body::Subscribed(_)));
    }

    pub(crate) fn leave(&mut self, subject: &str) {
        assert!(self.attachment.leave(&pattern(subject)), "it was subscribed");
    }

    /// Sends a frame of its own, behind all that was sent before.
    pub(crate) fn mark(&self) {
        mark(&self.outbox);
    }

    /// Reads up to its [mark](Self::mark).
    pub(crate) async fn until_mark(&mut self, mut take: impl FnMut(&Body)) {
        loop {
            match self.peer.next().await {
                Body::Goaway(_) => return,
                frame => take(&frame),
            }
        }
    }

    /// Goes, and reads what is left.
    pub(crate) async fn end(mut self) -> Vec<Body> {
        drop(self.attachment);
        self.outbox.close(CloseReason::Normal);
        let mut left = Vec::new();
        while let Some(frame) = self.peer.frame().await {
            left.push(frame);
        }
        assert!(!self.peer.is_torn());
        left
    }
}

/// Sends a frame of its own to somebody, behind all that was sent before.
pub(crate) fn mark(outbox: &Arc<Outbox>) {
    let goaway = Body::Goaway(Goaway::default());
    assert!(outbox.push(&Encoding::Json.frame(&ServerFrame { reply_to: 0, body: Some(goaway) })));
}

/// The number of an event.
pub(crate) fn number(event: &Event) -> u64 {
    std::str::from_utf8(&event.data).expect("text").parse().expect("a number")
}

pub(crate) fn pattern(subject: &str) -> Pattern {
    Pattern::parse(subject).expect("a pattern")
}
