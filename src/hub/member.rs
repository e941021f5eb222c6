//! A member is one connection as topics and channels see it: its outbox, which of
//! its patterns delivers a live event when several match, and its denials.
//!
//! The rule: of a connection's live patterns, the one that went live first
//! delivers. Every topic whose pattern matches gets an event, by a feed of its
//! own or by a wider one, and every topic but that of the first pattern passes the
//! event over. The first pattern is found once for each subject ([`Precedence`]),
//! not once for each pattern. A pattern that is given up under a wider one
//! lingers, and stays in this order ([`Lingering`]).
//!
//! Denials are checked for each event of a pattern that some denial overlaps, and
//! for no other.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::{
    access::grants::Grants,
    codec::Encoding,
    effort,
    hub::{
        lingering::Lingering, member_progress::MemberProgress, member_slot::MemberSlot,
        overflow_notice::OverflowNotice, precedence::Precedence, shapes::ShapeHolder,
    },
    outbox::Outbox,
    subject::{Pattern, Subject},
    sync::{Mutex, rank},
};

/// One connection in the hub.
#[derive(Debug)]
pub(crate) struct Member {
    outbox: Arc<Outbox>,
    encoding: Encoding,
    state: Mutex<State, { rank::PATTERNS }>,
    progress: MemberProgress,
    overflow: OverflowNotice,
    /// The user whose patterns these are, once that is known; 0: nobody.
    user: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    /// In the order in which they went live.
    live: Vec<LivePattern>,
    /// How many of them have a wildcard.
    wildcards: u32,
    /// Which of them comes first, once that is asked of more than a few.
    precedence: Option<Box<Precedence>>,
    /// The grants whose denials hold; none where nothing is denied.
    denials: Option<Grants>,
    /// Those of them that have been given up, if there are any.
    lingering: Option<Box<Lingering>>,
}

/// Patterns that are compared one after the other: fewer than that cost less so
/// than an index of them.
const FEW: usize = 8;

/// Earlier patterns that a new one is compared with, some 10 µs. That it
/// overlaps none of more than these is not found out: asking costs, but wrongly
/// not asking would deliver twice.
const COMPARED: usize = 64;

/// The checks that each event of a topic needs: none for nearly all members.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventChecks {
    /// An earlier pattern of the same connection overlaps.
    overlapped: bool,
    /// A denial overlaps.
    pub(crate) filtered: bool,
}

/// The fate of an event in one topic of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Share {
    /// This topic delivers it.
    Mine,
    /// Another topic does.
    Others,
    /// It is kept from the connection.
    Denied,
}

#[derive(Debug)]
struct LivePattern {
    pattern: Pattern,
    slot: MemberSlot,
    /// The number of the request that made the subscription; 0 for none.
    request: u64,
}

impl Member {
    pub(crate) fn new(outbox: Arc<Outbox>, encoding: Encoding) -> Self {
        Self {
            outbox,
            encoding,
            state: Mutex::default(),
            progress: MemberProgress::default(),
            overflow: OverflowNotice::default(),
            user: AtomicU64::new(0),
        }
    }

