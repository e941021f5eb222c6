//! Feeds: subscriptions of this node at its broker, to a pattern or to a
//! stream.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::classes::StreamIndex;

/// One feed of this node, never used again for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeedId(pub(crate) u64);

/// Where the number of a stream begins in the number of a feed that follows
/// it. No node opens as many feeds.
const STREAM_SHIFT: u32 = 48;

/// The id of answers to what this node asked a server. The ids from here on
/// belong to subscriptions of the node's own, not to feeds.
const ANSWERS: u64 = 1 << 62;

/// Answers to what clients asked services.
const REPLIES: u64 = ANSWERS | 1;

/// Answers of streams to what this node publishes.
const ACKS: u64 = ANSWERS | 2;

/// The subscriptions of the connection that publishes.
const CONTROL: u64 = ANSWERS | 3;
const INBOX: u64 = ANSWERS | 4;

impl FeedId {
    /// The feed of answers.
    pub(crate) const ANSWERS: Self = Self(ANSWERS);

    /// The feed of what services answer.
    pub(crate) const REPLIES: Self = Self(REPLIES);

    /// The feed of acknowledgements.
    pub(crate) const ACKS: Self = Self(ACKS);

    /// The feed of what nodes say to each other.
    pub(crate) const CONTROL: Self = Self(CONTROL);

    /// The feed of what servers say of streams.
    pub(crate) const INBOX: Self = Self(INBOX);

    /// The feed that follows a stream.
    pub(crate) fn tail(StreamIndex(index): StreamIndex) -> Self {
        Self((index as u64 + 1) << STREAM_SHIFT)
    }

    /// Whether it is one of a pattern that clients asked for.
    pub(crate) fn is_pattern(self) -> bool {
        self.0 < 1 << STREAM_SHIFT
    }

    /// The purpose of one of the node's own subscriptions.
    pub(crate) fn purpose(self) -> Option<&'static str> {
        match self.0 {
            ANSWERS => Some("reads of streams"),
            REPLIES => Some("answers of services"),
            ACKS => Some("acknowledgements of streams"),
            CONTROL => Some("broker.nats.control_subject"),
            INBOX => Some("states of streams"),
            _ => None,
        }
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

/// Keeps a pattern's events coming, or a stream's. Dropping it ends the
/// subscription at the broker; what is on its way may still arrive.
#[derive(Debug)]
pub struct Feed {
    id: FeedId,
    at: Arc<dyn Feeds>,
}

/// The owner of feeds, which ends them.
pub(crate) trait Feeds: fmt::Debug + Send + Sync {
    /// Its events are not wanted any more.
    fn close(&self, feed: FeedId);
}

impl Feed {
    /// A feed that is open at `at`, or is going to be.
    pub(crate) fn new(id: FeedId, at: Arc<dyn Feeds>) -> Self {
        Self { id, at }
    }

    /// By what its events are known.
    pub fn id(&self) -> FeedId {
        self.id
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.at.close(self.id);
    }
}
