//! How far a connection is in each stream that it follows. What it has no room
//! for stays in the stream: the connection lags, and catches up from there.

use std::sync::{
    Arc, PoisonError,
    atomic::{AtomicU32, Ordering},
};

use crate::{
    classes::StreamIndex,
    hub::place::Place,
    journal::Cursor,
    pattern_map::PatternMap,
    subject::{Pattern, Subject},
    sync::{Mutex, MutexGuard},
};

/// One connection in the streams that it follows.
#[derive(Debug, Default)]
pub(crate) struct Seats(Mutex<Vec<Seat>>);

/// A connection in one stream.
#[derive(Debug)]
pub(crate) struct Seat {
    stream: StreamIndex,
    patterns: Vec<(Pattern, Place)>,
    /// Everything up to here has been sent, as far as its patterns match.
    pub(crate) sent: Cursor,
    /// It is served from the stream, by a task of its own.
    pub(crate) lags: bool,
    /// Some subjects of its patterns are denied to the connection.
    pub(crate) filtered: bool,
    /// Another one whenever a pattern has been given up: what was wanted before
    /// may not be wanted any more.
    edition: u32,
    /// Which task that is.
    server: Option<Server>,
    /// Events that it gets from the stream; below zero while it has got more
    /// than the others.
    pub(crate) pending: i64,
}

/// Tells apart the tasks that serve those who lag: a connection may give a
/// stream up and lag in it anew before the first of them has noticed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Server(Arc<()>);

impl Seat {
    /// What is to be caught up with, and from where.
    pub(crate) fn behind(&self) -> (Vec<Pattern>, Cursor) {
        (self.patterns.iter().map(|(pattern, _)| pattern.clone()).collect(), self.sent)
    }

    /// It is up with the others.
    pub(crate) fn catch_up(&mut self, at: Cursor) {
        (self.lags, self.server, self.sent) = (false, None, at);
    }

    /// Whether it is for exactly these patterns.
    pub(crate) fn is_for(&self, patterns: &[Pattern]) -> bool {
        self.patterns.iter().map(|(pattern, _)| pattern).eq(patterns)
    }

    /// Says of subjects whether one of its patterns matches.
    pub(crate) fn wants(&self) -> impl Fn(&Subject) -> bool {
        let patterns = self.patterns.iter().map(|(pattern, _)| (pattern.clone(), ()));
        let patterns: PatternMap<()> = patterns.collect();
        move |subject| patterns.matches(subject)
    }

    /// Changes when a pattern is given up.
    pub(crate) fn edition(&self) -> u32 {
        self.edition
    }

    /// Whether several patterns may bring the same event.
    pub(crate) fn has_several(&self) -> bool {
        self.patterns.len() > 1
    }

    /// It is served from the stream from now on: from a cursor up to which
    /// everybody has everything. False when it is already.
    pub(crate) fn fall_behind(&mut self, everybody: Cursor) -> bool {
        if self.lags {
            return false;
        }
        self.lags = true;
        if !self.sent.is_beyond(everybody) {
            self.sent = everybody;
        }
        true
    }
}

impl Seats {
    /// Does something with the seat in a stream, if there is one.
    pub(crate) fn with<R>(&self, stream: StreamIndex, act: impl FnOnce(&mut Seat) -> R) -> Option<R> {
        self.lock().iter_mut().find(|seat| seat.stream == stream).map(act)
    }

    /// Takes part in a stream with one more pattern, from a cursor on.
    /// `filters` says whether some of its subjects are denied.
    pub(crate) fn enter(
        &self,
        stream: StreamIndex,
        pattern: &Pattern,
        place: Place,
        from: Cursor,
        filters: impl FnOnce(&Pattern) -> bool,
    ) {
        let mut seats = self.lock();
        // Asked under the lock: either it is asked of what holds from now on, or
        // who changes that finds the pattern here.
        let filtered = filters(pattern);
        if let Some(seat) = seats.iter_mut().find(|seat| seat.stream == stream) {
            seat.patterns.push((pattern.clone(), place));
            seat.filtered |= filtered;
            return;
        }
        seats.reserve_exact(1);
        seats.push(Seat {
            stream,
            patterns: vec![(pattern.clone(), place)],
            sent: from,
            lags: false,
            filtered,
            edition: edition(),
            server: None,
            pending: 0,
        });
    }

