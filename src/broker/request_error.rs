//! Why a service's answer cannot be had.

/// Why a service's answer cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// There is no connection; nobody was asked.
    #[error("the broker is not connected")]
    Unavailable,
    /// So much waits to leave already; nobody was asked.
    #[error("too much waits to leave for the broker")]
    Busy,
    /// The broker's own limit is lower than ours; nobody was asked.
    #[error("the broker takes at most {max} bytes")]
    TooLarge {
        /// Its limit, bytes.
        max: usize,
    },
    /// No service listens there.
    #[error("no service listens there")]
    NoResponders,
    /// It did not answer in time. It may have done what it was asked.
    #[error("no answer came in time")]
    Timeout,
    /// The connection was lost before the answer. It may have done what it was
    /// asked.
    #[error("the connection was lost before the answer came")]
    Lost,
    /// The answer is larger than what clients may be sent.
    #[error("the answer is too large")]
    AnswerTooLarge,
    /// The answer claims to be an envelope and cannot be read as one.
    #[error("the answer is no envelope")]
    Unreadable,
    /// The service answered with an error (NATS ADR-32).
    #[error("the service answers {code}: {text}")]
    Service {
        /// The service's name for the error.
        code: String,
        /// The service's text.
        text: String,
    },
}
