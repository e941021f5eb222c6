//! Who wants what: patterns and their members. The first member of a pattern
//! opens its feed at the broker, the last one closes it. The hub never names a
//! session; it pushes into outboxes.

mod delivery;
mod member;
mod topic;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use crate::{
    broker::Broker, codec::Encoding, drain::Tasks, metrics::Metrics, outbox::Outbox, socket::Chunk, subject::Pattern,
};
use member::Member;
use topic::Topic;

/// All patterns that somebody on this node is subscribed to.
#[derive(Debug)]
pub struct Hub {
    topics: Mutex<HashMap<Pattern, Entry>>,
    broker: Arc<Broker>,
    tasks: Tasks,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Entry {
    topic: Arc<Topic>,
    members: usize,
    /// Its end tells the topic's task to end.
    _open: oneshot::Sender<()>,
}

impl Hub {
    /// A hub without topics.
    pub fn new(broker: Arc<Broker>, tasks: Tasks, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { topics: Mutex::default(), broker, tasks, metrics })
    }

    /// Lets a connection in; it has no subscriptions yet.
    pub fn attach(self: &Arc<Self>, outbox: Arc<Outbox>, encoding: Encoding) -> Attachment {
        Attachment { hub: self.clone(), member: Arc::new(Member::new(outbox, encoding)), topics: Vec::new() }
    }

    /// How many distinct patterns are open.
    pub fn topics(&self) -> usize {
        self.lock().len()
    }

    fn enter(&self, pattern: &Pattern) -> Arc<Topic> {
        let mut topics = self.lock();
        if let Some(entry) = topics.get_mut(pattern) {
            entry.members += 1;
            return entry.topic.clone();
        }
        let topic = Arc::new(Topic::new(pattern.clone(), self.metrics.clone()));
        let (open, closed) = oneshot::channel();
        self.tasks.spawn_vital("topic", topic.clone().run(self.broker.clone(), closed));
        topics.insert(pattern.clone(), Entry { topic: topic.clone(), members: 1, _open: open });
        self.metrics.topics.increment(1);
        topic
    }

    fn exit(&self, pattern: &Pattern) {
        let mut topics = self.lock();
        if let Some(entry) = topics.get_mut(pattern) {
            entry.members -= 1;
            if entry.members == 0 {
                topics.remove(pattern);
                self.metrics.topics.decrement(1);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Pattern, Entry>> {
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
