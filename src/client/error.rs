//! Why a client of a node gives up.

use std::{io, path::PathBuf};

use crate::{codec::BadFrame, socket::SocketError};

/// Why a client gives up.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The text is not the address of a node.
    #[error(
        "`{0}` is no address of a node; write it as ws://host:8080, wss://host or, with server.path_prefix, wss://host/notifier"
    )]
    Address(String),
    /// The host's name is not known.
    #[error("cannot find {host}: {source}")]
    Resolve {
        /// The host.
        host: String,
        /// The system's error.
        source: io::Error,
    },
    /// The file with the token cannot be read.
    #[error("cannot read the token from {}: {source}", path.display())]
    Token {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The connection failed or was closed.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The node sent bytes that are not a frame.
    #[error("the node sent what is no frame: {0}")]
    Frame(#[from] BadFrame),
    /// The node has ended an event stream, or its connection broke.
    #[error("the event stream ended: {reason}")]
    StreamEnded {
        /// The name of the close code, or the refusal.
        reason: String,
        /// Whether to come back.
        reconnect: bool,
    },
    /// Somebody answered with something else than an event stream.
    #[error("that is no event stream: {0}")]
    NoEventStream(String),
    /// The node refused.
    #[error("refused: {code}: {message}")]
    Refused {
        /// The error code.
        code: String,
        /// The node's message.
        message: String,
    },
}

impl ClientError {
    /// Whether the client should connect again: the range of the code decides, as for every client.
    pub fn reconnect(&self) -> bool {
        match self {
            Self::Socket(SocketError::Closed { code, .. }) => (4000..4500).contains(code),
            Self::StreamEnded { reconnect, .. } => *reconnect,
            _ => false,
        }
    }
}
