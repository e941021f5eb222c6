//! A channel holds the followers of one stream, by pattern, and the progress of its
//! fan-out. Events of a stream are handed out in its order, to one connection as
//! to all, so that a sequence tells all that a client has.
//!
//! A batch is a lease of the fan-out: it is taken with [`Channel::next_batch`] and
//! given back with [`Channel::finish`]. Three drivers take batches: the thread of an
//! intake that has brought events, the task that waits for what the journal has
//! read by itself, and the task of a long fan-out. Only one of them has one at a time.

use std::{collections::HashMap, sync::Arc};

use slab::Slab;

use crate::{
    classes::StreamIndex,
    event::{Message, PageSize},
    hub::{
        member::Member,
        member_list::MemberList,
        member_progress::{CatchUpOwner, StreamProgress},
        stream::event_set::EventSet,
    },
    journal::{Cursor, Journal, Step},
    proto::Position,
    subject::Pattern,
    sync::{Mutex, MutexGuard, rank},
    trie::Trie,
};

/// Nodes of the tree of patterns that a batch may visit before it counts as long,
/// some 100 µs: the thread that brings events reads for all clients. In a model
/// few, so that the limit is reached.
const VISITS: usize = if cfg!(feature = "model") { 3 } else { 2_048 };

/// One stream and its followers.
#[derive(Debug)]
pub(crate) struct Channel {
    journal: Arc<Journal>,
    /// Those of all streams, in the order of the configuration.
    journals: Arc<[Arc<Journal>]>,
    state: Mutex<State, { rank::CHANNEL }>,
}

#[derive(Debug, Default)]
struct State {
    /// The numbers of groups, by what their members follow.
    interest: Trie<u32>,
    numbers: HashMap<Pattern, u32>,
    groups: Slab<Numbered>,
    /// How many turns there have been.
    turns: u64,
    /// Everything up to here is handed out or just being handed out.
    cursor: Cursor,
    /// Everything up to here is handed out.
    settled: Cursor,
    /// A batch is being handed out.
    in_progress: bool,
}

/// A group under its number.
#[derive(Debug)]
struct Numbered {
    group: Arc<Group>,
    /// In which turn an event of its pattern was found last, and which place it
    /// has among those who want events then.
    found: (u64, usize),
}

/// Groups, each with the events that its members want.
pub(crate) type Wanted<const WORDS: usize> = Vec<(Arc<Group>, EventSet<WORDS>)>;

/// The followers of one pattern.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) followers: Mutex<MemberList<Follower>, { rank::FOLLOWERS }>,
}

/// A member that follows a pattern.
#[derive(Debug)]
pub(crate) struct Follower {
    pub(crate) member: Arc<Member>,
    /// It has everything up to here by other ways.
    pub(crate) from: Cursor,
}

/// The events, or the loss, to hand out next.
#[derive(Debug)]
pub(crate) enum Batch {
    /// Events, and who wants which.
    Events { events: Vec<Arc<Message>>, wanted: Wanted<1>, begun: Cursor, end: Cursor },
    /// Events; who wants them takes long to find.
    Crowded { events: Vec<Arc<Message>>, begun: Cursor, end: Cursor },
    /// Something will never come; and everybody whom that may concern.
    Lost { groups: Vec<Arc<Group>>, begun: Cursor, end: Cursor },
}

