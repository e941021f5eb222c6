//! The broker inside this process: one node, nothing to install, the same
//! behaviour as NATS core, at-most-once and its slow-consumer rule included,
//! and streams with the same answers as JetStream's.

mod store;

use std::{
    collections::HashMap,
    future::ready,
    sync::{Arc, PoisonError},
};

use async_trait::async_trait;
use tokio::sync::Notify;

use crate::{
    broker::{
        arrived::Arrived,
        contract::{Acknowledgement, Broker, Connection, Intake},
        feed::{Feed, FeedId, FeedIds, Feeds},
        headers::{self, Reader},
        message::Message,
        publish_error::PublishError,
        state::BrokerState,
        stored::{Page, PageSize, Purpose, Query, ReadError, Receipt, Stored, StreamState},
    },
    calendar::unix_millis,
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

/// Bytes of events that may wait to be taken in: what nats-server lets wait for
/// one connection (`max_pending`).
const WAITING_BYTES: usize = 64 * 1024 * 1024;

/// Of a page that is read from a sequence on: as much as one of NATS' leader.
const PAGE: PageSize = PageSize { events: 64, bytes: 1 << 20 };

/// Passes events from publishers to feeds.
#[derive(Debug)]
struct Memory {
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
    /// What the feeds in it want.
    patterns: HashMap<FeedId, Pattern>,
    waiting: Arrived,
    /// In the order of the configuration.
    streams: Vec<Followed>,
    /// Bytes of events in `waiting`.
    bytes: usize,
}

#[derive(Debug)]
struct Followed {
    store: Store,
    /// Whether what is stored is wanted at once.
    followed: bool,
}

/// Everything that arrives.
#[derive(Debug)]
struct MemoryIntake {
    post: Arc<Post>,
    metrics: Arc<Metrics>,
}

/// A broker that nobody is subscribed to, with empty streams.
pub(crate) fn connect(config: &Config, classes: Arc<Classes>, metrics: &Arc<Metrics>) -> Connection {
    let streams = config.streams.iter().map(|stream| Followed { store: Store::new(stream), followed: false });
    let office = Office { streams: streams.collect(), ..Office::default() };
    let post = Arc::new(Post { office: Mutex::new(office), arrived: Notify::new() });
    let memory = Memory {
        post: post.clone(),
        feeds: FeedIds::default(),
        state: BrokerState::here(metrics.clone()),
        reader: Reader::new(&config.events.forward_headers),
        classes,
        metrics: metrics.clone(),
    };
    (Arc::new(memory), vec![Box::new(MemoryIntake { post, metrics: metrics.clone() })])
}

#[async_trait]
impl Broker for Memory {
    fn classes(&self) -> &Arc<Classes> {
        &self.classes
    }

    fn state(&self) -> &BrokerState {
        &self.state
    }

    fn open(&self, pattern: &Pattern) -> Feed {
        let feed = self.feeds.next();
        let mut office = self.post.lock();
        office.interest.insert(pattern, feed);
        office.patterns.insert(feed, pattern.clone());
        self.opened(&mut office, feed)
    }

    fn tail(&self, stream: StreamIndex) -> Feed {
        let mut office = self.post.lock();
        office.streams[stream.0].followed = true;
        self.opened(&mut office, FeedId::tail(stream))
    }

    async fn publish(&self, message: Message) -> Result<(), PublishError> {
        // As NATS does it: a stream keeps what is published on its subjects.
        match self.classes.class(&message.subject) {
            Class::Stored(stream) => drop(self.keep(stream, message)),
            Class::Live => self.pass(message),
        }
        Ok(())
    }

    async fn submit(&self, stream: StreamIndex, message: Message) -> Result<Acknowledgement, PublishError> {
        Ok(Box::pin(ready(Ok(self.keep(stream, message)))))
    }

    async fn read(
        &self,
        stream: StreamIndex,
        query: &Query,
        size: PageSize,
        _purpose: Purpose,
    ) -> Result<Page, ReadError> {
        self.post.lock().streams[stream.0].store.read(query, size)
    }

    async fn read_leader(&self, stream: StreamIndex, from: u64) -> Result<Page, ReadError> {
        self.read(stream, &Query::From(from), PAGE, Purpose::Follow).await
    }

    async fn stream_state(&self, stream: StreamIndex) -> Result<StreamState, ReadError> {
        Ok(self.post.lock().streams[stream.0].store.state())
    }

    async fn gone(&self, stream: StreamIndex, from: u64, to: u64) -> Result<Option<u64>, ReadError> {
        let next = self.post.lock().streams[stream.0].store.next(from).unwrap_or(to + 1);
        Ok((next > from).then(|| to.min(next - 1)))
    }

    async fn deleted(&self, stream: StreamIndex) -> Result<(StreamState, Vec<u64>), ReadError> {
        Ok(self.post.lock().streams[stream.0].store.deleted())
    }
}

impl Memory {
    fn opened(&self, office: &mut Office, feed: FeedId) -> Feed {
        office.waiting.opened.push(feed);
        self.post.arrived.notify_one();
        Feed::new(feed, self.post.clone())
    }

    fn keep(&self, stream: StreamIndex, mut message: Message) -> Receipt {
        let id = headers::msg_id(&message.envelope).to_owned();
        message.envelope = self.reader.reread(message.envelope);
        // One lock for storing and telling: followers see the stream's order.
        let mut office = self.post.lock();
        let Office { streams, waiting, bytes, .. } = &mut *office;
        let Followed { store, followed } = &mut streams[stream.0];
        let (receipt, event) = store.add(message, id);
        // What there is no room for is missed, and read from the stream later.
        if let Some(event) = event.filter(|_| *followed && *bytes < WAITING_BYTES) {
            *bytes += event.cost();
            waiting.stored.push((stream, Stored::new(receipt.seq, Some(event))));
            self.post.arrived.notify_one();
        }
        receipt
    }

    fn pass(&self, mut message: Message) {
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
            *bytes += message.cost();
            waiting.events.push_back((*feed, message.clone()));
        });
        self.post.arrived.notify_one();
    }
}

impl Post {
    fn lock(&self) -> MutexGuard<'_, Office> {
        self.office.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Intake for MemoryIntake {
    async fn next(&mut self, arrived: &mut Arrived) {
        while arrived.is_empty() {
            self.post.arrived.notified().await;
            let mut office = self.post.lock();
            office.bytes = 0;
            std::mem::swap(arrived, &mut office.waiting);
        }
        self.metrics.messages_received.increment((arrived.events.len() + arrived.stored.len()) as u64);
    }

    fn is_remote(&self) -> bool {
        false
    }
}

impl Feeds for Post {
    fn close(&self, feed: FeedId) {
        let mut office = self.lock();
        if let Some(stream) = feed.stream() {
            office.streams[stream.0].followed = false;
        } else if let Some(pattern) = office.patterns.remove(&feed) {
            office.interest.remove(&pattern, |one| *one == feed);
        }
    }
}
