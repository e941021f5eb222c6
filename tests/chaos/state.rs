//! What a client has, whatever brought it: its subscriptions, its cursor, and what went
//! wrong. Free of I/O.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use notifier::{
    proto::{Connect, ServerFrame, StreamCursor, Subscription as Asked, server_frame::Body},
    subject::Subject,
};
use notifier_verify::verdict::Verdict;

use super::{subscription::Subscription, transport::Transport};

/// A frame that does not come in this world, or for no subscription of the client.
pub const UNEXPECTED: &str = "unexpected frame";

/// What there is to know about a client.
pub struct State {
    pub subscriptions: Vec<Subscription>,
    /// The node it is connected to.
    pub node: Option<usize>,
    /// How often it was welcomed, by the name of the transport.
    pub welcomes: BTreeMap<&'static str, u64>,
    /// How often it was welcomed elsewhere, or otherwise, than the time before.
    pub switches: u64,
    /// How its connections ended.
    pub ends: BTreeMap<String, u64>,
    /// Frames that a correct node does not send in this world.
    pub wrong: Verdict,
    /// The longest time without news from the stream.
    pub longest_silence: Duration,
    news: Instant,
    /// Where to go on, as the last message of an event stream or the last poll told.
    id: Option<String>,
    /// What this connection is, and whether the client was welcomed on it.
    transport: Transport,
    welcomed: bool,
    /// The last node and transport that welcomed it.
    last: Option<(usize, Transport)>,
    /// Events until it changes.
    left: Option<u64>,
}

impl State {
    pub fn new(subscriptions: Vec<Subscription>) -> Self {
        Self {
            subscriptions,
            node: None,
            welcomes: BTreeMap::new(),
            switches: 0,
            ends: BTreeMap::new(),
            wrong: Verdict::default(),
            longest_silence: Duration::ZERO,
            news: Instant::now(),
            id: None,
            transport: Transport::Poll,
            welcomed: false,
            last: None,
            left: None,
        }
    }

    /// Another connection begins. After so many events the client leaves it.
    pub fn begin(&mut self, transport: Transport, left: Option<u64>) {
        (self.transport, self.welcomed, self.left) = (transport, false, left);
    }

    /// How often it was welcomed on any transport.
    pub fn all_welcomes(&self) -> u64 {
        self.welcomes.values().sum()
    }

    /// Asks for everything, from where each subscription stands.
    pub fn connect(&self) -> Connect {
        Connect { subscriptions: self.asked(), ..Connect::default() }
    }

    /// The same of a request without a WebSocket.
    pub fn asked(&self) -> Vec<Asked> {
        self.subscriptions.iter().map(|each| each.checked.rule.request()).collect()
    }

    /// The cursor to go on from, once every subscription has begun.
    pub fn id(&self) -> Option<&str> {
        let begun = |each: &Subscription| !each.checked.rule.positions().is_empty();
        self.id.as_deref().filter(|id| *id != "v1." && self.subscriptions.iter().all(begun))
    }

    /// A whole message has told where to go on.
    pub fn set_id(&mut self, id: String) {
        self.id = Some(id);
    }

    /// Whether it has had as many events as it wants from this connection.
    pub fn wants_to_change(&self) -> bool {
        self.left == Some(0)
    }

    /// Takes a frame in; returns why the connection has to end, if so.
    pub fn take(&mut self, node: usize, frame: ServerFrame) -> Option<String> {
        match frame.body? {
            Body::Welcome(_) => self.welcome(node),
            Body::Event(event) => {
                self.subscriptions.iter_mut().for_each(|each| each.event(&event, &mut self.wrong));
                self.news(1);
            }
            Body::Replay(replay) => {
                let events = replay.events.len() as u64;
                if replay.subject.is_empty() {
                    self.replay_of_all(&replay.events);
                } else {
                    self.of(&replay.subject, |each, wrong| {
                        replay.events.iter().for_each(|event| each.replayed(event, wrong));
                    });
                }
                self.news(events);
            }
            Body::Subscribed(subscribed) => {
                self.of(&subscribed.subject, |each, wrong| each.subscribed(&subscribed, wrong));
            }
            Body::Gap(gap) => self.of(&gap.subject, |each, wrong| each.checked.gap(&gap, wrong)),
            Body::Ping(ping) => {
                let cursor = ping.cursor.parse::<StreamCursor>().ok();
                for positions in [Some(ping.positions), cursor.map(|cursor| cursor.0)].into_iter().flatten() {
                    self.subscriptions.iter_mut().for_each(|each| each.checked.checkpoint(&positions, &mut self.wrong));
                }
                if !ping.cursor.is_empty() {
                    self.set_id(ping.cursor);
                }
            }
            Body::Goaway(_) => return Some("goaway".into()),
            // A subscription that cannot be served now is asked for again, elsewhere.
            Body::Error(error) if error.retryable => return Some(format!("error {}", error.code)),
            Body::Unsubscribed(unsubscribed) => return Some(format!("unsubscribed: {}", unsubscribed.reason)),
            other => self.wrong.find(UNEXPECTED, || format!("{other:?}")),
        }
        None
    }

    /// Once per connection: each poll of one is welcomed.
    fn welcome(&mut self, node: usize) {
        if std::mem::replace(&mut self.welcomed, true) {
            return;
        }
        self.node = Some(node);
        *self.welcomes.entry(self.transport.name()).or_default() += 1;
        let here = Some((node, self.transport));
        self.switches += u64::from(self.last.is_some() && self.last != here);
        self.last = here;
    }

    /// Events of one replay for several patterns: each takes its own of them.
    fn replay_of_all(&mut self, events: &[notifier::proto::Event]) {
        for event in events {
            let Ok(subject) = Subject::parse(&event.subject) else {
                self.wrong.find(UNEXPECTED, || format!("{event:?}"));
                continue;
            };
            let takes = |each: &&mut Subscription| {
                let rule = &each.checked.rule;
                rule.pattern().matches(&subject) && !rule.positions().is_empty()
            };
            self.subscriptions.iter_mut().filter(takes).for_each(|each| each.replayed(event, &mut self.wrong));
        }
    }

    /// Hands the subscription of a frame to `take`.
    fn of(&mut self, subject: &str, take: impl FnOnce(&mut Subscription, &mut Verdict)) {
        match self.subscriptions.iter_mut().find(|each| each.pattern() == subject) {
            Some(subscription) => take(subscription, &mut self.wrong),
            None => self.wrong.find(UNEXPECTED, || format!("for {subject}, which nobody asked for")),
        }
    }

    fn news(&mut self, events: u64) {
        self.longest_silence = self.longest_silence.max(self.news.elapsed());
        self.news = Instant::now();
        self.left = self.left.map(|left| left.saturating_sub(events));
    }

    /// The subscriptions of a connection, or of one poll, have ended.
    pub fn unsubscribed(&mut self) {
        self.subscriptions.iter_mut().for_each(|each| each.checked.rule.disconnected());
    }

    pub fn disconnected(&mut self, end: &str) {
        self.node = None;
        *self.ends.entry(end.to_owned()).or_default() += 1;
        self.unsubscribed();
    }

    /// Whether it asks for each answer, and is sent nothing otherwise.
    pub fn is_polling(&self) -> bool {
        self.transport == Transport::Poll
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
