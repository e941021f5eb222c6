//! A topic is one live pattern with its members.
//!
//! Members stand in slices. A few slices get their events from whoever brings
//! them. A longer list has a task of its own while events wait: it takes one
//! slice at a time and yields in between, so it holds neither its worker, nor
//! the intake, nor the lock that joining and leaving need.

use std::{collections::VecDeque, sync::Arc};

use tokio::sync::oneshot;

use crate::{
    codec::Encoding,
    encoded_message::EncodedMessage,
    event::{Message, PageSize},
    hub::{
        context::Context,
        live::{
            backlog::Backlog,
            delivery::{LiveDelivery, TopicMember},
        },
        member::Member,
        member_list::{FEW_SLICES, MemberList, SharedSlice},
        tally::Tally,
    },
    metrics::Drop as Dropped,
    subject::Pattern,
    sync::{Mutex, rank, yield_now},
};

/// Members admitted before others get their turn.
const ADMITTED: usize = 256;

/// One live pattern and its members.
#[derive(Debug)]
pub(crate) struct Topic {
    pattern: Pattern,
    state: Mutex<State, { rank::TOPIC }>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether the broker has confirmed the feed that brings its events.
    open: bool,
    /// Whether the broker refuses it: those who stand here have been told.
    refused: bool,
    /// Members that are not yet admitted, each with the number of its request and
    /// what tells it that it is.
    waiting: VecDeque<(Arc<Member>, u64, Confirmation)>,
    slices: MemberList<TopicMember>,
    /// Exists while a task works it off.
    backlog: Option<Box<Backlog>>,
}

/// The confirmation that a member gets once events flow.
#[derive(Debug)]
pub(crate) enum Confirmation {
    /// The client is told by this.
    Frame(EncodedMessage),
    /// The task that waits for it is told.
    Tell(oneshot::Sender<()>),
}

impl Topic {
    /// A topic without members, whose events come already or will.
    pub(crate) fn new(pattern: Pattern, open: bool) -> Self {
        Self { pattern, state: Mutex::new(State { open, ..State::default() }) }
    }

    pub(crate) fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// A member joins by a request, or asks once more.
    pub(crate) fn join(&self, member: &Arc<Member>, request: u64, live: Confirmation) {
        let mut state = self.state.lock();
        // Behind those who wait already: admission goes in order.
        if state.open && state.waiting.is_empty() {
            self.admit(&mut state, member.clone(), request, live);
        } else if let Some(earlier) = state.waiting.iter_mut().find(|(waiting, ..)| Arc::ptr_eq(waiting, member)) {
            // Not beside it: an outage may be long, and memory is bounded.
            (earlier.1, earlier.2) = (request, live);
        } else {
            state.waiting.push_back((member.clone(), request, live));
        }
    }

    pub(crate) fn leave(&self, member: &Arc<Member>) {
        let mut state = self.state.lock();
        state.waiting.retain(|(waiting, ..)| !Arc::ptr_eq(waiting, member));
        let Some(place) = member.slot(&self.pattern) else { return };
        state.slices.leave(place, || member.remove_live(&self.pattern));
    }

    /// A member gives the pattern up. Where a wider pattern of its own would deliver
    /// after it, it lingers: its ticket.
    pub(crate) fn linger(&self, member: &Arc<Member>) -> Option<u32> {
        let state = self.state.lock();
        let (place, mut ticket) = (member.slot(&self.pattern)?, None);
        // Under the lock of its slice: from here on each of its events is asked for.
        state.slices.with(place, |standing| {
            ticket = member.linger(&self.pattern);
            if ticket.is_some() {
                standing.checks.ask();
            }
        });
        ticket
    }

    /// A member that lingers leaves, if no event has come for it lately. False when
    /// one may be under way.
    pub(crate) fn leave_quiet(&self, member: &Arc<Member>) -> bool {
        let mut state = self.state.lock();
        match member.slot(&self.pattern) {
            Some(place) => state.slices.leave_if(place, || member.leave_quiet(&self.pattern)),
            // The broker has refused the feed.
            None => member.revive(&self.pattern),
        }
    }

    /// Applies changed denials of a member: from now on it gets no denied event.
    pub(crate) fn filter(&self, member: &Arc<Member>) {
        let state = self.state.lock();
        // A member that is not admitted yet will be by the denials that hold
        // then.
        let Some(place) = member.slot(&self.pattern) else { return };
        state.slices.with(place, |standing| standing.checks.filtered = member.filters(&self.pattern));
    }

    /// Whether the broker refuses the feed.
    pub(crate) fn is_refused(&self) -> bool {
        self.state.lock().refused
    }

