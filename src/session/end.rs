//! Why a session ends, and what a read brings beside its frames.

use crate::{close::CloseReason, error::Refusal, proto::ClientFrame};

/// Why a session ends.
#[derive(Debug)]
pub(crate) enum End {
    /// We close it.
    Close(CloseReason),
    /// We refuse what it asked for, and close it.
    Refuse(u64, Refusal),
    /// The client closed it, with this code.
    Peer(Option<u16>),
    /// The stream is broken.
    Lost,
}

impl From<CloseReason> for End {
    fn from(reason: CloseReason) -> Self {
        Self::Close(reason)
    }
}

/// What one read brought: frames, and what ends the session behind them.
pub(crate) type Read = (Vec<ClientFrame>, Result<(), End>);