    pub(crate) fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }

    pub(crate) fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Its patterns are a user's from now on. That is said once, before there are any.
    pub(crate) fn set_user(&self, user: u64) {
        self.user.store(user, Ordering::Relaxed);
    }

    /// The holder of its patterns: the connection itself until a user is named.
    pub(crate) fn holder(&self) -> ShapeHolder {
        match self.user.load(Ordering::Relaxed) {
            0 => ShapeHolder::Connection(std::ptr::from_ref(self).addr()),
            user => ShapeHolder::User(user),
        }
    }

    /// How far it is in the streams that it follows.
    pub(crate) fn progress(&self) -> &MemberProgress {
        &self.progress
    }

    /// Which of its patterns miss something live.
    pub(crate) fn overflow(&self) -> &OverflowNotice {
        &self.overflow
    }

    /// Notes the pattern of a request as live, and says what has to be
    /// [asked](Self::share) for each of its events.
    pub(crate) fn add_live(&self, pattern: &Pattern, request: u64, slot: MemberSlot) -> EventChecks {
        let mut state = self.state.lock();
        let overlapped = state.overlaps(pattern);
        if state.live.is_empty() {
            // Most connections have few, and there are many connections.
            state.live.reserve_exact(1);
        }
        state.wildcards += u32::from(pattern.shape().is_some());
        if let Some(precedence) = &mut state.precedence {
            precedence.add(pattern.clone());
        }
        state.live.push(LivePattern { pattern: pattern.clone(), slot, request });
        EventChecks { overlapped, filtered: state.filters(pattern) }
    }

    pub(crate) fn remove_live(&self, pattern: &Pattern) {
        self.state.lock().remove(pattern);
    }

    pub(crate) fn slot(&self, pattern: &Pattern) -> Option<MemberSlot> {
        self.state.lock().find(pattern).map(|live| live.slot)
    }

    /// Another request asks for a live pattern: frames carry its number.
    pub(crate) fn set_request(&self, pattern: &Pattern, request: u64) {
        self.state.lock().find(pattern).into_iter().for_each(|live| live.request = request);
    }

    /// Runs a closure with the subscription that a live pattern delivers for, and the
    /// number of its request, which stay while the closure runs; none when it is not
    /// live.
    pub(crate) fn with_request<R>(&self, pattern: &Pattern, act: impl FnOnce(&Pattern, u64) -> R) -> Option<R> {
        let state = self.state.lock();
        let serves = |live: &&LivePattern| !state.lingers(&live.pattern) && live.pattern.covers(pattern);
        let exact = state.live.iter().find(|live| live.pattern == *pattern)?;
        let served = if state.lingers(pattern) { state.live.iter().find(serves)? } else { exact };
        Some(act(&served.pattern, served.request))
    }

    /// Has a pattern linger, if it delivers what a wider one that stays would deliver
    /// after it. Its ticket; none when it may leave at once.
    pub(crate) fn linger(&self, pattern: &Pattern) -> Option<u32> {
        let mut state = self.state.lock();
        let covers = |live: &LivePattern| live.pattern.covers(pattern);
        let place = state.live.iter().position(|live| live.pattern == *pattern)?;
        let (earlier, later) = state.live.split_at(place);
        let delivers = !earlier.iter().any(covers);
        let covered = later[1..].iter().any(|live| covers(live) && !state.lingers(&live.pattern));
        (delivers && covered).then(|| state.lingering.get_or_insert_default().add(pattern)).flatten()
    }

    /// The client asks for a pattern again that lingers: it is as it was. False when
    /// it does not linger.
    pub(crate) fn revive(&self, pattern: &Pattern) -> bool {
        self.state.lock().change_lingering(|lingering| lingering.remove(pattern)).unwrap_or(false)
    }

    /// Whether a pattern has been given up and lingers.
    pub(crate) fn lingers(&self, pattern: &Pattern) -> bool {
        self.state.lock().lingers(pattern)
    }

    /// Whether a pattern lingers under this ticket.
    pub(crate) fn lingers_under(&self, pattern: &Pattern, ticket: u32) -> bool {
        self.state.lock().lingering.as_ref().is_some_and(|lingering| lingering.has_ticket(pattern, ticket))
    }

    /// Ends the lingering of patterns that nothing wider stays for; of all, where `all`
    /// says so.
    pub(crate) fn end_lingering(&self, all: bool) -> Vec<Pattern> {
        let mut state = self.state.lock();
        let Some(mut lingering) = state.lingering.take() else { return Vec::new() };
        let held: Vec<_> = state.live.iter().map(|live| &live.pattern).filter(|held| !lingering.has(held)).collect();
        let ended = lingering.take(|pattern| all || !held.iter().any(|held| held.covers(pattern)));
        state.lingering = Some(lingering).filter(|lingering| !lingering.is_empty());
        ended
    }

    /// Ends a lingering pattern that no event has matched lately; the next one is
    /// delivered by the wider pattern. True when it has ended.
    pub(crate) fn leave_quiet(&self, pattern: &Pattern) -> bool {
        let mut state = self.state.lock();
        let ended = state.change_lingering(|lingering| lingering.end_quiet(pattern)).unwrap_or(false);
        if ended {
            state.remove(pattern);
        }
        ended
    }

    /// Decides the fate of an event in the topic of a pattern. One that
    /// went live before it speaks for the subject, also where that is denied.
    pub(crate) fn share(&self, pattern: &Pattern, subject: &Subject) -> Share {
        let mut state = self.state.lock();
        state.change_lingering(|lingering| lingering.touch(subject));
        if !state.is_first(pattern, subject) {
            Share::Others
        } else if state.denies(subject) {
            Share::Denied
        } else {
            Share::Mine
        }
    }

    /// From now on these denials hold: the delivery of a stream, and a
    /// replay, see them. Topics and progress have still to be told to check.
    pub(crate) fn deny(&self, grants: &Grants) {
        let denials = grants.has_denials().then(|| grants.clone());
        self.progress.exclusively(|| self.state.lock().denials = denials);
    }

    /// The grants whose denials hold; none where nothing is denied.
    pub(crate) fn denials(&self) -> Option<Grants> {
        self.state.lock().denials.clone()
    }

    /// Whether these still hold.
    pub(crate) fn has_denials(&self, denials: Option<&Grants>) -> bool {
        match (&self.state.lock().denials, denials) {
            (None, None) => true,
            (Some(held), Some(asked)) => held.ptr_eq(asked),
            _ => false,
        }
    }

    /// Whether some subject of a pattern is denied.
    pub(crate) fn filters(&self, pattern: &Pattern) -> bool {
        self.state.lock().filters(pattern)
    }

    /// Whether a subject is denied.
    pub(crate) fn denies(&self, subject: &Subject) -> bool {
        self.state.lock().denies(subject)
    }
}

