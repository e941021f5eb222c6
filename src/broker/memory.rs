//! The broker inside this process: one node, nothing to install, the same
//! behaviour as NATS core, at-most-once and its slow-consumer rule included,
//! and streams with the same answers as JetStream's.

mod bus;
mod store;

use std::{collections::HashMap, future::ready, sync::Arc};

use async_trait::async_trait;
use tokio::sync::Notify;

use crate::{
    broker::{
        arrived::Arrived,
        bus::Bus,
        contract::{Acknowledgement, Broker, Connection, Intake},
        feed::{Feed, FeedId, FeedIds, Feeds},
        publish_error::PublishError,
        state::BrokerState,
        stored::{Page, Purpose, Query, ReadError, Receipt, Stored, StreamState},
    },
    classes::{Class, Classes, StreamIndex},
    clock::unix_millis,
    config::{Config, Delivery},
    event::{
        Gone, PageSize,
        headers::{self, HeaderReader},
        message::Message,
    },
    metrics::{BrokerEvent, Drop as Dropped, Metrics},
    subject::Pattern,
    sync::{Mutex, rank},
    trie::Trie,
};
use bus::MemoryBus;
use store::Store;

/// Events that may wait to be taken in.
const WAITING_EVENTS: usize = 65_536;

/// Bytes of events that may wait to be taken in: what nats-server lets wait for
/// one connection (`max_pending`).
const WAITING_BYTES: usize = 64 * 1024 * 1024;

/// Of a page that is read from a sequence on: as much as one of NATS' leader.
const PAGE: PageSize = PageSize { events: 64, bytes: 1 << 20 };

/// The broker in this process: passes events from publishers to feeds.
#[derive(Debug)]
struct Memory {
    inner: Arc<Inner>,
    feeds: FeedIds,
    state: BrokerState,
    reader: HeaderReader,
    classes: Arc<Classes>,
    bus: Arc<dyn Bus>,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State, { rank::INTEREST }>,
    /// Something is waiting.
    arrived: Notify,
}

#[derive(Debug, Default)]
struct State {
    interest: Trie<FeedId>,
    /// The patterns of its feeds.
    patterns: HashMap<FeedId, Pattern>,
    waiting: Arrived,
    /// In the order of the configuration.
    streams: Vec<MemoryStream>,
    /// Bytes of events in `waiting`.
    bytes: usize,
}

#[derive(Debug)]
struct MemoryStream {
    store: Store,
    /// Whether what is stored is wanted at once.
    followed: bool,
}

/// The intake of the broker in this process.
#[derive(Debug)]
struct MemoryIntake {
    inner: Arc<Inner>,
    metrics: Arc<Metrics>,
}

/// A broker that nobody is subscribed to, with empty streams.
pub(crate) fn connect(config: &Config, classes: Arc<Classes>, metrics: &Arc<Metrics>) -> Connection {
    let streams = config.streams.iter().map(|stream| MemoryStream { store: Store::new(stream), followed: false });
    let state = State { streams: streams.collect(), ..State::default() };
    let inner = Arc::new(Inner { state: Mutex::new(state), arrived: Notify::new() });
    let memory = Memory {
        inner: inner.clone(),
        feeds: FeedIds::default(),
        state: BrokerState::here(metrics.clone()),
        reader: HeaderReader::new(&config.events.forward_headers),
        classes,
        bus: Arc::new(MemoryBus::default()),
        metrics: metrics.clone(),
    };
    (Arc::new(memory), vec![Box::new(MemoryIntake { inner, metrics: metrics.clone() })])
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
        let mut state = self.inner.state.lock();
        state.interest.insert(pattern, feed);
        state.patterns.insert(feed, pattern.clone());
        self.opened(&mut state, feed)
    }

    fn tail(&self, stream: StreamIndex) -> Feed {
        let mut state = self.inner.state.lock();
        state.streams[stream.0].followed = true;
        self.opened(&mut state, FeedId::tail(stream))
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
        self.inner.state.lock().streams[stream.0].store.read(query, size)
    }

    async fn read_leader(&self, stream: StreamIndex, from: u64) -> Result<Page, ReadError> {
        self.read(stream, &Query::From(from), PAGE, Purpose::Follow).await
    }

    async fn stream_state(&self, stream: StreamIndex) -> Result<StreamState, ReadError> {
        Ok(self.inner.state.lock().streams[stream.0].store.state())
    }

    async fn deleted_through(&self, stream: StreamIndex, from: u64, to: u64) -> Result<Option<u64>, ReadError> {
        let next = self.inner.state.lock().streams[stream.0].store.next(from).unwrap_or(to + 1);
        Ok((next > from).then(|| to.min(next - 1)))
    }

    async fn deleted(&self, stream: StreamIndex) -> Result<(StreamState, Vec<u64>), ReadError> {
        Ok(self.inner.state.lock().streams[stream.0].store.deleted())
    }

    fn bus(&self) -> &Arc<dyn Bus> {
        &self.bus
    }
}

