//! The progress of a connection in each stream that it follows. Events that it
//! has no room for stay in the stream: the connection lags, and catches up from
//! there.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use crate::{
    classes::StreamIndex,
    hub::member_slot::MemberSlot,
    journal::Cursor,
    pattern_map::PatternMap,
    subject::{Pattern, Subject},
    sync::{Mutex, rank},
};

/// The progress of one connection in all streams that it follows.
#[derive(Debug, Default)]
pub(crate) struct MemberProgress(Mutex<Vec<StreamProgress>, { rank::PROGRESS }>);

/// The progress of one connection in one stream.
#[derive(Debug)]
pub(crate) struct StreamProgress {
    stream: StreamIndex,
    patterns: Vec<FollowedPattern>,
    /// Everything up to here has been sent, as far as its patterns match.
    pub(crate) sent: Cursor,
    /// The client was told that it has everything up to here; that may be further.
    told: Cursor,
    /// It is served from the stream, by a task of its own.
    pub(crate) lags: bool,
    /// Some subjects of its patterns are denied to the connection.
    pub(crate) filtered: bool,
    /// Changes when a pattern is given up: an event that was wanted before may not be
    /// wanted any more.
    version: u32,
    /// The task that catches it up.
    owner: Option<CatchUpOwner>,
    /// Events that it gets from the stream; below zero while it has got more
    /// than the others.
    pub(crate) pending: i64,
    /// Values have ended without a trace that it was not told.
    pub(crate) endings_missed: bool,
}

/// A pattern that a connection follows in a stream.
#[derive(Debug)]
struct FollowedPattern {
    pattern: Pattern,
    slot: MemberSlot,
    /// The number of the request that made the subscription; 0 for none.
    request: u64,
}

/// The owner of a catch-up tells apart the tasks that catch a connection up: it may
/// give a stream up and lag in it anew before the first task has noticed.
#[derive(Clone, Debug, Default)]
pub(crate) struct CatchUpOwner(Arc<()>);

/// The progress of a connection in the streams that it follows beside one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OtherStreams<'p>(&'p [StreamProgress], &'p [StreamProgress]);

impl OtherStreams<'_> {
    /// Whether it follows no other.
    pub(crate) fn is_empty(self) -> bool {
        self.0.is_empty() && self.1.is_empty()
    }

    /// How far it is in them.
    pub(crate) fn positions(self) -> impl Iterator<Item = (StreamIndex, Cursor)> {
        self.0.iter().chain(self.1).map(|progress| (progress.stream, progress.furthest()))
    }

    /// How far it is in all of them, this one included, in their order.
    pub(crate) fn and(self, stream: StreamIndex, at: Cursor) -> impl Iterator<Item = (StreamIndex, Cursor)> {
        let told = |progress: &StreamProgress| (progress.stream, progress.furthest());
        self.0.iter().map(told).chain([(stream, at)]).chain(self.1.iter().map(told))
    }
}

impl StreamProgress {
    /// What is known of what the client has.
    fn furthest(&self) -> Cursor {
        if self.told.is_beyond(self.sent) { self.told } else { self.sent }
    }

    /// The same where everybody who does not lag has everything up to `settled`;
    /// the client is told.
    fn tell(&mut self, settled: Cursor) -> Cursor {
        if self.lags {
            return self.sent;
        }
        self.told = settled;
        self.furthest()
    }

    /// The patterns to catch up with, and the cursor to begin at.
    pub(crate) fn behind(&self) -> (Vec<Pattern>, Cursor) {
        (self.patterns.iter().map(|followed| followed.pattern.clone()).collect(), self.sent)
    }

    /// The number of the request that made the subscription to a pattern; none when
    /// the pattern has been given up.
    pub(crate) fn request(&self, pattern: &Pattern) -> Option<u64> {
        self.patterns.iter().find(|followed| followed.pattern == *pattern).map(|followed| followed.request)
    }

    /// It is up with the others.
    pub(crate) fn catch_up(&mut self, at: Cursor) {
        (self.lags, self.owner, self.sent) = (false, None, at);
    }