    /// Where a pattern has its place.
    pub(crate) fn place(&self, stream: StreamIndex, pattern: &Pattern) -> Option<Place> {
        self.with(stream, |seat| seat.patterns.iter().find(|(seated, _)| seated == pattern).map(|(_, place)| *place))?
    }

    /// Gives a pattern up. With the last one of a stream goes what the
    /// connection was still to get from it, which is returned.
    pub(crate) fn leave(&self, stream: StreamIndex, pattern: &Pattern) -> i64 {
        let mut seats = self.lock();
        let Some(index) = seats.iter().position(|seat| seat.stream == stream) else { return 0 };
        seats[index].patterns.retain(|(seated, _)| seated != pattern);
        seats[index].edition = edition();
        if seats[index].patterns.is_empty() { seats.remove(index).pending } else { 0 }
    }

    /// What is denied to the connection has changed.
    pub(crate) fn filter(&self, filters: impl Fn(&Pattern) -> bool) {
        for seat in self.lock().iter_mut() {
            seat.filtered = seat.patterns.iter().any(|(pattern, _)| filters(pattern));
        }
    }

    /// Whether it is served from the stream, by a task of its own.
    pub(crate) fn lags(&self, stream: StreamIndex) -> bool {
        self.with(stream, |seat| seat.lags).unwrap_or(false)
    }

    /// Serves the seat in a stream from now on; false when it does not lag, or
    /// is served already.
    pub(crate) fn take_on(&self, stream: StreamIndex, server: &Server) -> bool {
        let take_on = |seat: &mut Seat| {
            let free = seat.lags && seat.server.is_none();
            if free {
                seat.server = Some(server.clone());
            }
            free
        };
        self.with(stream, take_on).unwrap_or(false)
    }

    /// Does something with a seat for the one who serves it; nothing when it
    /// is not, or no longer, that one's to serve.
    pub(crate) fn serve<R>(&self, stream: StreamIndex, server: &Server, act: impl FnOnce(&mut Seat) -> R) -> Option<R> {
        self.with(stream, |seat| {
            let theirs = seat.server.as_ref().is_some_and(|serving| Arc::ptr_eq(&serving.0, &server.0));
            theirs.then(|| act(seat))
        })?
    }

    /// Does something while nobody changes seats or sends on account of them.
    pub(crate) fn alone<R>(&self, act: impl FnOnce() -> R) -> R {
        let _seats = self.lock();
        act()
    }

    /// Whether it follows no stream.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// It comes by a loss by itself; true when it was not on its way already.
    pub(crate) fn come_by(&self, stream: StreamIndex, begun: Cursor, end: Cursor) -> bool {
        let passed = |seat: &Seat| seat.sent == end || seat.sent.is_beyond(end);
        self.with(stream, |seat| !passed(seat) && seat.fall_behind(begun)) == Some(true)
    }

    /// In every stream how far it is, if it lags.
    pub(crate) fn all(&self) -> Vec<(StreamIndex, Option<Cursor>)> {
        self.lock().iter().map(|seat| (seat.stream, seat.lags.then_some(seat.sent))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Seat>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One that no seat had before.
fn edition() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: StreamIndex = StreamIndex(1);

    fn at(generation: u32, seq: u64) -> Cursor {
        Cursor { generation, seq }
    }

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).expect(text)
    }

    /// Seats of one connection that follows these patterns, from a cursor on.
    fn seats(patterns: &[&str], from: Cursor) -> Seats {
        let seats = Seats::default();
        for (key, text) in (0..).zip(patterns) {
            seats
                .enter(STREAM, &pattern(text), Place { slice: 0, key }, from, |pattern| pattern.as_str() == "denied.>");
        }
        seats
    }

