//! The broker inside this process: one node, nothing to install, the same
//! behaviour as NATS core, at-most-once and its slow-consumer rule included.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::mpsc;

use crate::{
    broker::{
        headers::Reader,
        message::Message,
        state::{BrokerState, Link},
    },
    metrics::{BrokerEvent, Drop as Dropped, Metrics},
    subject::Pattern,
    trie::Trie,
};

/// Events that may wait for one pattern. As large as the NATS client's here.
const FEED_EVENTS: usize = 8_192;

/// Passes events from publishers to feeds.
#[derive(Debug)]
pub struct Memory {
    interest: Arc<Mutex<Trie<FeedEnd>>>,
    next_feed: AtomicU64,
    state: BrokerState,
    reader: Reader,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct FeedEnd {
    feed: u64,
    events: mpsc::Sender<Arc<Message>>,
}

/// The events of one pattern.
#[derive(Debug)]
pub(crate) struct MemoryFeed {
    feed: u64,
    pattern: Pattern,
    events: mpsc::Receiver<Arc<Message>>,
    interest: Arc<Mutex<Trie<FeedEnd>>>,
    metrics: Arc<Metrics>,
}

impl Memory {
    /// A broker that nobody is subscribed to, which passes on these headers.
    pub fn new(forward: &[String], metrics: Arc<Metrics>) -> Self {
        metrics.broker_connected.set(1.0);
        Self {
            interest: Arc::default(),
            next_feed: AtomicU64::new(0),
            state: BrokerState::new(Link::Up),
            reader: Reader::new(forward),
            metrics,
        }
    }

    pub(crate) fn open(&self, pattern: &Pattern) -> MemoryFeed {
        let feed = self.next_feed.fetch_add(1, Ordering::Relaxed);
        let (sender, events) = mpsc::channel(FEED_EVENTS);
        let mut interest = self.interest.lock().unwrap_or_else(PoisonError::into_inner);
        interest.insert(pattern, FeedEnd { feed, events: sender });
        let (pattern, metrics) = (pattern.clone(), self.metrics.clone());
        MemoryFeed { feed, pattern, events, interest: self.interest.clone(), metrics }
    }

    pub(crate) fn publish(&self, mut message: Message) {
        message.envelope = self.reader.reread(message.envelope);
        let message = Arc::new(message.stamped());
        // One lock for the whole fan-out: feeds see all events in one order.
        let interest = self.interest.lock().unwrap_or_else(PoisonError::into_inner);
        interest.each(&message.subject, |end| {
            if let Err(mpsc::error::TrySendError::Full(_)) = end.events.try_send(message.clone()) {
                self.metrics.broker_events.of(BrokerEvent::SlowConsumer).increment(1);
                self.metrics.drops.of(Dropped::BrokerOverflow).increment(1);
            }
        });
    }

    pub(crate) fn state(&self) -> &BrokerState {
        &self.state
    }
}

impl MemoryFeed {
    pub(crate) async fn next(&mut self, batch: &mut Vec<Arc<Message>>, most: usize) -> bool {
        let received = self.events.recv_many(batch, most).await;
        self.metrics.messages_received.increment(received as u64);
        received > 0
    }
}

impl Drop for MemoryFeed {
    fn drop(&mut self) {
        let mut interest = self.interest.lock().unwrap_or_else(PoisonError::into_inner);
        interest.remove(&self.pattern, |end| end.feed == self.feed);
    }
}
