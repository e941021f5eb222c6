//! The event log holds events of one stream in sequence order, with an index by
//! subject: the window of a node, the streams of the in-process broker, and the
//! newest value of each subject. A queue and an ordered map. Free of I/O, of
//! clocks and of locks.
//!
//! A page is found by the index where few of the events match, and by reading
//! event by event where many do. `docs/decisions/0017-an-event-log-of-a-queue-and-a-map.md`
//! has the measurements.

mod slots;
mod subjects;

use std::ops::ControlFlow;

use crate::{
    effort,
    pattern_map::PatternMap,
    subject::{Pattern, Subject},
};

use slots::{Entry, Slots};
use subjects::SubjectIndex;

/// A step through the index costs as much as this many comparisons of an event
/// with a pattern. Reading event by event is the cheaper way while one event in
/// this many matches.
const STEP: usize = 16;

/// Work of one page, in comparisons of an event with a pattern: some
/// milliseconds, because a page is found under the lock of its stream. A page
/// that would take more ends early.
const PAGE_WORK: usize = 65_536;

/// Patterns of a page that each event is compared with one after the other. Of
/// more an index is made first, some 100 ns for each.
const FEW: usize = 8;

/// How much a log keeps. `usize::MAX` sets no bound. The newest event always
/// stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of all events, as [`EventLog::append`] was told them.
    pub bytes: usize,
    /// Events.
    pub events: usize,
    /// Events of one subject.
    pub per_subject: usize,
}

impl Bounds {
    /// Keeps everything.
    pub const NONE: Self = Self { bytes: usize::MAX, events: usize::MAX, per_subject: usize::MAX };
}

/// Events in sequence order, with an index by subject. Sequences begin with 1
/// and may have gaps.
#[derive(Debug)]
pub struct EventLog<V> {
    bounds: Bounds,
    events: Slots<V>,
    subjects: SubjectIndex,
    floor: u64,
    head: u64,
}

/// The outcome of [`EventLog::append`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// The event is the newest one now.
    Added,
    /// The event is the newest one now, and one of its subject had to go.
    Superseded,
    /// An event with this sequence or a later one was here before.
    Known,
}

/// Matching events, from [`EventLog::page`].
#[derive(Debug)]
pub struct EventPage<'a, V> {
    /// Sequences and events, in order.
    pub events: Vec<(u64, &'a V)>,
    /// No other event up to here matches: the next page begins after it.
    pub through: u64,
    /// Events and steps of the index that were looked at.
    pub visited: usize,
}

/// Which of the matching events a page has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Select {
    /// All of them.
    All,
    /// Of each subject the newest one up to the page's end.
    Newest,
}

