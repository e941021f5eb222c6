//! What a node takes in from its broker: the events of all its feeds, in the
//! order of their arrival, as many at a time as are there.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    broker::{message::Message, stored::Stored},
    classes::StreamIndex,
};

/// One feed of this node, never used again for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeedId(pub(crate) u64);

/// Where the number of a stream begins in the number of a feed that follows
/// it. No node opens as many feeds.
const STREAM_SHIFT: u32 = 48;

/// What is no feed: answers to what this node asked a server.
const ANSWERS: u64 = 1 << 62;

/// What is no feed either: answers to what clients asked services.
const REPLIES: u64 = ANSWERS | 1;

impl FeedId {
    /// The feed of answers.
    pub(crate) const ANSWERS: Self = Self(ANSWERS);

    /// The feed of what services answer.
    pub(crate) const REPLIES: Self = Self(REPLIES);

    /// The feed that follows a stream.
    pub(crate) fn tail(StreamIndex(index): StreamIndex) -> Self {
        Self((index as u64 + 1) << STREAM_SHIFT)
    }

    /// The stream that the feed follows, if it does.
    pub fn stream(self) -> Option<StreamIndex> {
        let index = (self.0 & (ANSWERS - 1)) >> STREAM_SHIFT;
        index.checked_sub(1).map(|index| StreamIndex(index as usize))
    }
}

/// Gives out numbers of feeds.
#[derive(Debug, Default)]
pub(crate) struct FeedIds(AtomicU64);

impl FeedIds {
    /// Begins at 1, as clients of NATS number their subscriptions.
    pub(crate) fn next(&self) -> FeedId {
        FeedId(self.0.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// What one look at the broker brought.
#[derive(Debug, Default)]
pub struct Arrived {
    /// Feeds that are open now: what is published from here on arrives.
    pub opened: Vec<FeedId>,
    /// Events of all feeds; the order within a feed is the order of arrival.
    pub(crate) events: VecDeque<(FeedId, Arc<Message>)>,
    /// What streams have stored, in the order of arrival.
    pub stored: Vec<(StreamIndex, Stored)>,
    /// Whether `events` stand feed by feed, being taken.
    sorted: bool,
}

impl Arrived {
    /// Whether nothing has arrived.
    pub fn is_empty(&self) -> bool {
        self.opened.is_empty() && self.events.is_empty() && self.stored.is_empty()
    }

    /// Takes the events of one feed, which waited together, so that they can be
    /// sent together; nothing when none is left. `together` is used again.
    pub fn take_feed(&mut self, together: &mut Vec<Arc<Message>>) -> Option<FeedId> {
        together.clear();
        if !self.sorted {
            // Stable, and linear where all are of one feed.
            self.events.make_contiguous().sort_by_key(|(feed, _)| *feed);
            self.sorted = true;
        }
        let Some((feed, first)) = self.events.pop_front() else {
            self.sorted = false;
            return None;
        };
        together.push(first);
        while let Some((_, message)) = self.events.pop_front_if(|(next, _)| *next == feed) {
            together.push(message);
        }
        Some(feed)
    }
}
