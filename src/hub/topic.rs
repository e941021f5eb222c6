//! One pattern: its members, and how its events get to them.
//!
//! Members stand in slices. A few slices get their events from whoever brings
//! them. A longer list has a task of its own while events wait: it takes one
//! slice at a time and yields in between, so it holds neither its worker, nor
//! the intake, nor the lock that joining and leaving need.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use slab::Slab;

use crate::{
    broker::Message,
    drain::Tasks,
    hub::{
        backlog::{Backlog, batches},
        delivery::{Delivery, Standing, Tally},
        member::{Member, Place},
    },
    metrics::{Drop as Dropped, Metrics},
    socket::Chunk,
    subject::Pattern,
};

/// Members per slice: a quarter of a millisecond of writes, after which others
/// get their turn.
const SLICE: usize = 32;

/// Slices that need no task of their own: 256 members, about a millisecond.
const FEW_SLICES: usize = 8;

/// Members admitted before others get their turn.
const ADMITTED: usize = 256;

/// One pattern and its members.
#[derive(Debug)]
pub(crate) struct Topic {
    pattern: Pattern,
    state: Mutex<State>,
}

/// What all topics of a node share.
#[derive(Debug)]
pub(crate) struct FanOut {
    /// Bytes of events that may wait for one pattern with many members.
    pub(crate) backlog_bytes: usize,
    /// Owner of the tasks that work them off.
    pub(crate) tasks: Tasks,
    /// Where it counts.
    pub(crate) metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether the broker has confirmed the subscription.
    open: bool,
    /// Members that are not yet admitted, each with what tells it that it is.
    waiting: VecDeque<(Arc<Member>, Chunk)>,
    slices: Vec<Slice>,
    /// Exists while a task works it off.
    backlog: Option<Box<Backlog>>,
}

#[derive(Debug)]
struct Slice {
    standing: Arc<Mutex<Slab<Standing>>>,
    /// As many as stand there, known without its lock.
    length: usize,
}

impl Topic {
    pub(crate) fn new(pattern: Pattern) -> Self {
        Self { pattern, state: Mutex::default() }
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

    /// The broker has confirmed the feed: members get events from here on.
    pub(crate) async fn open(&self) {
        while !self.admit_some() {
            tokio::task::yield_now().await;
        }
    }

    /// Takes events in. A short list of members gets them at once, and how
    /// many that were is returned; a long one through a task of its own, so
    /// that no other topic waits for it.
    pub(crate) fn take(self: &Arc<Self>, events: &mut Vec<Arc<Message>>, fan_out: &FanOut) -> usize {
        let mut state = self.lock();
        let working = state.backlog.is_some();
        if working || state.slices.len() > FEW_SLICES {
            let dropped = state.backlog.get_or_insert_default().add(events.drain(..), fan_out.backlog_bytes);
            fan_out.metrics.drops.of(Dropped::BrokerOverflow).increment(dropped as u64);
            if !working {
                fan_out.tasks.spawn_vital("fan-out", self.clone().work_off(fan_out.metrics.clone()));
            }
            return 0;
        }
        drop(state);
        let mut tally = Tally::default();
        for together in batches(events) {
            let delivery = Delivery::new(&self.pattern, together);
            self.slices().for_each(|standing| delivery.give_all(&lock(&standing), &mut tally));
            tally.account(&delivery, &fan_out.metrics);
        }
        tally.deliveries
    }

    /// Delivers what waits, slice by slice, until nothing waits any more.
    async fn work_off(self: Arc<Self>, metrics: Arc<Metrics>) {
        while let Some(events) = self.waiting() {
            let delivery = Delivery::new(&self.pattern, &events);
            let mut tally = Tally::default();
            for standing in self.slices() {
                delivery.give_all(&lock(&standing), &mut tally);
                tokio::task::yield_now().await;
            }
            tally.account(&delivery, &metrics);
        }
    }

    /// The next batch, or the end of the backlog.
    fn waiting(&self) -> Option<Vec<Arc<Message>>> {
        let mut state = self.lock();
        let events = state.backlog.as_mut()?.take();
        if events.is_empty() {
            state.backlog = None;
            return None;
        }
        Some(events)
    }

    /// Admits some; true when nobody waits any more.
    fn admit_some(&self) -> bool {
        let mut state = self.lock();
        state.open = true;
        for _ in 0..ADMITTED {
            match state.waiting.pop_front() {
                Some((member, live)) => self.admit(&mut state, member, &live),
                None => {
                    state.waiting = VecDeque::new();
                    return true;
                }
            }
        }
        false
    }

    fn admit(&self, state: &mut State, member: Arc<Member>, live: &Chunk) {
        if member.place(&self.pattern).is_some() {
            member.outbox().push(live);
            return;
        }
        let index = state.slices.iter().rposition(|slice| slice.length < SLICE).unwrap_or_else(|| {
            // Exact: there may be as many topics as connections.
            state.slices.reserve_exact(1);
            state.slices.push(Slice { standing: Arc::new(Mutex::new(Slab::with_capacity(1))), length: 0 });
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

    /// One after the other, each looked up when its turn comes: the list may
    /// grow meanwhile.
    fn slices(&self) -> impl Iterator<Item = Arc<Mutex<Slab<Standing>>>> {
        (0..).map_while(|index| self.lock().slices.get(index).map(|slice| slice.standing.clone()))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic in here is fatal to the node (a vital task), so nobody meets the rest of it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
