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
}