impl State {
    fn find(&mut self, pattern: &Pattern) -> Option<&mut LivePattern> {
        self.live.iter_mut().find(|live| live.pattern == *pattern)
    }

    fn remove(&mut self, pattern: &Pattern) {
        let Some(index) = self.live.iter().position(|live| live.pattern == *pattern) else { return };
        self.live.remove(index);
        self.wildcards -= u32::from(pattern.shape().is_some());
        if self.live.len() <= FEW {
            self.precedence = None;
        } else if let Some(precedence) = &mut self.precedence {
            precedence.remove(pattern);
        }
    }

    fn lingers(&self, pattern: &Pattern) -> bool {
        self.lingering.as_ref().is_some_and(|lingering| lingering.has(pattern))
    }

    /// Changes what lingers, if anything does.
    fn change_lingering<R>(&mut self, change: impl FnOnce(&mut Lingering) -> R) -> Option<R> {
        let lingering = self.lingering.as_mut()?;
        let changed = change(lingering);
        if lingering.is_empty() {
            self.lingering = None;
        }
        Some(changed)
    }

    /// Whether some subject of a pattern is one of an earlier pattern too; it may
    /// say so wrongly.
    fn overlaps(&self, pattern: &Pattern) -> bool {
        if self.wildcards == 0 && pattern.shape().is_none() {
            // Each of them has a subject of its own.
            return false;
        }
        let overlaps = |earlier: &LivePattern| {
            effort::step();
            earlier.pattern.overlaps(pattern)
        };
        self.live.len() > COMPARED || self.live.iter().any(overlaps)
    }

    /// Whether a pattern that matches a subject went live before all others that do.
    fn is_first(&mut self, pattern: &Pattern, subject: &Subject) -> bool {
        if self.live.len() <= FEW {
            let matches = |live: &&LivePattern| {
                effort::step();
                live.pattern.matches(subject)
            };
            return self.live.iter().find(matches).is_none_or(|first| first.pattern == *pattern);
        }
        let index = || Box::new(self.live.iter().map(|live| live.pattern.clone()).collect());
        self.precedence.get_or_insert_with(index).first(subject).is_none_or(|first| first == *pattern)
    }

    fn filters(&self, pattern: &Pattern) -> bool {
        self.denials.as_ref().is_some_and(|grants| grants.filters(pattern))
    }

    fn denies(&self, subject: &Subject) -> bool {
        self.denials.as_ref().is_some_and(|grants| grants.denies(subject))
    }
}

impl EventChecks {
    /// Which pattern delivers has to be asked from now on.
    pub(crate) fn ask(&mut self) {
        self.overlapped = true;
    }

    /// Whether nothing has to be asked.
    pub(crate) fn nothing(self) -> bool {
        !self.overlapped && !self.filtered
    }
}
