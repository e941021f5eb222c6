//! A `replay` without its events. Free of encodings.

use std::sync::Arc;

use crate::event::{BatchMark, Message, batch_parts::shown};

/// The fields of a `replay` beside its events.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReplayOf<'a> {
    /// The number of the request that made the subscription; 0 for none.
    pub reply_to: u64,
    /// The subscription; empty for all that the client made together.
    pub subject: &'a str,
    /// Whether these are the newest values.
    pub snapshot: bool,
    /// The epoch of the stream; empty where it is not told.
    pub epoch: &'a str,
}

impl ReplayOf<'_> {
    /// The place of one of its events in an atomic batch. Newest values are a state: which of them were published
    /// together says nothing.
    pub(crate) fn place<'m>(&self, messages: &'m [Arc<Message>], at: usize) -> Option<(&'m BatchMark, bool)> {
        if self.snapshot { None } else { shown(messages, at) }
    }
}
