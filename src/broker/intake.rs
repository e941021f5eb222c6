//! What a node takes in from its broker: the events of all its feeds, in the
//! order of their arrival, as many at a time as are there.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::broker::message::Message;

/// One feed of this node, never used again for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeedId(pub(crate) u64);

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
    pub(crate) events: Vec<(FeedId, Arc<Message>)>,
}

impl Arrived {
    /// Whether nothing has arrived.
    pub fn is_empty(&self) -> bool {
        self.opened.is_empty() && self.events.is_empty()
    }

    /// Hands out the events feed by feed, so that those of one feed, which
    /// waited together, can be sent together.
    pub fn take_feeds(&mut self) -> impl Iterator<Item = (FeedId, Vec<Arc<Message>>)> {
        // Stable, and linear where all are of one feed.
        self.events.sort_by_key(|(feed, _)| *feed);
        let mut events = self.events.drain(..).peekable();
        std::iter::from_fn(move || {
            let (feed, first) = events.next()?;
            let mut together = vec![first];
            while let Some((_, message)) = events.next_if(|(next, _)| *next == feed) {
                together.push(message);
            }
            Some((feed, together))
        })
    }
}