    /// Whether it is for exactly these patterns.
    pub(crate) fn is_for(&self, patterns: &[Pattern]) -> bool {
        self.patterns.iter().map(|followed| &followed.pattern).eq(patterns)
    }

    /// Says of subjects whether one of its patterns matches.
    pub(crate) fn wants(&self) -> impl Fn(&Subject) -> bool {
        let patterns = self.patterns.iter().map(|followed| (followed.pattern.clone(), ()));
        let patterns: PatternMap<()> = patterns.collect();
        move |subject| patterns.matches(subject)
    }

    /// Changes when a pattern is given up.
    pub(crate) fn version(&self) -> u32 {
        self.version
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

impl MemberProgress {
    /// Reads or changes the progress in a stream, if the member follows it.
    pub(crate) fn with<R>(&self, stream: StreamIndex, act: impl FnOnce(&mut StreamProgress) -> R) -> Option<R> {
        self.0.lock().iter_mut().find(|progress| progress.stream == stream).map(act)
    }

    /// The same with the progress in the connection's other streams.
    pub(crate) fn with_peers<R>(
        &self,
        stream: StreamIndex,
        act: impl FnOnce(&mut StreamProgress, OtherStreams<'_>) -> R,
    ) -> Option<R> {
        let mut streams = self.0.lock();
        let index = streams.iter().position(|progress| progress.stream == stream)?;
        let (before, rest) = streams.split_at_mut(index);
        let (progress, behind) = rest.split_first_mut()?;
        Some(act(progress, OtherStreams(before, behind)))
    }

    /// Tells a client how far it is, where everybody who does not lag has everything up
    /// to what `settled` says: nothing is sent to it meanwhile.
    pub(crate) fn tell<R>(
        &self,
        settled: impl Fn(StreamIndex) -> Cursor,
        tell: impl FnOnce(Vec<(StreamIndex, Cursor)>) -> R,
    ) -> R {
        let mut streams = self.0.lock();
        let at = streams.iter_mut().map(|progress| (progress.stream, progress.tell(settled(progress.stream))));
        let at = at.collect();
        tell(at)
    }

    /// Takes part in a stream with one more pattern, for a request, from a cursor
    /// on. `filters` says whether some of its subjects are denied.
    pub(crate) fn enter(
        &self,
        stream: StreamIndex,
        (pattern, request): (&Pattern, u64),
        slot: MemberSlot,
        from: Cursor,
        filters: impl FnOnce(&Pattern) -> bool,
    ) {
        let mut streams = self.0.lock();
        // Asked under the lock: either it is asked of what holds from now on, or
        // who changes that finds the pattern here.
        let filtered = filters(pattern);
        let followed = FollowedPattern { pattern: pattern.clone(), slot, request };
        if let Some(progress) = streams.iter_mut().find(|progress| progress.stream == stream) {
            progress.patterns.push(followed);
            progress.filtered |= filtered;
            return;
        }
        streams.reserve_exact(1);
        streams.push(StreamProgress {
            stream,
            patterns: vec![followed],
            sent: from,
            told: from,
            lags: false,
            filtered,
            version: version(),
            owner: None,
            pending: 0,
            endings_missed: false,
        });
    }

    /// Where a pattern has its place.
    pub(crate) fn slot(&self, stream: StreamIndex, pattern: &Pattern) -> Option<MemberSlot> {
        let slot = |followed: &FollowedPattern| (followed.pattern == *pattern).then_some(followed.slot);
        self.with(stream, |progress| progress.patterns.iter().find_map(slot))?
    }

    /// Another request asks for a pattern that is followed: frames carry its number.
    pub(crate) fn set_request(&self, stream: StreamIndex, pattern: &Pattern, request: u64) {
        self.with(stream, |progress| {
            let followed = progress.patterns.iter_mut().find(|followed| followed.pattern == *pattern);
            followed.into_iter().for_each(|followed| followed.request = request);
        });
    }

    /// Gives a pattern up. With the last one of a stream goes what the
    /// connection was still to get from it, which is returned.
    pub(crate) fn leave(&self, stream: StreamIndex, pattern: &Pattern) -> i64 {
        let mut streams = self.0.lock();
        let Some(index) = streams.iter().position(|progress| progress.stream == stream) else { return 0 };
        streams[index].patterns.retain(|followed| followed.pattern != *pattern);
        streams[index].version = version();
        if streams[index].patterns.is_empty() { streams.remove(index).pending } else { 0 }
    }

    /// Applies changed denials of the connection.
    pub(crate) fn filter(&self, filters: impl Fn(&Pattern) -> bool) {
        for progress in self.0.lock().iter_mut() {
            progress.filtered = progress.patterns.iter().any(|followed| filters(&followed.pattern));
        }
    }

    /// Whether it is served from the stream, by a task of its own.
    pub(crate) fn lags(&self, stream: StreamIndex) -> bool {
        self.with(stream, |progress| progress.lags).unwrap_or(false)
    }

    /// Makes a task the owner of the catch-up; false when the member does not lag, or
    /// has an owner already.
    pub(crate) fn claim(&self, stream: StreamIndex, owner: &CatchUpOwner) -> bool {
        let claim = |progress: &mut StreamProgress| {
            let free = progress.lags && progress.owner.is_none();
            if free {
                progress.owner = Some(owner.clone());
            }
            free
        };
        self.with(stream, claim).unwrap_or(false)
    }

    /// Changes the progress on behalf of an owner; nothing when the catch-up is not,
    /// or no longer, that owner's.
    pub(crate) fn serve<R>(
        &self,
        stream: StreamIndex,
        owner: &CatchUpOwner,
        act: impl FnOnce(&mut StreamProgress) -> R,
    ) -> Option<R> {
        self.serve_with_peers(stream, owner, |progress, _| act(progress))
    }

    /// The same with the progress in the connection's other streams.
    pub(crate) fn serve_with_peers<R>(
        &self,
        stream: StreamIndex,
        owner: &CatchUpOwner,
        act: impl FnOnce(&mut StreamProgress, OtherStreams<'_>) -> R,
    ) -> Option<R> {
        self.with_peers(stream, |progress, peers| {
            let theirs = progress.owner.as_ref().is_some_and(|owning| Arc::ptr_eq(&owning.0, &owner.0));
            theirs.then(|| act(progress, peers))
        })?
    }

    /// Runs a closure while no progress changes and no event of a stream is sent.
    pub(crate) fn exclusively<R>(&self, act: impl FnOnce() -> R) -> R {
        let _seats = self.0.lock();
        act()
    }

    /// Whether it follows no stream.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    /// Makes a member that has not passed the loss catch up over it. Returns whether
    /// it newly lags.
    pub(crate) fn require_catch_up(&self, stream: StreamIndex, begun: Cursor, end: Cursor) -> bool {
        let passed = |progress: &StreamProgress| progress.sent == end || progress.sent.is_beyond(end);
        self.with(stream, |progress| !passed(progress) && progress.fall_behind(begun)) == Some(true)
    }

    /// In every stream how far it is, if it lags.
    #[cfg(test)]
    pub(crate) fn all(&self) -> Vec<(StreamIndex, Option<Cursor>)> {
        self.0.lock().iter().map(|progress| (progress.stream, progress.lags.then_some(progress.sent))).collect()
    }
}

/// A version that no progress had before.
fn version() -> u32 {
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
    fn streams(patterns: &[&str], from: Cursor) -> MemberProgress {
        let streams = MemberProgress::default();
        for (key, text) in (0..).zip(patterns) {
            streams.enter(STREAM, (&pattern(text), key.into()), MemberSlot { slice: 0, key }, from, |pattern| {
                pattern.as_str() == "denied.>"
            });
        }
        streams
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
            let streams = streams(&["a"], sent);
            assert_eq!(streams.require_catch_up(STREAM, at(1, 10), end), from.is_some(), "{name}");
            assert_eq!(streams.all(), [(STREAM, from)], "{name}");
            assert!(!streams.require_catch_up(STREAM, at(1, 10), end), "{name}: it is on its way");
            assert!(!streams.require_catch_up(StreamIndex(0), at(1, 10), end), "{name}: it follows no such stream");
        }
    }

    #[test]
    fn one_task_serves_a_connection_that_lags_until_it_is_up_again() {
        let streams = streams(&["a"], at(1, 3));
        let (first, second) = (CatchUpOwner::default(), CatchUpOwner::default());
        assert!(!streams.lags(STREAM) && !streams.claim(STREAM, &first));
        assert_eq!(
            streams.with(STREAM, |progress| (progress.fall_behind(at(1, 2)), progress.fall_behind(at(1, 9)))),
            Some((true, false))
        );
        assert!(streams.lags(STREAM) && !streams.lags(StreamIndex(0)));
        assert!(streams.claim(STREAM, &first) && !streams.claim(STREAM, &second) && !streams.claim(STREAM, &first));
        assert_eq!(streams.serve(STREAM, &second, |_| ()), None);
        assert_eq!(streams.serve(STREAM, &first, |progress| progress.behind()), Some((vec![pattern("a")], at(1, 3))));
        streams.serve(STREAM, &first, |progress| progress.catch_up(at(1, 8)));
        assert_eq!(streams.serve(STREAM, &first, |_| ()), None);
        assert_eq!((streams.all(), streams.lags(STREAM)), (vec![(STREAM, None)], false));
        assert_eq!(streams.with(STREAM, |progress| progress.sent), Some(at(1, 8)));
        assert!(!streams.claim(STREAM, &second));
    }

    #[test]
    fn a_seat_lasts_as_long_as_its_patterns() {
        let streams = streams(&["a", "b.*"], at(1, 3));
        assert_eq!(streams.slot(STREAM, &pattern("b.*")), Some(MemberSlot { slice: 0, key: 1 }));
        assert_eq!((streams.slot(STREAM, &pattern("b.c")), streams.slot(StreamIndex(0), &pattern("a"))), (None, None));
        let looks = |progress: &mut StreamProgress| {
            progress.pending = 5;
            let wants = progress.wants();
            let wants = ["a", "b.c"].map(|text| wants(&Subject::parse(text).expect(text)));
            (progress.has_several(), wants, progress.is_for(&[pattern("a"), pattern("b.*")]), progress.version())
        };
        let (several, wants, whole, version) = streams.with(STREAM, looks).expect("a seat");
        assert_eq!((several, wants, whole), (true, [true, true], true));
        let request = |text: &str| streams.with(STREAM, |progress| progress.request(&pattern(text))).flatten();
        assert_eq!((request("a"), request("b.*"), request("b.c")), (Some(0), Some(1), None));
        streams.set_request(STREAM, &pattern("a"), 7);
        assert_eq!((request("a"), request("b.*")), (Some(7), Some(1)));

        assert_eq!(streams.leave(StreamIndex(0), &pattern("a")), 0);
        assert_eq!(streams.leave(STREAM, &pattern("a")), 0, "another pattern still waits for it");
        let (several, wants, whole, later) = streams.with(STREAM, looks).expect("a seat");
        assert_eq!((several, wants, whole), (false, [false, true], false));
        assert_ne!(version, later);
        assert!(!streams.is_empty());
        assert_eq!(streams.leave(STREAM, &pattern("b.*")), 5);
        assert!(streams.is_empty() && streams.with(STREAM, |_| ()).is_none());
    }

    #[test]
    fn a_seat_is_filtered_while_one_of_its_patterns_is() {
        let filtered = |streams: &MemberProgress| streams.with(STREAM, |progress| progress.filtered);
        assert_eq!(filtered(&streams(&["a", "b"], at(1, 3))), Some(false));
        assert_eq!(filtered(&streams(&["a", "denied.>"], at(1, 3))), Some(true));
        let streams = streams(&["denied.>", "a"], at(1, 3));
        assert_eq!(filtered(&streams), Some(true));
        streams.filter(|_| false);
        assert_eq!(filtered(&streams), Some(false));
        streams.filter(|pattern| pattern.as_str() == "a");
        assert_eq!(filtered(&streams), Some(true));
    }
}
