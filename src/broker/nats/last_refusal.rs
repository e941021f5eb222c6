//! The reason for a silence: what a server refuses it tells to the connection,
//! and not in reply to what was asked.

use std::sync::Arc;

use async_nats::{Event, ServerError};

use crate::{
    broker::{
        nats::reading::{Denial, denial},
        stream_error::StreamError,
    },
    sync::Mutex,
};

/// The last refusal that a server has told a connection of.
#[derive(Clone, Debug, Default)]
pub(crate) struct LastRefusal(Arc<Mutex<Option<String>>>);

impl LastRefusal {
    /// Takes down what the client reports, if it is one.
    pub(crate) fn observe(&self, event: &Event) {
        if let Event::ServerError(ServerError::Other(said)) = event {
            *self.0.lock() = Some(said.clone());
        }
    }

    /// An error with the reason, where this is it: it names the subject, or the
    /// inbox that all requests share.
    pub(crate) fn explained(&self, error: StreamError) -> StreamError {
        let said = self.0.lock().clone();
        let is_of_inbox = |said: &str| said.contains("Subscription") || denial(said) == Some(Denial::Limit);
        explained(error, |subject| said.filter(|said| said.contains(subject) || is_of_inbox(said)))
    }
}

/// A silence with what was said of its subject.
pub(crate) fn explained(error: StreamError, said: impl FnOnce(&str) -> Option<String>) -> StreamError {
    match error {
        StreamError::Silence { subject } => match said(&subject) {
            Some(said) => StreamError::Denied { subject, said },
            None => StreamError::Silence { subject },
        },
        error => error,
    }
}
