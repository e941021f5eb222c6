//! One connection as its topics see it: where to push, which of its patterns
//! speaks for a live subject when several match, and what is kept from it.
//!
//! The rule: of a connection's live patterns, the one that went live first
//! delivers. NATS brings one copy of an event per pattern of this node, so
//! every topic but that one passes it over, and nothing has to be remembered
//! per event.
//!
//! What is denied to it is asked for each event of a pattern that some denial
//! overlaps, and of no other.

use std::sync::{Arc, PoisonError};

use crate::{
    codec::Encoding,
    grants::Grants,
    hub::{missing::Overflow, place::Place, seats::Seats},
    outbox::Outbox,
    subject::{Pattern, Subject},
    sync::{Mutex, MutexGuard},
};

/// One connection in the hub.
#[derive(Debug)]
pub(crate) struct Member {
    outbox: Arc<Outbox>,
    encoding: Encoding,
    known: Mutex<Known>,
    seats: Seats,
    overflow: Overflow,
}

#[derive(Debug, Default)]
struct Known {
    /// In the order in which they went live.
    live: Vec<Live>,
    /// Whose denials hold; nothing where nothing is denied.
    denials: Option<Grants>,
}

/// What has to be asked for each event of a topic: nothing, for nearly everybody.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asks {
    /// An earlier pattern of the same connection overlaps.
    overlapped: bool,
    /// A denial overlaps.
    pub(crate) filtered: bool,
}

/// What becomes of an event in one topic of a connection.
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
struct Live {
    pattern: Pattern,
    place: Place,
}

impl Member {
    pub(crate) fn new(outbox: Arc<Outbox>, encoding: Encoding) -> Self {
        Self { outbox, encoding, known: Mutex::default(), seats: Seats::default(), overflow: Overflow::default() }
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

    /// Notes a pattern as live, and says what has to be [asked](Self::share) for
    /// each of its events.
    pub(crate) fn note(&self, pattern: &Pattern, place: Place) -> Asks {
        let mut known = self.lock();
        let overlapped = known.live.iter().any(|earlier| earlier.pattern.overlaps(pattern));
        if known.live.is_empty() {
            // Most connections have few, and there are many connections.
            known.live.reserve_exact(1);
        }
        known.live.push(Live { pattern: pattern.clone(), place });
        Asks { overlapped, filtered: known.filters(pattern) }
    }

    pub(crate) fn forget(&self, pattern: &Pattern) {
        self.lock().live.retain(|live| live.pattern != *pattern);
    }

    pub(crate) fn place(&self, pattern: &Pattern) -> Option<Place> {
        self.lock().live.iter().find(|live| live.pattern == *pattern).map(|live| live.place)
    }

    /// What becomes of an event in the topic of a pattern. One that
    /// went live before it speaks for the subject, also where that is denied.
    pub(crate) fn share(&self, pattern: &Pattern, subject: &Subject) -> Share {
        let known = self.lock();
        let mut earlier = known.live.iter().take_while(|live| live.pattern != *pattern);
        if earlier.any(|earlier| earlier.pattern.matches(subject)) {
            Share::Others
        } else if known.denies(subject) {
            Share::Denied
        } else {
            Share::Mine
        }
    }

    /// From now on these denials hold: whoever sends on account of a seat, or
    /// replays, sees them. Topics and seats have still to be told to ask.
    pub(crate) fn deny(&self, grants: &Grants) {
        let denials = grants.has_denials().then(|| grants.clone());
        self.seats.alone(|| self.lock().denials = denials);
    }

    /// Whose denials hold; nothing where nothing is denied.
    pub(crate) fn denials(&self) -> Option<Grants> {
        self.lock().denials.clone()
    }

    /// Whether these still hold.
    pub(crate) fn has_denials(&self, denials: Option<&Grants>) -> bool {
        match (&self.lock().denials, denials) {
            (None, None) => true,
            (Some(held), Some(asked)) => held.are(asked),
            _ => false,
        }
    }

    /// Whether some subject of a pattern is denied.
    pub(crate) fn filters(&self, pattern: &Pattern) -> bool {
        self.lock().filters(pattern)
    }

    /// Whether a subject is denied.
    pub(crate) fn denies(&self, subject: &Subject) -> bool {
        self.lock().denies(subject)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn filters(&self, pattern: &Pattern) -> bool {
        self.denials.as_ref().is_some_and(|grants| grants.filters(pattern))
    }

    fn denies(&self, subject: &Subject) -> bool {
        self.denials.as_ref().is_some_and(|grants| grants.denies(subject))
    }
}

impl Asks {
    /// Whether nothing has to be asked.
    pub(crate) fn nothing(self) -> bool {
        !self.overlapped && !self.filtered
    }
}
