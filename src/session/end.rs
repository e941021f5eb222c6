//! Why a session ends, what a read brings beside its frames, and the wait for the peer.

use std::{future::poll_fn, io};

use crate::{
    close::CloseReason,
    error::Refusal,
    proto::{ClientFrame, InvalidFrame},
    socket::Wire,
};

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

/// The result of one read: frames, and the end of the session behind them, if
/// any.
pub(crate) type Read = (Vec<Result<ClientFrame, InvalidFrame>>, Result<(), End>);

/// Waits for the peer to end the stream, and ignores what it still sends.
pub(crate) async fn until_gone(wire: &Wire) {
    let mut ignored = [0; 1024];
    while poll_fn(|context| wire.poll_readable(context)).await.is_ok() {
        match wire.try_read(&mut ignored) {
            Ok(0) => break,
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => break,
            _ => {}
        }
    }
}