    /// The broker refuses the feed, and nothing comes until it is open again. Everybody
    /// is told, and waits to be told `again`: meanwhile a later pattern of the same
    /// connection delivers what this one would have.
    pub(crate) async fn refuse(
        &self,
        told: impl Fn(Encoding) -> EncodedMessage,
        again: impl Fn(Encoding) -> EncodedMessage,
    ) {
        let waiting: Vec<_> = {
            let mut state = self.state.lock();
            (state.open, state.refused) = (false, true);
            state.waiting.iter().map(|(member, ..)| member.clone()).collect()
        };
        for some in waiting.chunks(ADMITTED) {
            for member in some {
                member.outbox().push(&told(member.encoding()));
            }
            yield_now().await;
        }
        for standing in self.slices() {
            let members: Vec<_> = standing.lock().iter().map(|(_, standing)| standing.member.clone()).collect();
            for member in members {
                self.suspend(&member, &told, &again);
            }
            yield_now().await;
        }
    }

    /// A member gives its place back, and waits; one that lingers leaves.
    fn suspend(
        &self,
        member: &Arc<Member>,
        told: impl Fn(Encoding) -> EncodedMessage,
        again: impl Fn(Encoding) -> EncodedMessage,
    ) {
        let (mut state, encoding) = (self.state.lock(), member.encoding());
        // It may have left meanwhile.
        let Some(place) = member.slot(&self.pattern) else { return };
        let lingers = member.lingers(&self.pattern);
        let request = member.with_request(&self.pattern, |_, request| request).unwrap_or_default();
        state.slices.leave(place, || member.remove_live(&self.pattern));
        if !lingers {
            member.outbox().push(&told(encoding));
            state.waiting.push_back((member.clone(), request, Confirmation::Frame(again(encoding))));
        }
    }

    /// The broker has confirmed its feed: members get events from here on.
    pub(crate) async fn open(&self) {
        self.state.lock().refused = false;
        while !self.admit_some() {
            yield_now().await;
        }
    }

    /// Takes events in. A short list of members gets them at once, and how
    /// many that were is returned; a long one through a task of its own, so
    /// that no other topic waits for it.
    pub(crate) fn take(self: &Arc<Self>, events: &mut Vec<Arc<Message>>, context: &Arc<Context>) -> usize {
        let mut state = self.state.lock();
        let working = state.backlog.is_some();
        if working || state.slices.len() > FEW_SLICES {
            let dropped = state.backlog.get_or_insert_default().add(events.drain(..), context.backlog_bytes);
            context.metrics.drops.of(Dropped::BrokerOverflow).increment(dropped as u64);
            if !working {
                context.tasks.spawn_vital("fan-out", self.clone().work_off(context.clone()));
            }
            return 0;
        }
        drop(state);
        let mut tally = Tally::default();
        for together in PageSize::BATCH.split(events) {
            let delivery = LiveDelivery::new(&self.pattern, together, context);
            self.slices().for_each(|standing| delivery.give_all(&standing.lock(), &mut tally));
            delivery.account(&mut tally);
        }
        tally.deliveries
    }

    /// Delivers what waits, slice by slice, until nothing waits any more.
    async fn work_off(self: Arc<Self>, context: Arc<Context>) {
        while let Some(events) = self.waiting() {
            let delivery = LiveDelivery::new(&self.pattern, &events, &context);
            let mut tally = Tally::default();
            for standing in self.slices() {
                delivery.give_all(&standing.lock(), &mut tally);
                yield_now().await;
            }
            delivery.account(&mut tally);
        }
    }

    /// The next batch, or the end of the backlog.
    fn waiting(&self) -> Option<Vec<Arc<Message>>> {
        let mut state = self.state.lock();
        let events = state.backlog.as_mut()?.take();
        if events.is_empty() {
            state.backlog = None;
            return None;
        }
        Some(events)
    }

    /// Admits some; true when nobody waits any more.
    fn admit_some(&self) -> bool {
        let mut state = self.state.lock();
        state.open = true;
        for _ in 0..ADMITTED {
            match state.waiting.pop_front() {
                Some((member, request, live)) => self.admit(&mut state, member, request, live),
                None => {
                    state.waiting = VecDeque::new();
                    return true;
                }
            }
        }
        false
    }

    fn admit(&self, state: &mut State, member: Arc<Member>, request: u64, live: Confirmation) {
        if member.slot(&self.pattern).is_some() {
            member.set_request(&self.pattern, request);
            live.tell(&member);
            return;
        }
        state.slices.enter(|place| {
            let checks = member.add_live(&self.pattern, request, place);
            // Before the first event, and under the lock that a fan-out takes.
            live.tell(&member);
            TopicMember::new(member, checks)
        });
    }

    /// One after the other, each looked up when its turn comes: the list may
    /// grow meanwhile.
    fn slices(&self) -> impl Iterator<Item = SharedSlice<TopicMember>> {
        (0..).map_while(|index| self.state.lock().slices.get(index))
    }
}

impl Confirmation {
    fn tell(self, member: &Member) {
        match self {
            Self::Frame(frame) => drop(member.outbox().push(&frame)),
            // Nobody waits any more: it was given up.
            Self::Tell(waiting) => drop(waiting.send(())),
        }
    }
}
