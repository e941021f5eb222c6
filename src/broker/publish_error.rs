//! Why an event was not published.

/// Why an event was not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// There is no connection; the event was not kept for later.
    #[error("the broker is not connected")]
    Unavailable,
    /// The broker's own limit is lower than ours.
    #[error("the broker takes at most {max} bytes")]
    TooLarge {
        /// Its limit, bytes.
        max: usize,
    },
    /// Nobody serves the subject's stream.
    #[error("nobody serves the stream")]
    NoStream,
    /// The stream did not answer in time. It may have stored the event.
    #[error("the stream did not answer in time")]
    Unconfirmed,
    /// The stream does not take the event.
    #[error("the stream refuses: {0}")]
    Refused(String),
}
