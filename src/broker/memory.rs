//! The broker inside this process: one node, nothing to install, the same
//! behaviour as NATS core, at-most-once and its slow-consumer rule included,
//! and streams with the same answers as JetStream's.

mod store;

use std::sync::{Arc, PoisonError};

use tokio::sync::Notify;

use crate::{
    broker::{
        headers::Reader,
        intake::{Arrived, FeedId, FeedIds},
        message::{Message, unix_millis},
        state::BrokerState,
        stored::{Page, PageSize, Query, ReadError, Receipt, Stored, StreamState},
    },
    classes::{Class, Classes, StreamIndex},
    config::Config,
    metrics::{BrokerEvent, Drop as Dropped, Metrics},
    subject::Pattern,
    sync::{Mutex, MutexGuard},
    trie::Trie,
};
use store::Store;

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
    classes: Arc<Classes>,
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
    /// In the order of the configuration.
    streams: Vec<Followed>,
    /// Bytes of data in `waiting`.
    bytes: usize,
}

#[derive(Debug)]
struct Followed {
    store: Store,
    /// Whether what is stored is wanted at once.
    followed: bool,
}

/// Keeps one pattern wanted, or one stream.
#[derive(Debug)]
pub(crate) struct MemoryFeed {
    feed: FeedId,
    /// None for a stream.
    pattern: Option<Pattern>,
    post: Arc<Post>,
}

/// Everything that arrives.
#[derive(Debug)]
pub(crate) struct MemoryIntake {
    post: Arc<Post>,
    metrics: Arc<Metrics>,
}

impl Memory {
    /// A broker that nobody is subscribed to, with empty streams.
    pub(crate) fn new(config: &Config, classes: Arc<Classes>, metrics: Arc<Metrics>) -> (Self, MemoryIntake) {
        let streams = config.streams.iter().map(|stream| Followed { store: Store::new(stream), followed: false });
        let office = Office { streams: streams.collect(), ..Office::default() };
        let post = Arc::new(Post { office: Mutex::new(office), arrived: Notify::new() });
        let intake = MemoryIntake { post: post.clone(), metrics: metrics.clone() };
        let reader = Reader::new(&config.events.forward_headers);
        let state = BrokerState::here(metrics.clone());
        (Self { post, feeds: FeedIds::default(), state, reader, classes, metrics }, intake)
    }

    pub(crate) fn open(&self, pattern: &Pattern) -> MemoryFeed {
        let feed = self.feeds.next();
        let mut office = self.post.lock();
        office.interest.insert(pattern, feed);
        office.waiting.opened.push(feed);
        self.post.arrived.notify_one();
        MemoryFeed { feed, pattern: Some(pattern.clone()), post: self.post.clone() }
    }

    pub(crate) fn tail(&self, stream: StreamIndex) -> MemoryFeed {
        let feed = FeedId::tail(stream);
        let mut office = self.post.lock();
        office.streams[stream.0].followed = true;
        office.waiting.opened.push(feed);
        self.post.arrived.notify_one();
        MemoryFeed { feed, pattern: None, post: self.post.clone() }
    }

    pub(crate) fn read(&self, stream: StreamIndex, query: &Query, size: PageSize) -> Result<Page, ReadError> {
        self.post.lock().streams[stream.0].store.read(query, size)
    }

    pub(crate) fn stream_state(&self, stream: StreamIndex) -> StreamState {
        self.post.lock().streams[stream.0].store.state()
    }

    pub(crate) fn gone(&self, stream: StreamIndex, from: u64, to: u64) -> Option<u64> {
        let next = self.post.lock().streams[stream.0].store.next(from).unwrap_or(to + 1);
        (next > from).then(|| to.min(next - 1))
    }

    pub(crate) fn store(&self, stream: StreamIndex, mut message: Message) -> Receipt {
        message.envelope = self.reader.reread(message.envelope);
        // One lock for storing and telling: followers see the stream's order.
        let mut office = self.post.lock();
        let Office { streams, waiting, bytes, .. } = &mut *office;
        let Followed { store, followed } = &mut streams[stream.0];
        let (receipt, event) = store.add(message);
        // What there is no room for is missed, and read from the stream later.
        if let Some(event) = event.filter(|_| *followed && *bytes < WAITING_BYTES) {
            *bytes += event.envelope.data.len();
            waiting.stored.push((stream, Stored { seq: receipt.seq, event: Some(event) }));
            self.post.arrived.notify_one();
        }
        receipt
    }

    pub(crate) fn publish(&self, mut message: Message) {
        // As NATS does it: a stream keeps what is published on its subjects.
        if let Class::Stored(stream) = self.classes.class(&message.subject) {
            self.store(stream, message);
            return;
        }
        message.envelope = self.reader.reread(message.envelope);
        let message = Arc::new(message.stamped(unix_millis()));
        // One lock for the whole fan-out: feeds see all events in one order.
        let mut office = self.post.lock();
        let Office { interest, waiting, bytes, .. } = &mut *office;
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

    pub(crate) fn classes(&self) -> &Arc<Classes> {
        &self.classes
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
        self.metrics.messages_received.increment((arrived.events.len() + arrived.stored.len()) as u64);
    }
}

impl MemoryFeed {
    pub(crate) fn id(&self) -> FeedId {
        self.feed
    }
}

impl Drop for MemoryFeed {
    fn drop(&mut self) {
        let mut office = self.post.lock();
        match (&self.pattern, self.feed.stream()) {
            (Some(pattern), _) => office.interest.remove(pattern, |feed| *feed == self.feed),
            (None, Some(stream)) => office.streams[stream.0].followed = false,
            (None, None) => {}
        }
    }
}
