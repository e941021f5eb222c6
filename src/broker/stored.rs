//! Stored events and the questions about them: the same for JetStream and for
//! the streams of this process.

use std::sync::Arc;

use crate::{
    event::message::Message,
    subject::{Pattern, Subject},
};

/// One sequence of a stream.
#[derive(Clone, Debug)]
pub struct Stored {
    /// From 1, without holes as the stream stores them.
    pub seq: u64,
    /// The event; none when it cannot be one for clients.
    pub event: Option<Arc<Message>>,
    /// Whether its headers say that the stream has dropped older events for it:
    /// a rollup, or the marker of a subject whose events have ended.
    pub ends_older: bool,
    /// Whether it is the last event of an atomic batch.
    pub commits: bool,
}

impl Stored {
    /// An event that ends no other.
    pub fn new(seq: u64, event: Option<Arc<Message>>) -> Self {
        Self { seq, event, ends_older: false, commits: false }
    }
}

/// The state of a stream at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamState {
    /// When it was created, nanoseconds since the Unix epoch: another one says
    /// that it is another stream of the same name.
    pub epoch: u64,
    /// Sequence of the oldest event that is left; the last one and 1 where none is.
    pub first: u64,
    /// Sequence of the newest event, even when it is gone; 0 before the first.
    pub last: u64,
    /// How many events there are.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The first sequence that it ever had; 0 and 1 where that is the first there is.
    pub begins: u64,
    /// How many events of one subject it keeps before newer ones take their place;
    /// 0: as many as there are.
    pub per_subject: u64,
}

impl StreamState {
    /// How many sequences between the first and the last have no event.
    pub fn deleted(&self) -> u64 {
        (self.last + 1).saturating_sub(self.first).saturating_sub(self.messages)
    }
}

/// A question to a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// All events from a sequence on.
    From(u64),
    /// Those of one subject from a sequence on.
    Of(Subject, u64),
    /// The first event that was stored at a time or later, milliseconds since
    /// the Unix epoch.
    Since(u64),
    /// The newest event of each subject that a pattern matches, as they were
    /// at the sequence `upto`, of those from the sequence `from` on.
    Newest {
        /// The patterns, any of which has to match.
        patterns: Vec<Pattern>,
        /// Events behind it do not count.
        upto: u64,
        /// Where to go on after a page.
        from: u64,
    },
}

/// The purpose of reading a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The node follows the stream: what it lacks, every client waits for, so
    /// these reads do not queue behind those of clients.
    Follow,
    /// Some clients read.
    Serve,
}

/// A part of the answer, in sequence order.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The events that are stored. A sequence that is missing between others is
    /// not stored.
    pub events: Vec<Stored>,
    /// How far the answer reaches: every sequence that is asked for, up to
    /// here, is among `events`. 0 when nothing was found.
    pub through: u64,
    /// Whether there was more when it was answered.
    pub more: bool,
    /// Whether something may be missing that was too large to be read.
    pub passed_over: bool,
}

/// An event was stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Its sequence.
    pub seq: u64,
    /// Whether one with the same identifier was there before, which this is the sequence of.
    pub duplicate: bool,
}

/// Why a stream does not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// There is no connection, or none any more.
    #[error("the broker is not connected")]
    Unavailable,
    /// Nobody answered in time.
    #[error("the stream does not answer")]
    Timeout,
    /// Nobody serves that stream: it is gone, or has no leader now.
    #[error("nobody serves the stream")]
    NoResponders,
    /// The copy that answers here lags behind the stream.
    #[error("the copy of the stream that answers here lags")]
    Lagging,
    /// It does not exist.
    #[error("there is no such stream")]
    Missing,
    /// A pattern matches more subjects than the server tells at once.
    #[error("the pattern matches more subjects than the server tells at once")]
    TooManySubjects,
    /// The server refuses.
    #[error("the server refuses: {0}")]
    Refused(String),
}

impl ReadError {
    /// Whether another copy, or the leader, may do better.
    pub fn is_of_the_copy(&self) -> bool {
        matches!(self, Self::Lagging | Self::Timeout | Self::NoResponders)
    }
}
