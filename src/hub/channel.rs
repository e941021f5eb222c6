//! Who follows a stream, by pattern, and how far its fan-out is. Events of a
//! stream are handed out in its order, to one connection as to all, so that a
//! sequence says everything about what a client has.

use std::{collections::HashMap, sync::Arc};

use crate::{
    broker::{Message, PageSize},
    hub::{
        member::Member,
        seats::Server,
        slices::{Slices, lock},
    },
    journal::{Cursor, Journal, Step},
    proto::Position,
    subject::Pattern,
    sync::{Mutex, MutexGuard},
    trie::Trie,
};

/// Events handed out together: what waits together leaves as one message.
const BATCH: PageSize = PageSize { events: 64, bytes: 64 * 1024 };

/// One stream and those who follow it.
#[derive(Debug)]
pub(crate) struct Channel {
    journal: Arc<Journal>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    interest: Trie<Arc<Group>>,
    groups: HashMap<Pattern, Arc<Group>>,
    /// Everything up to here is handed out or just being handed out.
    cursor: Cursor,
    /// Everything up to here is handed out.
    settled: Cursor,
    /// Somebody is handing out.
    busy: bool,
}

/// Those who follow one pattern.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) followers: Mutex<Slices<Follower>>,
}

/// One who follows a pattern.
#[derive(Debug)]
pub(crate) struct Follower {
    pub(crate) member: Arc<Member>,
    /// It has everything up to here by other ways.
    pub(crate) from: Cursor,
}

/// What is to be handed out next.
#[derive(Debug)]
pub(crate) enum Turn {
    /// Events, those who want some of them, and which.
    Events { events: Vec<Arc<Message>>, wanted: Vec<(Arc<Group>, Vec<u32>)>, begun: Cursor, end: Cursor },
    /// Something will never come; and everybody whom that may concern.
    Lost { groups: Vec<Arc<Group>>, begun: Cursor, end: Cursor },
}

/// Why somebody cannot join yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotYet {
    /// There is more to read before.
    Behind,
    /// The connection lags: it has to catch up first.
    Lags,
    /// The stream has just begun, or begun anew, and that is not handed out yet.
    Early,
    /// It has been given up.
    GivenUp,
}

impl Channel {
    pub(crate) fn new(journal: Arc<Journal>) -> Self {
        Self { journal, state: Mutex::default() }
    }

    pub(crate) fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    /// Everything up to here is handed out or just being handed out.
    pub(crate) fn cursor(&self) -> Cursor {
        self.lock().cursor
    }

    /// Everything up to here is handed out to all who do not lag.
    pub(crate) fn settled(&self) -> Cursor {
        self.lock().settled
    }

    /// Where that is, as clients are told.
    pub(crate) fn position(&self, cursor: Cursor) -> Position {
        self.journal.position(cursor)
    }

    /// The next turn, which has to be [ended](Self::end_turn); nothing when
    /// there is nothing to hand out, or somebody is at it.
    pub(crate) fn turn(&self) -> Option<Turn> {
        let mut state = self.lock();
        if state.busy {
            return None;
        }
        loop {
            let begun = state.cursor;
            match self.journal.step(begun, BATCH)? {
                Step::Lost(end) => {
                    state.cursor = end;
                    if state.groups.is_empty() {
                        state.settled = end;
                        continue;
                    }
                    state.busy = true;
                    let groups = state.groups.values().cloned().collect();
                    return Some(Turn::Lost { groups, begun, end });
                }
                Step::Events(events, end) => {
                    let wanted = state.wanted(&events);
                    state.cursor = end;
                    if wanted.is_empty() {
                        // Nobody here wants any of them.
                        state.settled = end;
                        continue;
                    }
                    state.busy = true;
                    return Some(Turn::Events { events, wanted, begun, end });
                }
            }
        }
    }

    /// Whether somebody is handing out.
    pub(crate) fn is_busy(&self) -> bool {
        self.lock().busy
    }

    /// The turn is over.
    pub(crate) fn end_turn(&self, end: Cursor) {
        let mut state = self.lock();
        (state.settled, state.busy) = (end, false);
    }

