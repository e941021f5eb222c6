//! Events of one stream in sequence order, with an index by subject: what a
//! node keeps of the recent past, what the in-process broker stores, and the
//! newest value of each subject. Free of I/O, of clocks and of locks.
//!
//! An event is found by its sequence without a search, and those of a pattern
//! by a walk through the index, which costs as much as there is to find. Only
//! where much matches is the log read event by event.

mod children;
mod index;
mod seqs;
mod slots;

use std::ops::ControlFlow;

use crate::{
    effort,
    pattern_map::PatternMap,
    subject::{Pattern, Subject},
};

use index::Index;
use slots::{Entry, Slots};

/// Bytes that a log needs for an event beyond its value and the text of its
/// subject, for callers that bound memory. It is the worst case, a subject of
/// its own for every event; with two events per subject it is 165, on busy
/// subjects 50.
pub const EVENT_BYTES: usize = 256;

/// Events that a page reads before it asks whether enough of them match.
const TASTE: usize = 16;

/// Reading on beats the index while one event in this many matches.
const SPARSE: usize = 16;

/// Comparisons of an event with a pattern that cost less than a walk.
const SHORT: usize = 256;

/// Nodes that wildcards may lead a page to, and sequences that it may gather
/// there, before it reads the events instead. Each takes about 50 ns.
const WALK: usize = 4_096;

/// Sequences that one subject adds to a page: with a few busy subjects the walk
/// still comes to its end, and the page ends with the first of them.
const PER_SUBJECT: usize = WALK / 4;

/// Comparisons of an event with a pattern after which a page ends, about 5 ms.
const SCAN: usize = 65_536;

/// Patterns of a page that each event is compared with one after the other. Of
/// more an index is made first, some 100 ns for each.
const FEW: usize = 8;

/// How much a log keeps. `usize::MAX` is no bound. The newest event always stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of all events, as [`Log::append`] was told them.
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
pub struct Log<V> {
    bounds: Bounds,
    slots: Slots<V>,
    index: Index,
    floor: u64,
    head: u64,
}

/// What [`Log::page`] found.
#[derive(Debug)]
pub struct Page<'a, V> {
    /// Sequences and events, in order.
    pub events: Vec<(u64, &'a V)>,
    /// No other event up to here matches: the next page begins after it.
    pub through: u64,
}