impl Memory {
    fn opened(&self, state: &mut State, feed: FeedId) -> Feed {
        state.waiting.opened.push(feed);
        self.inner.arrived.notify_one();
        Feed::new(feed, self.inner.clone())
    }

    fn keep(&self, stream: StreamIndex, mut message: Message) -> Receipt {
        let id = headers::msg_id(&message.envelope).to_owned();
        let gone = self.gone(stream, &message);
        message.envelope = self.reader.reread(message.envelope);
        let message = message.ended(gone);
        // One lock for storing and telling: followers see the stream's order.
        let mut state = self.inner.state.lock();
        let State { streams, waiting, bytes, .. } = &mut *state;
        let MemoryStream { store, followed } = &mut streams[stream.0];
        let (receipt, event) = store.add(message, id);
        // An event without room here is missed, and read from the stream later.
        if let Some(event) = event.filter(|_| *followed && *bytes < WAITING_BYTES) {
            *bytes += event.cost();
            waiting.stored.push((stream, Stored::new(receipt.seq, Some(event))));
            self.inner.arrived.notify_one();
        }
        receipt
    }

    /// Why the event ends the value of its subject, if it does. Where all events
    /// count, an end is one of them.
    fn gone(&self, stream: StreamIndex, message: &Message) -> Option<Gone> {
        if self.classes.delivery(stream) != Delivery::Latest {
            return None;
        }
        let headers = &message.envelope.headers;
        Gone::of(&headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect::<Vec<_>>())
    }

    fn pass(&self, mut message: Message) {
        message.envelope = self.reader.reread(message.envelope);
        let message = Arc::new(message.stamped(unix_millis()));
        // One lock for the whole fan-out: feeds see all events in one order.
        let mut state = self.inner.state.lock();
        let State { interest, waiting, bytes, .. } = &mut *state;
        interest.each(&message.subject, |feed| {
            if waiting.events.len() >= WAITING_EVENTS || *bytes >= WAITING_BYTES {
                self.metrics.broker_events.of(BrokerEvent::SlowConsumer).increment(1);
                self.metrics.drops.of(Dropped::BrokerOverflow).increment(1);
                return;
            }
            *bytes += message.cost();
            waiting.events.push_back((*feed, message.clone()));
        });
        self.inner.arrived.notify_one();
    }
}

#[async_trait]
impl Intake for MemoryIntake {
    async fn next(&mut self, arrived: &mut Arrived) {
        while arrived.is_empty() {
            self.inner.arrived.notified().await;
            let mut state = self.inner.state.lock();
            state.bytes = 0;
            std::mem::swap(arrived, &mut state.waiting);
        }
        self.metrics.messages_received.increment((arrived.events.len() + arrived.stored.len()) as u64);
    }

    fn is_remote(&self) -> bool {
        false
    }
}

impl Feeds for Inner {
    fn close(&self, feed: FeedId) {
        let mut state = self.state.lock();
        if let Some(stream) = feed.stream() {
            state.streams[stream.0].followed = false;
        } else if let Some(pattern) = state.patterns.remove(&feed) {
            state.interest.remove(&pattern, |one| *one == feed);
        }
    }
}