/// Reason for which a member cannot join yet.
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
    /// The channels of all streams.
    pub(crate) fn all(journals: Vec<Arc<Journal>>) -> Vec<Arc<Self>> {
        let journals: Arc<[Arc<Journal>]> = journals.into();
        let channel = |journal: &Arc<Journal>| {
            Arc::new(Self { journal: journal.clone(), journals: journals.clone(), state: Mutex::default() })
        };
        journals.iter().map(channel).collect()
    }

    /// The journals of all streams, in the order of the configuration.
    pub(crate) fn journals(&self) -> &[Arc<Journal>] {
        &self.journals
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

    /// The next batch, which has to be [finished](Self::finish); nothing when there is
    /// nothing to hand out, or another driver has one.
    pub(crate) fn next_batch(&self) -> Option<Batch> {
        let mut state = self.lock();
        if state.in_progress {
            return None;
        }
        loop {
            let begun = state.cursor;
            match self.journal.window().step(begun, PageSize::BATCH)? {
                Step::Lost(end) => {
                    state.cursor = end;
                    if state.groups.is_empty() {
                        state.settled = end;
                        continue;
                    }
                    state.in_progress = true;
                    let groups = state.groups.iter().map(|(_, numbered)| numbered.group.clone()).collect();
                    return Some(Batch::Lost { groups, begun, end });
                }
                Step::Events(events, end) => {
                    let wanted = state.wanted(&events);
                    state.cursor = end;
                    let Some(wanted) = wanted else {
                        state.in_progress = true;
                        return Some(Batch::Crowded { events, begun, end });
                    };
                    if wanted.is_empty() {
                        // Nobody here wants any of them.
                        state.settled = end;
                        continue;
                    }
                    state.in_progress = true;
                    return Some(Batch::Events { events, wanted, begun, end });
                }
            }
        }
    }

    /// Adds those who want one of a turn's events, in its place. A member that
    /// joins meanwhile may be among them, but has the event already.
    pub(crate) fn find<const WORDS: usize>(&self, place: usize, event: &Message, wanted: &mut Wanted<WORDS>) {
        self.lock().find(place, event, &mut { usize::MAX }, wanted);
    }

    /// Whether a batch is being handed out.
    pub(crate) fn is_in_progress(&self) -> bool {
        self.lock().in_progress
    }

    /// The batch is handed out.
    pub(crate) fn finish(&self, end: Cursor) {
        let mut state = self.lock();
        (state.settled, state.in_progress) = (end, false);
    }

    /// Joins several channels at once, each from its cursor on, or from now on where
    /// there is none: with those of the patterns, each of a request, that reach it. `live` is called
    /// with the cursors before anything is handed out, if all can be joined.
    ///
    /// # Errors
    /// Why not, and which of them cannot be joined.
    pub(crate) fn join_all(
        channels: &[(Arc<Self>, Option<Cursor>)],
        patterns: &[(Pattern, u64, Vec<StreamIndex>)],
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
            if member.progress().lags(channel.journal.stream()) {
                return Err((index, NotYet::Lags));
            }
        }
        if given_up() {
            return Err((0, NotYet::GivenUp));
        }
        let cursors: Vec<Cursor> = states.iter().map(|state| state.cursor).collect();
        live(&cursors);
        for ((channel, _), state) in channels.iter().zip(&mut states) {
            let reach = patterns.iter().filter(|(.., streams)| streams.contains(&channel.journal.stream()));
            reach.for_each(|(pattern, request, _)| state.enter((pattern, *request), member, channel));
        }
        Ok(())
    }

    /// Whether a member follows a pattern: it does as soon as its client can
    /// have been told so.
    pub(crate) fn is_followed(&self, pattern: &Pattern, member: &Member) -> bool {
        // Joining holds this until both is done.
        let _state = self.lock();
        member.progress().slot(self.journal.stream(), pattern).is_some()
    }

    /// Gives a pattern up; nothing happens where it was never joined. Returns
    /// how many events the connection was still to get.
    pub(crate) fn leave(&self, pattern: &Pattern, member: &Member) -> i64 {
        let stream = self.journal.stream();
        let mut state = self.lock();
        let (Some(place), Some(number)) =
            (member.progress().slot(stream, pattern), state.numbers.get(pattern).copied())
        else {
            return 0;
        };
        let group = state.group(number).clone();
        let mut followers = group.followers.lock();
        let mut pending = 0;
        followers.leave(place, || pending = member.progress().leave(stream, pattern));
        if followers.standing() == 0 {
            state.numbers.remove(pattern);
            state.interest.remove(pattern, |_| true);
            state.groups.remove(number as usize);
        }
        pending
    }

    /// A connection has caught up to here; false when there is more by now, or more to be told.
    pub(crate) fn rejoin(&self, member: &Member, owner: &CatchUpOwner, at: Cursor) -> bool {
        let state = self.lock();
        if at != state.cursor {
            return false;
        }
        let rejoin = |progress: &mut StreamProgress| {
            if !progress.endings_missed {
                progress.catch_up(at);
            }
            !progress.endings_missed
        };
        // Whoever has given the stream up is done as well.
        member.progress().serve(self.journal.stream(), owner, rejoin).unwrap_or(true)
    }

    /// Several are locked in the order of their streams.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock_in_order(self.journal.stream().0)
    }
}

impl State {
    /// The groups that want some of these events, unless that takes long to find, or they are an atomic batch of more
    /// events than a word has bits.
    fn wanted(&mut self, events: &[Arc<Message>]) -> Option<Wanted<1>> {
        self.turns += 1;
        let (mut visits, mut wanted) = (VISITS, Vec::new());
        if self.groups.is_empty() {
            return Some(wanted);
        }
        if events.len() > PageSize::BATCH.events {
            return None;
        }
        let short = events.iter().enumerate().all(|(place, event)| self.find(place, event, &mut visits, &mut wanted));
        if !short {
            // The members found so far do not count.
            self.turns += 1;
        }
        short.then_some(wanted)
    }

