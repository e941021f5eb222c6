//! Who wants what: patterns and their members. The first member of a pattern
//! opens its feed at the broker, the last one closes it. The hub never names a
//! session; it pushes into outboxes.

mod backlog;
mod delivery;
mod member;
mod topic;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    broker::{Arrived, Broker, Feed, FeedId, Intake},
    codec::Encoding,
    drain::Tasks,
    metrics::Metrics,
    outbox::Outbox,
    socket::Chunk,
    subject::Pattern,
};
use member::Member;
use topic::{FanOut, Topic};

/// Deliveries that one intake makes before others get their turn: about half a
/// millisecond of writes.
const TURN: usize = 64;

/// All patterns that somebody on this node is subscribed to.
#[derive(Debug)]
pub struct Hub {
    topics: Mutex<Topics>,
    broker: Arc<Broker>,
    fan_out: FanOut,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct Topics {
    by_pattern: HashMap<Pattern, Entry>,
    by_feed: HashMap<FeedId, Arc<Topic>>,
}

#[derive(Debug)]
struct Entry {
    topic: Arc<Topic>,
    members: usize,
    feed: Feed,
}

impl Hub {
    /// A hub without topics, which carries what the intakes bring.
    pub fn new(
        broker: Arc<Broker>,
        intakes: Vec<Intake>,
        backlog_bytes: usize,
        tasks: Tasks,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        let fan_out = FanOut { backlog_bytes, tasks: tasks.clone(), metrics: metrics.clone() };
        let hub = Arc::new(Self { topics: Mutex::default(), broker, fan_out, metrics });
        for intake in intakes {
            tasks.spawn_vital("intake", hub.clone().carry(intake));
        }
        hub
    }

    /// Lets a connection in; it has no subscriptions yet.
    pub fn attach(self: &Arc<Self>, outbox: Arc<Outbox>, encoding: Encoding) -> Attachment {
        Attachment { hub: self.clone(), member: Arc::new(Member::new(outbox, encoding)), topics: Vec::new() }
    }

    /// How many distinct patterns are open.
    pub fn topics(&self) -> usize {
        self.lock().by_pattern.len()
    }

    /// Carries events from the broker to their topics, for ever.
    async fn carry(self: Arc<Self>, mut intake: Intake) {
        let (mut arrived, mut together) = (Arrived::default(), Vec::new());
        loop {
            intake.next(&mut arrived).await;
            for feed in std::mem::take(&mut arrived.opened) {
                if let Some(topic) = self.topic(feed) {
                    topic.open().await;
                }
            }
            let mut deliveries = 0;
            while let Some(feed) = arrived.take_feed(&mut together) {
                // Without a topic its last member has just left.
                deliveries += self.topic(feed).map_or(0, |topic| topic.take(&mut together, &self.fan_out));
                if deliveries >= TURN {
                    deliveries = 0;
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    fn topic(&self, feed: FeedId) -> Option<Arc<Topic>> {
        self.lock().by_feed.get(&feed).cloned()
    }

    fn enter(&self, pattern: &Pattern) -> Arc<Topic> {
        let mut topics = self.lock();
        if let Some(entry) = topics.by_pattern.get_mut(pattern) {
            entry.members += 1;
            return entry.topic.clone();
        }
        let topic = Arc::new(Topic::new(pattern.clone()));
        let feed = self.broker.open(pattern);
        topics.by_feed.insert(feed.id(), topic.clone());
        topics.by_pattern.insert(pattern.clone(), Entry { topic: topic.clone(), members: 1, feed });
        self.metrics.topics.increment(1);
        topic
    }

    fn exit(&self, pattern: &Pattern) {
        let mut topics = self.lock();
        let Some(entry) = topics.by_pattern.get_mut(pattern) else { return };
        entry.members -= 1;
        if entry.members == 0
            && let Some(entry) = topics.by_pattern.remove(pattern)
        {
            topics.by_feed.remove(&entry.feed.id());
            self.metrics.topics.decrement(1);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Topics> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection's place in the hub. Dropping it leaves every topic.
#[derive(Debug)]
pub struct Attachment {
    hub: Arc<Hub>,
    member: Arc<Member>,
    topics: Vec<Arc<Topic>>,
}

impl Attachment {
    /// How many subscriptions the connection has.
    pub fn len(&self) -> usize {
        self.topics.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// Whether it has subscribed exactly this pattern.
    pub fn has(&self, pattern: &Pattern) -> bool {
        self.topics.iter().any(|topic| topic.pattern() == pattern)
    }

    /// Subscribes. `live` is sent once events flow, before the first of them.
    /// Subscribing again has it sent again; while events do not flow yet, it
    /// takes the place of the one before.
    pub fn join(&mut self, pattern: &Pattern, live: Chunk) {
        if let Some(topic) = self.topics.iter().find(|topic| topic.pattern() == pattern) {
            topic.join(&self.member, live);
            return;
        }
        let topic = self.hub.enter(pattern);
        topic.join(&self.member, live);
        if self.topics.is_empty() {
            // Most connections have few, and there are many connections.
            self.topics.reserve_exact(1);
        }
        self.topics.push(topic);
        self.hub.metrics.subscriptions.increment(1);
    }

    /// Unsubscribes; false when there was no such subscription.
    pub fn leave(&mut self, pattern: &Pattern) -> bool {
        let Some(index) = self.topics.iter().position(|topic| topic.pattern() == pattern) else { return false };
        let topic = self.topics.remove(index);
        self.leave_topic(&topic);
        true
    }

    fn leave_topic(&self, topic: &Topic) {
        topic.leave(&self.member);
        self.hub.exit(topic.pattern());
        self.hub.metrics.subscriptions.decrement(1);
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        for topic in std::mem::take(&mut self.topics) {
            self.leave_topic(&topic);
        }
    }
}