impl<V> EventLog<V> {
    /// An empty log.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, events: Slots::default(), subjects: SubjectIndex::default(), floor: 0, head: 0 }
    }

    /// Adds an event behind all others, and evicts the oldest of its subject and
    /// the oldest of all until the bounds hold. An event that is not above
    /// [`head`](Self::head) leaves the log as it is.
    pub fn append(&mut self, seq: u64, subject: Subject, bytes: usize, value: V) -> Appended {
        if seq <= self.head {
            return Appended::Known;
        }
        self.head = seq;
        let superseded = self.subjects.add(&subject, seq, self.bounds.per_subject);
        self.events.push(seq, Entry { subject, bytes, value });
        if let Some(superseded) = superseded {
            self.events.take(superseded);
        }
        while (self.len() > self.bounds.events || self.bytes() > self.bounds.bytes) && self.len() > 1 {
            self.evict();
        }
        if superseded.is_some() { Appended::Superseded } else { Appended::Added }
    }

    /// Sequence of the oldest event.
    pub fn first(&self) -> Option<u64> {
        self.events.first().map(|(seq, _)| seq)
    }

    /// Sequence of the newest event.
    pub fn last(&self) -> Option<u64> {
        self.events.last()
    }

    /// Highest sequence that was ever here or that the floor has reached; 0 at first.
    pub fn head(&self) -> u64 {
        self.head
    }

    /// Number of events.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether the log is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of all events, as [`append`](Self::append) was told them.
    pub fn bytes(&self) -> usize {
        self.events.bytes()
    }

    /// The sequence above which everything that ever came is here, but for what
    /// its subject superseded and what was removed one by one. It rises with
    /// each event that a bound or [`evict_through`](Self::evict_through) evicts;
    /// 0 at first.
    pub fn floor(&self) -> u64 {
        self.floor
    }

    /// Says where the log begins, for one that begins in the middle of a
    /// stream. Events up to there go. It may fall, if the caller knows that
    /// there was nothing in between.
    pub fn set_floor(&mut self, floor: u64) {
        self.evict_through(floor);
        self.floor = floor;
    }

    /// The oldest event, so that the caller can evict by age.
    pub fn front(&self) -> Option<(u64, &V)> {
        self.events.first().map(|(seq, entry)| (seq, &entry.value))
    }

    /// Drops every event up to and with this sequence, and raises the floor to
    /// it. Returns how many there were.
    pub fn evict_through(&mut self, seq: u64) -> usize {
        let before = self.len();
        while self.first().is_some_and(|first| first <= seq) {
            self.evict();
        }
        self.floor = self.floor.max(seq);
        self.head = self.head.max(seq);
        before - self.len()
    }

    /// Takes one event out; the floor stays.
    pub fn remove(&mut self, seq: u64) -> Option<V> {
        let entry = self.events.take(seq)?;
        self.subjects.remove(&entry.subject, seq);
        Some(entry.value)
    }

    /// Drops everything, floor and head too: as new.
    pub fn clear(&mut self) {
        *self = Self::new(self.bounds);
    }

    /// The event with this sequence.
    pub fn get(&self, seq: u64) -> Option<&V> {
        self.events.get(seq).map(|entry| &entry.value)
    }

    /// Every event with `after` < sequence <= `upto`, in order.
    pub fn range(&self, after: u64, upto: u64) -> impl Iterator<Item = (u64, &Subject, &V)> {
        self.events.range(after, upto).map(|(seq, entry)| (seq, &entry.subject, &entry.value))
    }

    /// Events with `after` < sequence <= `upto` whose subject matches any of
    /// the patterns, in order, at most `most`, each once. `through` is `upto`
    /// when the page has all of them. Otherwise it is at or behind the last
    /// event, and the next page begins there. A page ends early, even without
    /// an event, where it would take more than a few milliseconds; `through`
    /// always advances unless `most` is 0.
    ///
    /// Nothing is known about what comes above [`head`](Self::head): an `upto`
    /// beyond it makes `through` promise too much.
    pub fn page(&self, patterns: &[Pattern], select: Select, after: u64, upto: u64, most: usize) -> EventPage<'_, V> {
        let mut page = EventPage { events: Vec::new(), through: after, visited: 0 };
        if after >= upto || most == 0 {
            return page;
        }
        let index = (patterns.len() > FEW).then(|| patterns.iter().map(|pattern| (pattern.clone(), ())).collect());
        let wanted = PageQuery { patterns, index, select, upto, most };
        let dense = self.read(&mut page, &wanted, |visited, found| visited < STEP * (1 + found));
        if !dense && !self.gather(&mut page, &wanted) {
            let visits = (PAGE_WORK / patterns.len().max(1)).max(STEP);
            self.read(&mut page, &wanted, |visited, _| visited < visits);
        }
        page
    }

    /// The newest event up to `upto` of each subject that matches any of the
    /// patterns, in order; `None` when there are more than `most`. Takes as long
    /// as there are subjects that the patterns lead to.
    pub fn newest(&self, patterns: &[Pattern], upto: u64, most: usize) -> Option<Vec<(u64, &V)>> {
        let mut seqs = Vec::new();
        // Several patterns may find the same: too many are so only without those.
        let crowd = most.saturating_mul(2).max(PAGE_WORK);
        let mut steps = usize::MAX;
        for pattern in patterns {
            let walked = self.subjects.walk(pattern, &mut steps, |sequences| {
                seqs.extend(sequences.newest(upto));
                if seqs.len() > crowd {
                    order(&mut seqs);
                    if seqs.len() > most {
                        return ControlFlow::Break(());
                    }
                }
                ControlFlow::Continue(())
            });
            if walked.is_break() {
                return None;
            }
        }
        order(&mut seqs);
        (seqs.len() <= most).then(|| self.all(seqs).collect())
    }

    /// The newest event of a subject.
    pub fn newest_of(&self, subject: &Subject) -> Option<(u64, &V)> {
        let seq = self.subjects.of(subject)?.newest(u64::MAX)?;
        Some((seq, self.get(seq)?))
    }

    /// Drops the oldest event and raises the floor to it.
    fn evict(&mut self) {
        if let Some(seq) = self.first() {
            self.remove(seq);
            self.floor = seq;
        }
    }

    fn all(&self, seqs: Vec<u64>) -> impl Iterator<Item = (u64, &V)> {
        seqs.into_iter().filter_map(|seq| Some((seq, self.get(seq)?)))
    }

    /// Whether an event is one of those that a page has.
    fn is_wanted(&self, seq: u64, subject: &Subject, wanted: &PageQuery<'_>) -> bool {
        let newest = || self.subjects.of(subject).is_some_and(|sequences| sequences.newest(wanted.upto) == Some(seq));
        wanted.matches(subject) && (wanted.select == Select::All || newest())
    }

    /// Continues a page event by event, as long as `on` says so of how many
    /// were visited and how many are wanted. Returns whether the page is complete.
    fn read<'a>(
        &'a self,
        page: &mut EventPage<'a, V>,
        wanted: &PageQuery<'_>,
        on: impl Fn(usize, usize) -> bool,
    ) -> bool {
        let mut found = 0;
        for (visited, (seq, subject, value)) in self.range(page.through, wanted.upto).enumerate() {
            if !on(visited, found) {
                return false;
            }
            page.visited += 1;
            if self.is_wanted(seq, subject, wanted) {
                if page.events.len() == wanted.most {
                    return true;
                }
                page.events.push((seq, value));
                found += 1;
            }
            page.through = seq;
        }
        page.through = wanted.upto;
        true
    }

    /// Completes a page by the index; false, and the page as it was, when that
    /// takes too long.
    fn gather<'a>(&'a self, page: &mut EventPage<'a, V>, wanted: &PageQuery<'_>) -> bool {
        let after = page.through;
        let left = wanted.most - page.events.len();
        let mut steps = PAGE_WORK / STEP;
        let mut seqs = Vec::new();
        let mut walked = ControlFlow::Continue(());
        for pattern in wanted.patterns {
            walked = self.subjects.walk(pattern, &mut steps, |sequences| {
                match wanted.select {
                    Select::Newest => seqs.extend(sequences.newest(wanted.upto).filter(|seq| *seq > after)),
                    // One more than is wanted tells whether that is all.
                    Select::All => {
                        seqs.extend(sequences.between(after, wanted.upto).take(left.saturating_add(1)));
                    }
                }
                if seqs.len() > PAGE_WORK / STEP { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            if walked.is_break() {
                break;
            }
        }
        page.visited += PAGE_WORK / STEP - steps + seqs.len();
        if walked.is_break() {
            return false;
        }
        order(&mut seqs);
        page.through = match seqs.get(left) {
            Some(beyond) => beyond - 1,
            None => wanted.upto,
        };
        seqs.truncate(left);
        page.events.extend(self.all(seqs));
        true
    }
}

/// The question that a page answers.
struct PageQuery<'p> {
    patterns: &'p [Pattern],
    /// The same, where they are many.
    index: Option<PatternMap<()>>,
    select: Select,
    upto: u64,
    most: usize,
}

impl PageQuery<'_> {
    fn matches(&self, subject: &Subject) -> bool {
        match &self.index {
            Some(index) => index.matches(subject),
            None => self.patterns.iter().any(|pattern| {
                effort::step();
                pattern.matches(subject)
            }),
        }
    }
}

/// In order, each once.
fn order(seqs: &mut Vec<u64>) {
    seqs.sort_unstable();
    seqs.dedup();
}

#[cfg(test)]
mod tests;
