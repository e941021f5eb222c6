//! Why a message does not belong to the protocol.

/// A message that does not belong to the protocol.
#[derive(Debug, thiserror::Error)]
pub enum BadFrame {
    /// Not JSON, or not a frame.
    #[error("line {line} is no frame: {source}")]
    Json {
        /// Which line of the message, from 1.
        line: usize,
        /// The error of the parser.
        source: serde_json::Error,
    },
    /// Not protocol buffers, or not a batch.
    #[error("the message is no batch of frames: {0}")]
    Proto(#[from] prost::DecodeError),
}
