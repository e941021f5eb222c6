//! Why streams cannot be used: in the server's words where it has refused
//! something, for the log and for operators.

use std::{sync::Arc, time::Duration};

use crate::{
    broker::{
        attempts::{Attempted, Attempts, Cause},
        feed::FeedId,
        nats::last_refusal,
        state::BrokerState,
        stored::{Page, ReadError},
        stream_error::StreamError,
    },
    classes::StreamIndex,
};

/// The reason for a silence where the connection is not subscribed to replies.
const INBOX_REFUSED: &str = "the subscription to replies: a permission, or max_subscriptions";

/// Failures of streams that cannot be used, told once each.
#[derive(Debug)]
pub(crate) struct StreamFailures {
    state: Arc<BrokerState>,
    /// Names of the streams, in the order of the configuration.
    streams: Arc<[Arc<str>]>,
}

impl StreamFailures {
    pub(crate) fn new(state: Arc<BrokerState>, streams: Arc<[Arc<str>]>) -> Self {
        Self { state, streams }
    }

    /// All of them.
    pub(crate) fn attempts(&self) -> &Attempts {
        self.state.attempts()
    }

    /// A silence with what the server has said of it, if it has.
    pub(crate) fn explained(&self, error: StreamError) -> StreamError {
        let inbox = || self.state.degraded().is_refused(FeedId::INBOX).then(|| INBOX_REFUSED.to_owned());
        last_refusal::explained(error, |subject| self.attempts().said_of(subject).or_else(inbox))
    }

    /// Tells whether a stream can be read, or asked for its state.
    ///
    /// # Errors
    /// The error of `read`, as callers know it.
    pub(crate) fn judge<T>(
        &self,
        what: Attempted,
        stream: StreamIndex,
        read: Result<T, StreamError>,
    ) -> Result<T, ReadError> {
        let read = read.map_err(|error| self.explained(error));
        match &read {
            Ok(_) => self.attempts().clear(what),
            // The connection tells why.
            Err(StreamError::Away) => {}
            Err(error) => self.tell_unread(what, stream, &Cause::of(error)),
        }
        read.map_err(unreadable)
    }

    /// The same of a read by Direct Get; `subject` is where the question went.
    pub(crate) fn judge_read(
        &self,
        stream: StreamIndex,
        read: &Result<Page, ReadError>,
        subject: impl FnOnce() -> String,
    ) {
        let what = Attempted::Reads(stream.0);
        let error = match read {
            Ok(_) => return self.attempts().clear(what),
            // The connection tells why; and what was asked may be asked otherwise.
            Err(ReadError::Unavailable | ReadError::TooManySubjects | ReadError::Lagging) => return,
            Err(ReadError::Timeout) => self.explained(StreamError::Silence { subject: subject() }),
            Err(ReadError::NoResponders) => StreamError::NoDirectGet { subject: subject() },
            Err(error) => return self.tell_unread(what, stream, &Cause::of(error)),
        };
        self.tell_unread(what, stream, &Cause::of(&error));
    }

    fn tell_unread(&self, what: Attempted, stream: StreamIndex, cause: &Cause) {
        if let Some(attempts) = self.attempts().fail(what, cause, Duration::ZERO) {
            let (stream, problem) = (&self.streams[stream.0], &cause.problem);
            tracing::warn!(%stream, problem, attempts, "the stream cannot be read; trying again");
        }
    }
}

fn unreadable(error: StreamError) -> ReadError {
    match error {
        StreamError::Away => ReadError::Unavailable,
        StreamError::Disabled | StreamError::NoDirectGet { .. } => ReadError::NoResponders,
        StreamError::Silence { .. } | StreamError::Denied { .. } => ReadError::Timeout,
        StreamError::Missing => ReadError::Missing,
        error => ReadError::Refused(error.to_string()),
    }
}