    /// Adds those who want an event. False where it visits more nodes than
    /// `visits`, which counts down.
    fn find<const WORDS: usize>(
        &mut self,
        place: usize,
        event: &Message,
        visits: &mut usize,
        wanted: &mut Wanted<WORDS>,
    ) -> bool {
        let Self { interest, groups, turns, .. } = self;
        interest.each_within(&event.subject, visits, |number| {
            let Numbered { group, found } = &mut groups[*number as usize];
            if found.0 != *turns {
                *found = (*turns, wanted.len());
                wanted.push((group.clone(), EventSet::NONE));
            }
            wanted[found.1].1.add(place);
        })
    }

    /// Gives a number to a pattern that nobody follows yet.
    fn number(&mut self, pattern: &Pattern) -> u32 {
        let group = Arc::new(Group { followers: Mutex::default() });
        let number = self.groups.insert(Numbered { group, found: (0, 0) }) as u32;
        self.numbers.insert(pattern.clone(), number);
        self.interest.insert(pattern, number);
        number
    }

    fn group(&self, number: u32) -> &Arc<Group> {
        &self.groups[number as usize].group
    }

    fn enter(&mut self, (pattern, request): (&Pattern, u64), member: &Arc<Member>, channel: &Channel) {
        let stream = channel.journal.stream();
        if member.progress().slot(stream, pattern).is_some() {
            return;
        }
        let number = self.numbers.get(pattern).copied().unwrap_or_else(|| self.number(pattern));
        let group = self.group(number).clone();
        let from = self.cursor;
        group.followers.lock().enter(|place| {
            member.progress().enter(stream, (pattern, request), place, from, |pattern| member.filters(pattern));
            Follower { member: member.clone(), from }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{effort, proto::Envelope, subject::Subject};

    fn event(subject: &str) -> Arc<Message> {
        Arc::new(Message::new(Subject::parse(subject).expect(subject), Envelope::default()))
    }

    fn state(patterns: &[&str]) -> State {
        let mut state = State::default();
        for pattern in patterns {
            state.number(&Pattern::parse(pattern).expect(pattern));
        }
        state
    }

    /// By the patterns of the groups, in their order.
    fn found(state: &State, wanted: &Wanted<1>) -> Vec<(String, Vec<usize>)> {
        let pattern = |group: &Arc<Group>| {
            let is_it = |(_, number): &(&Pattern, &u32)| Arc::ptr_eq(state.group(**number), group);
            state.numbers.iter().find(is_it).expect("a group").0.to_string()
        };
        let mut found: Vec<_> =
            wanted.iter().map(|(group, events)| (pattern(group), events.places().collect())).collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn each_group_is_found_once_with_all_that_it_wants() {
        let mut state = state(&["a.*", "*.b", "c"]);
        let events = ["a.b", "a.c", "x.b", "y.z", "a.b"].map(event);
        let expected = vec![("*.b".to_owned(), vec![0, 2, 4]), ("a.*".to_owned(), vec![0, 1, 4])];
        for _ in 0..3 {
            let wanted = state.wanted(&events).expect("a short turn");
            assert_eq!(found(&state, &wanted), expected);
        }
        // As a task does it, where the turn would have been long.
        state.turns += 1;
        let mut wanted = Wanted::<1>::new();
        for (place, event) in events.iter().enumerate() {
            state.find(place, event, &mut { usize::MAX }, &mut wanted);
        }
        assert_eq!(found(&state, &wanted), expected);
    }

    #[test]
    fn whoever_brings_events_visits_a_bounded_number_of_nodes() {
        // Every pattern with `a` or `*` for each of twelve tokens: 4,096 that match, 8,191 nodes.
        let patterns: Vec<String> = (0..1 << 12)
            .map(|stars: u32| {
                (0..12).map(|place| if stars & (1 << place) == 0 { "a" } else { "*" }).collect::<Vec<_>>().join(".")
            })
            .collect();
        let mut state = state(&patterns.iter().map(String::as_str).collect::<Vec<_>>());
        let events = [event("b"), event(&["a"; 12].join("."))];
        let (wanted, steps) = effort::of(|| state.wanted(&events));
        assert!(wanted.is_none() && steps <= VISITS, "{steps}");
        let mut wanted = Wanted::<1>::new();
        let (_, steps) = effort::of(|| state.find(1, &events[1], &mut { usize::MAX }, &mut wanted));
        assert_eq!((wanted.len(), steps), (1 << 12, (1 << 13) - 1));
        assert!(wanted.iter().all(|(_, events)| events.places().eq([1])), "nothing is left of the first attempt");
    }
}
