//! A listening socket. What every client's socket needs is set here once: on
//! Linux an accepted socket inherits it, so it costs nothing per connection.

use std::{io, net::SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use crate::config::Limits;

/// Connections that may wait to be accepted; the kernel lowers it to
/// `net.core.somaxconn`. With too few, a reconnect storm loses SYNs, and each
/// loss costs its client a second.
const BACKLOG: i32 = 65_535;

/// An address on which the node cannot listen.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}; choose another address with {flag}")]
pub struct ListenError {
    address: SocketAddr,
    flag: &'static str,
    source: io::Error,
}

/// Listens on `address`, which `flag` sets.
///
/// # Errors
/// When the address is taken or not this machine's.
pub fn listen(address: SocketAddr, flag: &'static str, limits: &Limits) -> Result<TcpListener, ListenError> {
    open(address, limits).map_err(|source| ListenError { address, flag, source })
}

fn open(address: SocketAddr, limits: &Limits) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    // A frame must not wait for the acknowledgement of the one before it.
    socket.set_tcp_nodelay(true)?;
    socket.set_send_buffer_size(limits.send_buffer.bytes())?;
    socket.set_tcp_user_timeout(Some(limits.unacknowledged_time.duration()))?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}