    /// Joins several channels at once with one pattern, each from its cursor
    /// on, or from now on where there is none. `live` is called with the
    /// cursors before anything is handed out, if all can be joined.
    ///
    /// # Errors
    /// Why not, and which of them cannot be joined.
    pub(crate) fn join_all(
        channels: &[(Arc<Self>, Option<Cursor>)],
        pattern: &Pattern,
        member: &Arc<Member>,
        given_up: impl FnOnce() -> bool,
        live: impl FnOnce(&[Cursor]),
    ) -> Result<(), (usize, NotYet)> {
        // Always in the order of the configuration, so nobody waits in a circle.
        let mut states: Vec<_> = channels.iter().map(|(channel, _)| channel.lock()).collect();
        for (index, (channel, from)) in channels.iter().enumerate() {
            let cursor = states[index].cursor;
            if cursor.generation == 0 || from.is_some_and(|from| from.generation > cursor.generation) {
                return Err((index, NotYet::Early));
            }
            if from.is_some_and(|from| from != cursor) {
                return Err((index, NotYet::Behind));
            }
            if member.seats().lags(channel.journal.stream()) {
                return Err((index, NotYet::Lags));
            }
        }
        if given_up() {
            return Err((0, NotYet::GivenUp));
        }
        let cursors: Vec<Cursor> = states.iter().map(|state| state.cursor).collect();
        live(&cursors);
        for ((channel, _), state) in channels.iter().zip(&mut states) {
            state.enter(pattern, member, channel);
        }
        Ok(())
    }

    /// Whether a member follows a pattern: it does as soon as its client can
    /// have been told so.
    pub(crate) fn is_followed(&self, pattern: &Pattern, member: &Member) -> bool {
        // Joining holds this until both is done.
        let _state = self.lock();
        member.seats().place(self.journal.stream(), pattern).is_some()
    }

    /// Gives a pattern up; nothing happens where it was never joined. Returns
    /// how many events the connection was still to get.
    pub(crate) fn leave(&self, pattern: &Pattern, member: &Member) -> i64 {
        let stream = self.journal.stream();
        let mut state = self.lock();
        let (Some(place), Some(group)) = (member.seats().place(stream, pattern), state.groups.get(pattern).cloned())
        else {
            return 0;
        };
        let mut followers = lock(&group.followers);
        let mut pending = 0;
        followers.leave(place, || pending = member.seats().leave(stream, pattern));
        if followers.standing() == 0 {
            state.groups.remove(pattern);
            state.interest.remove(pattern, |_| true);
        }
        pending
    }

    /// A connection has caught up to here; false when there is more by now.
    pub(crate) fn rejoin(&self, member: &Member, server: &Server, at: Cursor) -> bool {
        let state = self.lock();
        let caught_up = at == state.cursor;
        if caught_up {
            member.seats().serve(self.journal.stream(), server, |seat| seat.catch_up(at));
        }
        caught_up
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    /// Which groups want which of these events.
    fn wanted(&self, events: &[Arc<Message>]) -> Vec<(Arc<Group>, Vec<u32>)> {
        let mut wanted: Vec<(Arc<Group>, Vec<u32>)> = Vec::new();
        for (number, event) in (0..).zip(events) {
            self.interest.each(&event.subject, |group| {
                match wanted.iter_mut().find(|(known, _)| Arc::ptr_eq(known, group)) {
                    Some((_, numbers)) => numbers.push(number),
                    None => wanted.push((group.clone(), vec![number])),
                }
            });
        }
        wanted
    }

    fn enter(&mut self, pattern: &Pattern, member: &Arc<Member>, channel: &Channel) {
        let stream = channel.journal.stream();
        if member.seats().place(stream, pattern).is_some() {
            return;
        }
        let group = match self.groups.get(pattern) {
            Some(group) => group.clone(),
            None => {
                let group = Arc::new(Group { followers: Mutex::default() });
                self.groups.insert(pattern.clone(), group.clone());
                self.interest.insert(pattern, group.clone());
                group
            }
        };
        let from = self.cursor;
        lock(&group.followers).enter(|place| {
            member.seats().enter(stream, pattern, place, from, |pattern| member.filters(pattern));
            Follower { member: member.clone(), from }
        });
    }
}