    #[test]
    fn whoever_is_not_beyond_a_loss_comes_by_it_once() {
        let rows = [
            ("at its beginning", at(1, 10), at(1, 20), Some(at(1, 10))),
            ("before it, as all are", at(1, 5), at(1, 20), Some(at(1, 10))),
            ("within it", at(1, 15), at(1, 20), Some(at(1, 15))),
            ("at its end", at(1, 20), at(1, 20), None),
            ("beyond it", at(1, 25), at(1, 20), None),
            ("in the stream of before", at(1, 25), at(2, 5), Some(at(1, 25))),
            ("in the new stream", at(2, 5), at(2, 5), None),
        ];
        for (name, sent, end, from) in rows {
            let seats = seats(&["a"], sent);
            assert_eq!(seats.come_by(STREAM, at(1, 10), end), from.is_some(), "{name}");
            assert_eq!(seats.all(), [(STREAM, from)], "{name}");
            assert!(!seats.come_by(STREAM, at(1, 10), end), "{name}: it is on its way");
            assert!(!seats.come_by(StreamIndex(0), at(1, 10), end), "{name}: it follows no such stream");
        }
    }

    #[test]
    fn one_task_serves_a_connection_that_lags_until_it_is_up_again() {
        let seats = seats(&["a"], at(1, 3));
        let (first, second) = (Server::default(), Server::default());
        assert!(!seats.lags(STREAM) && !seats.take_on(STREAM, &first));
        assert_eq!(
            seats.with(STREAM, |seat| (seat.fall_behind(at(1, 2)), seat.fall_behind(at(1, 9)))),
            Some((true, false))
        );
        assert!(seats.lags(STREAM) && !seats.lags(StreamIndex(0)));
        assert!(seats.take_on(STREAM, &first) && !seats.take_on(STREAM, &second) && !seats.take_on(STREAM, &first));
        assert_eq!(seats.serve(STREAM, &second, |_| ()), None);
        assert_eq!(seats.serve(STREAM, &first, |seat| seat.behind()), Some((vec![pattern("a")], at(1, 3))));
        seats.serve(STREAM, &first, |seat| seat.catch_up(at(1, 8)));
        assert_eq!(seats.serve(STREAM, &first, |_| ()), None);
        assert_eq!((seats.all(), seats.lags(STREAM)), (vec![(STREAM, None)], false));
        assert_eq!(seats.with(STREAM, |seat| seat.sent), Some(at(1, 8)));
        assert!(!seats.take_on(STREAM, &second));
    }

    #[test]
    fn a_seat_lasts_as_long_as_its_patterns() {
        let seats = seats(&["a", "b.*"], at(1, 3));
        assert_eq!(seats.place(STREAM, &pattern("b.*")), Some(Place { slice: 0, key: 1 }));
        assert_eq!((seats.place(STREAM, &pattern("b.c")), seats.place(StreamIndex(0), &pattern("a"))), (None, None));
        let looks = |seat: &mut Seat| {
            seat.pending = 5;
            let wants = seat.wants();
            let wants = ["a", "b.c"].map(|text| wants(&Subject::parse(text).expect(text)));
            (seat.has_several(), wants, seat.is_for(&[pattern("a"), pattern("b.*")]), seat.edition())
        };
        let (several, wants, whole, edition) = seats.with(STREAM, looks).expect("a seat");
        assert_eq!((several, wants, whole), (true, [true, true], true));

        assert_eq!(seats.leave(StreamIndex(0), &pattern("a")), 0);
        assert_eq!(seats.leave(STREAM, &pattern("a")), 0, "another pattern still waits for it");
        let (several, wants, whole, later) = seats.with(STREAM, looks).expect("a seat");
        assert_eq!((several, wants, whole), (false, [false, true], false));
        assert_ne!(edition, later);
        assert!(!seats.is_empty());
        assert_eq!(seats.leave(STREAM, &pattern("b.*")), 5);
        assert!(seats.is_empty() && seats.with(STREAM, |_| ()).is_none());
    }

    #[test]
    fn a_seat_is_filtered_while_one_of_its_patterns_is() {
        let filtered = |seats: &Seats| seats.with(STREAM, |seat| seat.filtered);
        assert_eq!(filtered(&seats(&["a", "b"], at(1, 3))), Some(false));
        assert_eq!(filtered(&seats(&["a", "denied.>"], at(1, 3))), Some(true));
        let seats = seats(&["denied.>", "a"], at(1, 3));
        assert_eq!(filtered(&seats), Some(true));
        seats.filter(|_| false);
        assert_eq!(filtered(&seats), Some(false));
        seats.filter(|pattern| pattern.as_str() == "a");
        assert_eq!(filtered(&seats), Some(true));
    }
}
