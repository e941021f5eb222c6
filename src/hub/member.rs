//! One connection as its topics see it: where to push, and which of its
//! patterns speaks for a live subject when several match.
//!
//! The rule: of a connection's live patterns, the one that went live first
//! delivers. NATS brings one copy of an event per pattern of this node, so
//! every topic but that one passes it over, and nothing has to be remembered
//! per event.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{
    codec::Encoding,
    hub::{missing::Overflow, place::Place, seats::Seats},
    outbox::Outbox,
    subject::{Pattern, Subject},
};

/// One connection in the hub.
#[derive(Debug)]
pub(crate) struct Member {
    outbox: Arc<Outbox>,
    encoding: Encoding,
    /// In the order in which they went live.
    live: Mutex<Vec<Live>>,
    seats: Seats,
    overflow: Overflow,
}

#[derive(Debug)]
struct Live {
    pattern: Pattern,
    place: Place,
}

impl Member {
    pub(crate) fn new(outbox: Arc<Outbox>, encoding: Encoding) -> Self {
        Self { outbox, encoding, live: Mutex::default(), seats: Seats::default(), overflow: Overflow::default() }
    }

    pub(crate) fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }

    pub(crate) fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// How far it is in the streams that it follows.
    pub(crate) fn seats(&self) -> &Seats {
        &self.seats
    }

    /// Which of its patterns miss something live.
    pub(crate) fn overflow(&self) -> &Overflow {
        &self.overflow
    }

    /// Notes a pattern as live. True when an earlier one overlaps it, so that
    /// [`Self::is_spoken_for`] has to be asked for each event.
    pub(crate) fn note(&self, pattern: &Pattern, place: Place) -> bool {
        let mut live = self.lock();
        let overlaps = live.iter().any(|earlier| earlier.pattern.overlaps(pattern));
        if live.is_empty() {
            // Most connections have few, and there are many connections.
            live.reserve_exact(1);
        }
        live.push(Live { pattern: pattern.clone(), place });
        overlaps
    }

    pub(crate) fn forget(&self, pattern: &Pattern) {
        self.lock().retain(|live| live.pattern != *pattern);
    }

    pub(crate) fn place(&self, pattern: &Pattern) -> Option<Place> {
        self.lock().iter().find(|live| live.pattern == *pattern).map(|live| live.place)
    }

    /// Whether a pattern that went live before `pattern` delivers this subject.
    pub(crate) fn is_spoken_for(&self, pattern: &Pattern, subject: &Subject) -> bool {
        let live = self.lock();
        live.iter().take_while(|live| live.pattern != *pattern).any(|earlier| earlier.pattern.matches(subject))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
