//! The result of a lookup in a window: the events behind a cursor. Free of I/O.

use std::sync::Arc;

use crate::{
    event::Message,
    journal::cursor::{Cursor, Gap},
};

/// The result of a lookup in a window.
#[derive(Debug)]
pub(crate) enum Lookup {
    /// Events, and how far they reach.
    Events(Vec<Arc<Message>>, Cursor),
    /// These will never come: go on from here.
    Lost(Gap, Cursor),
    /// The next event is no longer in memory; every event behind this sequence
    /// is.
    Older(u64),
    /// Nothing has come after it yet.
    End,
}
