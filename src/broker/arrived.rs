//! Arrivals: the events that a node takes in from its broker, of all its feeds,
//! in the order of their arrival, as many at a time as are there.

use std::{collections::VecDeque, sync::Arc};

use crate::{
    broker::{feed::FeedId, stored::Stored},
    classes::StreamIndex,
    event::message::Message,
};

/// The arrivals of one read of the broker.
#[derive(Debug, Default)]
pub struct Arrived {
    /// Feeds that are open now: what is published from here on arrives.
    pub opened: Vec<FeedId>,
    /// Feeds that the broker refuses now; [`Self::opened`] follows once it does
    /// not any more. They come before what is open.
    pub refused: Vec<FeedId>,
    /// Events of all feeds; the order within a feed is the order of arrival.
    pub(crate) events: VecDeque<(FeedId, Arc<Message>)>,
    /// Events of streams, in the order of arrival.
    pub stored: Vec<(StreamIndex, Stored)>,
    /// Whether `events` stand feed by feed, being taken.
    sorted: bool,
}

impl Arrived {
    /// Whether nothing has arrived.
    pub fn is_empty(&self) -> bool {
        self.opened.is_empty() && self.refused.is_empty() && self.events.is_empty() && self.stored.is_empty()
    }

    /// Notes feeds that the broker refuses.
    pub(crate) fn refuse(&mut self, feeds: impl IntoIterator<Item = FeedId>) {
        for feed in feeds {
            self.opened.retain(|opened| *opened != feed);
            self.refused.push(feed);
        }
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
