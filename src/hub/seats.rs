//! How far a connection is in each stream that it follows. What it has no room
//! for stays in the stream: the connection lags, and catches up from there.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{classes::StreamIndex, hub::place::Place, journal::Cursor, subject::Pattern};

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
    /// Events that it gets from the stream; below zero while it has got more
    /// than the others.
    pub(crate) pending: i64,
}

impl Seat {
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
    pub(crate) fn enter(&self, stream: StreamIndex, pattern: &Pattern, place: Place, from: Cursor) {
        let mut seats = self.lock();
        if let Some(seat) = seats.iter_mut().find(|seat| seat.stream == stream) {
            seat.patterns.push((pattern.clone(), place));
            return;
        }
        seats.reserve_exact(1);
        seats.push(Seat { stream, patterns: vec![(pattern.clone(), place)], sent: from, lags: false, pending: 0 });
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
        if seats[index].patterns.is_empty() { seats.remove(index).pending } else { 0 }
    }

    /// Whether it is served from the stream, by a task of its own.
    pub(crate) fn lags(&self, stream: StreamIndex) -> bool {
        self.with(stream, |seat| seat.lags).unwrap_or(false)
    }

    /// What is to be caught up with, and from where; nothing once it does not lag.
    pub(crate) fn behind(&self, stream: StreamIndex) -> Option<(Vec<Pattern>, Cursor)> {
        self.with(stream, |seat| {
            seat.lags.then(|| (seat.patterns.iter().map(|(pattern, _)| pattern.clone()).collect(), seat.sent))
        })?
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
