//! One pattern: its members, and the task that carries its events to them.
//!
//! Members stand in slices of a few hundred. A fan-out takes one slice at a
//! time and yields in between, so a long list holds neither its worker nor the
//! lock that joining and leaving need.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use slab::Slab;
use tokio::sync::oneshot;

use crate::{
    broker::{Broker, Message},
    hub::{
        delivery::{Delivery, Tally},
        member::{Member, Place},
    },
    metrics::Metrics,
    socket::Chunk,
    subject::Pattern,
};

/// Members per slice: about a millisecond of writes.
const SLICE: usize = 256;

/// Events taken from the feed at once; what waits together is sent together.
const BATCH: usize = 64;

/// Bytes of data sent together, beyond one event: a client's queue is bounded
/// in bytes, and takes one chunk more than that.
const BATCH_BYTES: usize = 64 * 1024;

/// One pattern and its members.
#[derive(Debug)]
pub(crate) struct Topic {
    pattern: Pattern,
    state: Mutex<State>,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether the broker has confirmed the subscription.
    open: bool,
    /// Members that are not yet admitted, each with what tells it that it is.
    waiting: VecDeque<(Arc<Member>, Chunk)>,
    slices: Vec<Slice>,
}

#[derive(Debug, Default)]
struct Slice {
    standing: Arc<Mutex<Slab<Standing>>>,
    /// As many as stand there, known without its lock.
    length: usize,
}

#[derive(Debug)]
struct Standing {
    member: Arc<Member>,
    /// An earlier pattern of the same connection overlaps this one.
    overlapped: bool,
}

impl Topic {
    pub(crate) fn new(pattern: Pattern, metrics: Arc<Metrics>) -> Self {
        Self { pattern, state: Mutex::default(), metrics }
    }

    pub(crate) fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    pub(crate) fn join(&self, member: &Arc<Member>, live: Chunk) {
        let mut state = self.lock();
        // Behind those who wait already: admission goes in order.
        if state.open && state.waiting.is_empty() {
            self.admit(&mut state, member.clone(), &live);
        } else if let Some((_, earlier)) = state.waiting.iter_mut().find(|(waiting, _)| Arc::ptr_eq(waiting, member)) {
            // Not beside it: an outage may be long, and memory is bounded.
            *earlier = live;
        } else {
            state.waiting.push_back((member.clone(), live));
        }
    }

    pub(crate) fn leave(&self, member: &Arc<Member>) {
        let mut state = self.lock();
        state.waiting.retain(|(waiting, _)| !Arc::ptr_eq(waiting, member));
        let Some(Place { slice, key }) = member.place(&self.pattern) else { return };
        let slice = &mut state.slices[slice as usize];
        let mut standing = lock(&slice.standing);
        // Under the slice's lock, so that no fan-out sees one without the other.
        member.forget(&self.pattern);
        standing.remove(key as usize);
        slice.length -= 1;
    }

    /// Carries events until the last member has left.
    pub(crate) async fn run(self: Arc<Self>, broker: Arc<Broker>, closed: oneshot::Receiver<()>) {
        tokio::select! {
            _ = closed => {}
            () = self.carry(&broker) => {}
        }
    }

    async fn carry(&self, broker: &Broker) {
        let mut feed = broker.open(&self.pattern).await;
        while !self.admit_some() {
            tokio::task::yield_now().await;
        }
        let mut batch = Vec::new();
        while feed.next(&mut batch, BATCH).await {
            for together in batches(&batch) {
                self.deliver(together).await;
            }
            batch.clear();
        }
    }

    /// Admits as many as a slice holds; true when nobody waits any more.
    fn admit_some(&self) -> bool {
        let mut state = self.lock();
        state.open = true;
        for _ in 0..SLICE {
            match state.waiting.pop_front() {
                Some((member, live)) => self.admit(&mut state, member, &live),
                None => return true,
            }
        }
        false
    }

    fn admit(&self, state: &mut State, member: Arc<Member>, live: &Chunk) {
        if member.place(&self.pattern).is_some() {
            member.outbox().push(live);
            return;
        }
        let index = state.slices.iter().position(|slice| slice.length < SLICE).unwrap_or_else(|| {
            state.slices.push(Slice::default());
            state.slices.len() - 1
        });
        let slice = &mut state.slices[index];
        slice.length += 1;
        let mut standing = lock(&slice.standing);
        let entry = standing.vacant_entry();
        let place = Place { slice: index as u32, key: entry.key() as u32 };
        let overlapped = member.note(&self.pattern, place);
        // Before the first event, and under the lock that a fan-out takes.
        member.outbox().push(live);
        entry.insert(Standing { member, overlapped });
    }

    async fn deliver(&self, messages: &[Arc<Message>]) {
        let Some(first) = messages.first() else { return };
        let delivery = Delivery::new(&self.pattern, messages);
        let mut tally = Tally::default();
        let mut index = 0;
        while let Some(standing) = self.slice(index) {
            for Standing { member, overlapped } in lock(&standing).iter().map(|(_, standing)| standing) {
                if *overlapped {
                    delivery.give_unspoken(member, &mut tally);
                } else {
                    delivery.give(member, &mut tally);
                }
            }
            index += 1;
            if self.slices() > index {
                tokio::task::yield_now().await;
            }
        }
        self.metrics.deliveries.increment(tally.events);
        self.metrics.bytes_sent.increment(tally.bytes);
        self.metrics.batches.increment(delivery.encoded());
        self.metrics.delivery_latency.record(first.arrived.elapsed());
    }

    fn slice(&self, index: usize) -> Option<Arc<Mutex<Slab<Standing>>>> {
        self.lock().slices.get(index).map(|slice| slice.standing.clone())
    }

    fn slices(&self) -> usize {
        self.lock().slices.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// Cuts what arrived together where it becomes too large for one chunk.
fn batches(mut messages: &[Arc<Message>]) -> impl Iterator<Item = &[Arc<Message>]> {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |message: &&Arc<Message>| {
            bytes += message.envelope.data.len();
            bytes <= BATCH_BYTES
        };
        let count = messages.iter().take_while(fits).count().max(1);
        let (batch, rest) = messages.split_at_checked(count)?;
        messages = rest;
        Some(batch)
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic in here is fatal to the node (a vital task), so nobody meets the rest of it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
