//! Whether a stream has removed what this node does not know of. Every event
//! that a stream stores adds one to its count, so the count tells exactly how
//! many it has removed since it was asked last; this compares them with those
//! that went here as well. Free of I/O.

use crate::{broker::StreamState, event_log::Appended};

/// Removals since the stream was known to have all that is in memory.
#[derive(Debug, Default)]
pub(crate) struct Removals {
    /// The stream, when it had all that was in memory.
    settled: StreamState,
    /// Events in memory that newer ones of their subject have replaced since.
    superseded: u64,
    /// Events in memory that have gone since, because the stream begins behind them.
    expired: u64,
    /// Up to here the stream has removed what was not in memory by then: how much
    /// that was is not known.
    below: u64,
    /// While the stream is asked: the sequences of events that replaced others.
    recent: Option<Vec<u64>>,
}

impl Removals {
    /// The stream has all that is in memory, or what it has not is being read.
    pub(crate) fn confirm(&mut self, state: StreamState) {
        let later = self.later(&state);
        *self = Self { settled: state, superseded: later, ..Self::default() };
    }

    /// The stream is going to be asked.
    pub(crate) fn ask(&mut self) {
        self.recent = Some(Vec::new());
    }

    /// An event has come to memory.
    pub(crate) fn came(&mut self, seq: u64, appended: Appended) {
        if appended == Appended::Superseded {
            self.superseded += 1;
            if let Some(recent) = &mut self.recent {
                recent.push(seq);
            }
        }
    }

    /// The stream begins further on: `events` events left memory for that, and
    /// up to `below` memory held nothing.
    pub(crate) fn expired(&mut self, events: usize, below: u64) {
        self.expired += events as u64;
        self.below = self.below.max(below);
    }

    /// Whether all that the stream has removed has gone from memory too, once that
    /// reaches to the stream's end at least. It says no where it cannot know.
    pub(crate) fn add_up(&self, state: &StreamState) -> bool {
        if state.deleted() == 0 {
            // All that was removed lies before the stream's first event.
            return true;
        }
        let stored = state.last.saturating_sub(self.settled.last);
        let removed = (self.settled.messages + stored).checked_sub(state.messages);
        self.below < self.settled.first && removed == Some(self.superseded - self.later(state) + self.expired)
    }

    /// How many have been replaced by what came after this.
    fn later(&self, state: &StreamState) -> u64 {
        let recent = self.recent.as_deref().unwrap_or_default();
        recent.iter().filter(|seq| **seq > state.last).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn state(held: &BTreeMap<u64, u64>, last: u64) -> StreamState {
        let first = held.first_key_value().map_or(last + 1, |(seq, _)| *seq);
        StreamState { first, last, messages: held.len() as u64, ..StreamState::default() }
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Store(u64),
        Purge(u64),
        Expire,
        Ask,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            12 => (0..6_u64).prop_map(Step::Store),
            1 => (0..6_u64).prop_map(Step::Purge),
            1 => Just(Step::Expire),
            3 => Just(Step::Ask),
        ]
    }

    proptest! {
        /// Of a stream that keeps one event per subject, and of one that keeps all.
        #[test]
        fn what_a_purge_took_never_adds_up_and_all_else_does(
            latest in any::<bool>(),
            steps in vec(step(), 1..120),
            behind in 0..4_usize,
        ) {
            // Subject by sequence, at the stream and in memory.
            let (mut stream, mut last) = (BTreeMap::new(), 0);
            let (mut memory, mut removals) = (BTreeMap::<u64, u64>::new(), Removals::default());
            removals.confirm(StreamState { first: 1, ..StreamState::default() });
            let mut arriving: Vec<(u64, u64)> = Vec::new();
            fn arrive((seq, subject): (u64, u64), latest: bool, memory: &mut BTreeMap<u64, u64>, removals: &mut Removals) {
                let older = memory.iter().find(|(_, known)| latest && **known == subject).map(|(seq, _)| *seq);
                memory.insert(seq, subject);
                older.map(|seq| memory.remove(&seq));
                removals.came(seq, if older.is_some() { Appended::Superseded } else { Appended::Added });
            }
            let mut purged = false;
            for step in steps {
                match step {
                    Step::Store(subject) => {
                        last += 1;
                        if latest {
                            stream.retain(|_, known| *known != subject);
                        }
                        stream.insert(last, subject);
                        arriving.push((last, subject));
                    }
                    Step::Purge(subject) => {
                        let before = stream.len();
                        stream.retain(|_, known| *known != subject);
                        purged |= stream.len() < before;
                    }
                    Step::Expire => drop(stream.pop_first()),
                    Step::Ask => {
                        // Some is on its way, and some comes after the answer.
                        for event in arriving.drain(..arriving.len().saturating_sub(behind)) {
                            arrive(event, latest, &mut memory, &mut removals);
                        }
                        removals.ask();
                        let answer = state(&stream, last);
                        for event in arriving.drain(..) {
                            arrive(event, latest, &mut memory, &mut removals);
                        }
                        let before = memory.len();
                        memory.retain(|seq, _| *seq >= answer.first);
                        removals.expired(before - memory.len(), 0);
                        let adds_up = removals.add_up(&answer);
                        let deleted_through = memory.keys().any(|seq| !stream.contains_key(seq));
                        prop_assert!(!(deleted_through && adds_up), "{memory:?} {stream:?}");
                        prop_assert!(adds_up || std::mem::take(&mut purged), "{memory:?} {stream:?}");
                        purged = false;
                        memory.retain(|seq, _| stream.contains_key(seq));
                        removals.confirm(answer);
                    }
                }
            }
        }
    }

    #[test]
    fn what_happens_all_the_time_adds_up() {
        let of = |first, last, messages| StreamState { first, last, messages, ..StreamState::default() };
        let rows = [
            // Before; superseded, expired; now; the floor; whether it adds up.
            (of(1, 10, 10), 0, 0, of(1, 20, 20), 0, true),
            (of(1, 10, 10), 0, 0, of(5, 20, 16), 12, true),
            (of(1, 10, 10), 0, 0, of(1, 20, 19), 0, false),
            (of(1, 10, 10), 0, 0, of(1, 20, 19), 12, false),
            (of(1, 10, 9), 0, 0, of(1, 20, 19), 12, true),
            (of(1, 10, 9), 0, 0, of(3, 20, 17), 12, false),
            (of(1, 10, 9), 0, 2, of(3, 20, 17), 0, true),
            (of(1, 10, 4), 7, 0, of(1, 20, 7), 0, true),
            (of(1, 10, 4), 7, 0, of(1, 20, 6), 0, false),
            (of(1, 10, 4), 7, 1, of(4, 20, 6), 0, true),
            (of(1, 10, 10), 0, 0, of(11, 10, 0), 4, true),
        ];
        for (before, superseded, expired, now, floor, expected) in rows {
            let mut removals = Removals::default();
            removals.confirm(before);
            (0..superseded).for_each(|_| removals.came(11, Appended::Superseded));
            removals.expired(expired, floor.min(now.first - 1));
            assert_eq!(removals.add_up(&now), expected, "{before:?} {now:?} {floor}");
        }
    }
}
