//! The broker inside this process: one node, nothing to install, the same
//! behaviour as NATS core, at-most-once and its slow-consumer rule included.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::{
    broker::{
        headers::Reader,
        intake::{Arrived, FeedId, FeedIds},
        message::{Message, unix_millis},
        state::BrokerState,
    },
    metrics::{BrokerEvent, Drop as Dropped, Metrics},
    subject::Pattern,
    trie::Trie,
};

/// Events that may wait to be taken in.
const WAITING_EVENTS: usize = 65_536;

/// Bytes of data that may wait to be taken in: what nats-server lets wait for
/// one connection (`max_pending`).
const WAITING_BYTES: usize = 64 * 1024 * 1024;

/// Passes events from publishers to feeds.
#[derive(Debug)]
pub struct Memory {
    post: Arc<Post>,
    feeds: FeedIds,
    state: BrokerState,
    reader: Reader,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct Post {
    office: Mutex<Office>,
    /// Something is waiting.
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Office {
    interest: Trie<FeedId>,
    waiting: Arrived,
    /// Bytes of data in `waiting`.
    bytes: usize,
}

/// Keeps one pattern wanted.
#[derive(Debug)]
pub(crate) struct MemoryFeed {
    feed: FeedId,
    pattern: Pattern,
    post: Arc<Post>,
}

/// Everything that arrives.
#[derive(Debug)]
pub(crate) struct MemoryIntake {
    post: Arc<Post>,
    metrics: Arc<Metrics>,
}

impl Memory {
    /// A broker that nobody is subscribed to, which passes on these headers.
    pub(crate) fn new(forward: &[String], metrics: Arc<Metrics>) -> (Self, MemoryIntake) {
        let post = Arc::<Post>::default();
        let intake = MemoryIntake { post: post.clone(), metrics: metrics.clone() };
        let reader = Reader::new(forward);
        (Self { post, feeds: FeedIds::default(), state: BrokerState::here(metrics.clone()), reader, metrics }, intake)
    }

    pub(crate) fn open(&self, pattern: &Pattern) -> MemoryFeed {
        let feed = self.feeds.next();
        let mut office = self.post.lock();
        office.interest.insert(pattern, feed);
        office.waiting.opened.push(feed);
        self.post.arrived.notify_one();
        MemoryFeed { feed, pattern: pattern.clone(), post: self.post.clone() }
    }

    pub(crate) fn publish(&self, mut message: Message) {
        message.envelope = self.reader.reread(message.envelope);
        let message = Arc::new(message.stamped(unix_millis()));
        // One lock for the whole fan-out: feeds see all events in one order.
        let mut office = self.post.lock();
        let Office { interest, waiting, bytes } = &mut *office;
        interest.each(&message.subject, |feed| {
            if waiting.events.len() >= WAITING_EVENTS || *bytes >= WAITING_BYTES {
                self.metrics.broker_events.of(BrokerEvent::SlowConsumer).increment(1);
                self.metrics.drops.of(Dropped::BrokerOverflow).increment(1);
                return;
            }
            *bytes += message.envelope.data.len();
            waiting.events.push_back((*feed, message.clone()));
        });
        self.post.arrived.notify_one();
    }

    pub(crate) fn state(&self) -> &BrokerState {
        &self.state
    }
}

impl Post {
    fn lock(&self) -> MutexGuard<'_, Office> {
        self.office.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryIntake {
    pub(crate) async fn next(&mut self, arrived: &mut Arrived) {
        while arrived.is_empty() {
            self.post.arrived.notified().await;
            let mut office = self.post.lock();
            office.bytes = 0;
            std::mem::swap(arrived, &mut office.waiting);
        }
        self.metrics.messages_received.increment(arrived.events.len() as u64);
    }
}

impl MemoryFeed {
    pub(crate) fn id(&self) -> FeedId {
        self.feed
    }
}

impl Drop for MemoryFeed {
    fn drop(&mut self) {
        self.post.lock().interest.remove(&self.pattern, |feed| *feed == self.feed);
    }
}