impl<V> Log<V> {
    /// An empty log.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, slots: Slots::default(), index: Index::default(), floor: 0, head: 0 }
    }

    /// Adds an event behind all others, evicts the oldest of its subject and
    /// the oldest of all until the bounds hold, and returns true. An event that
    /// is not above [`head`](Self::head) has been here: the log stays as it is.
    pub fn append(&mut self, seq: u64, subject: Subject, bytes: usize, value: V) -> bool {
        if seq <= self.head {
            return false;
        }
        self.head = seq;
        let superseded = self.index.add(&subject, seq, self.bounds.per_subject);
        self.slots.push(seq, Entry { subject, bytes, value });
        if let Some(superseded) = superseded {
            self.slots.take(superseded);
        }
        while (self.len() > self.bounds.events || self.bytes() > self.bounds.bytes) && self.len() > 1 {
            self.evict();
        }
        true
    }

    /// Sequence of the oldest event.
    pub fn first(&self) -> Option<u64> {
        self.slots.first().map(|(seq, _)| seq)
    }

    /// Sequence of the newest event.
    pub fn last(&self) -> Option<u64> {
        self.slots.last()
    }

    /// Highest sequence that was ever here or that the floor has reached; 0 at first.
    pub fn head(&self) -> u64 {
        self.head
    }

    /// Events.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is no event.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of all events, as [`append`](Self::append) was told them.
    pub fn bytes(&self) -> usize {
        self.slots.bytes()
    }

    /// Everything above it that ever came is here, but for what its subject
    /// superseded and what was removed one by one. It rises with whatever a
    /// bound or [`evict_through`](Self::evict_through) evicts; 0 at first.
    pub fn floor(&self) -> u64 {
        self.floor
    }

    /// Says where the log begins, for one that begins in the middle of a
    /// stream. What is not above it goes. It may fall, if the caller knows that
    /// there was nothing in between.
    pub fn set_floor(&mut self, floor: u64) {
        self.evict_through(floor);
        self.floor = floor;
    }

    /// The oldest event, so that the caller can evict by age.
    pub fn front(&self) -> Option<(u64, &V)> {
        self.slots.first().map(|(seq, entry)| (seq, &entry.value))
    }

    /// Drops every event up to and with this sequence, and raises the floor to it.
    pub fn evict_through(&mut self, seq: u64) {
        while self.first().is_some_and(|first| first <= seq) {
            self.evict();
        }
        self.floor = self.floor.max(seq);
        self.head = self.head.max(seq);
    }

    /// Takes one event out; the floor stays.
    pub fn remove(&mut self, seq: u64) -> Option<V> {
        let entry = self.slots.take(seq)?;
        self.index.remove(&entry.subject, seq);
        Some(entry.value)
    }

    /// Drops everything, floor and head too: as new.
    pub fn clear(&mut self) {
        *self = Self::new(self.bounds);
    }

    /// The event with this sequence.
    pub fn get(&self, seq: u64) -> Option<&V> {
        self.slots.get(seq).map(|entry| &entry.value)
    }

    /// Every event with `after` < sequence <= `upto`, in order.
    pub fn range(&self, after: u64, upto: u64) -> impl Iterator<Item = (u64, &Subject, &V)> {
        self.slots.range(after, upto).map(|(seq, entry)| (seq, &entry.subject, &entry.value))
    }

    /// Events with `after` < sequence <= `upto` whose subject matches any of the
    /// patterns, in order, at most `most`, each once. `through` is `upto` when
    /// there is no more; otherwise it is at or behind the last event, and the
    /// next page begins there. A page ends early, even without an event, where
    /// it would take too long; it always gets ahead unless `most` is 0.
    ///
    /// Nothing is known about what comes above [`head`](Self::head): an `upto`
    /// beyond it makes `through` promise too much.
    pub fn page(&self, patterns: &[Pattern], after: u64, upto: u64, most: usize) -> Page<'_, V> {
        let mut page = Page { events: Vec::new(), through: after };
        if after >= upto || most == 0 {
            return page;
        }
        let index = (patterns.len() > FEW).then(|| patterns.iter().map(|pattern| (pattern.clone(), ())).collect());
        let wanted = Wanted { patterns, index, upto, most };
        if self.read(&mut page, &wanted, |visited, found| visited < TASTE + found * SPARSE) {
            return page;
        }
        let short = self.slots.span(page.through, upto).saturating_mul(patterns.len()) <= SHORT;
        if short || !self.gather(&mut page, &wanted) {
            let visits = (SCAN / patterns.len().max(1)).max(TASTE);
            self.read(&mut page, &wanted, |visited, _| visited < visits);
        }
        page
    }

    /// The newest event up to `upto` of each subject that matches any of the
    /// patterns, in order; `None` when there are more than `most`. Takes as long
    /// as there are subjects that the patterns lead to, about 50 ns each.
    pub fn newest(&self, patterns: &[Pattern], upto: u64, most: usize) -> Option<Vec<(u64, &V)>> {
        let mut seqs = Vec::new();
        // Several patterns may find the same: too many are so only without those.
        let crowd = most.saturating_mul(2).max(WALK);
        let mut visits = usize::MAX;
        for pattern in patterns {
            let walked = self.index.walk(pattern, 0, &mut visits, |here| {
                seqs.extend(here.newest(upto));
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
        let seq = self.index.of(subject)?.newest(u64::MAX)?;
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

    /// Continues a page event by event, as long as `on` says so of how many
    /// were visited and how many matched. Returns whether the page is complete.
    fn read<'a>(&'a self, page: &mut Page<'a, V>, wanted: &Wanted<'_>, on: impl Fn(usize, usize) -> bool) -> bool {
        let mut found = 0;
        for (visited, (seq, subject, value)) in self.range(page.through, wanted.upto).enumerate() {
            if !on(visited, found) {
                return false;
            }
            if wanted.matches(subject) {
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
    fn gather<'a>(&'a self, page: &mut Page<'a, V>, wanted: &Wanted<'_>) -> bool {
        let after = page.through;
        let left = wanted.most - page.events.len();
        // One more than is wanted tells whether that is all.
        let per_subject = left.saturating_add(1).min(PER_SUBJECT);
        let (mut reach, mut visits) = (wanted.upto, WALK);
        let mut seqs = Vec::new();
        for pattern in wanted.patterns {
            let walked = self.index.walk(pattern, after, &mut visits, |here| {
                let before = seqs.len();
                seqs.extend(here.between(after, reach).take(per_subject));
                if seqs.len() - before == per_subject {
                    // What others have beyond would leave a gap here.
                    reach = seqs.last().copied().unwrap_or(reach);
                }
                if seqs.len() > WALK { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            if walked.is_break() {
                return false;
            }
        }
        order(&mut seqs);
        seqs.truncate(seqs.partition_point(|seq| *seq <= reach));
        page.through = match seqs.get(left) {
            Some(beyond) => beyond - 1,
            None => reach,
        };
        seqs.truncate(left);
        page.events.extend(self.all(seqs));
        true
    }
}

/// What a page is asked for.
struct Wanted<'p> {
    patterns: &'p [Pattern],
    /// The same, where they are many.
    index: Option<PatternMap<()>>,
    upto: u64,
    most: usize,
}

impl Wanted<'_> {
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
