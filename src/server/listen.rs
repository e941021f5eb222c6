//! A listening socket. The options of every client's socket are set here once:
//! on Linux an accepted socket inherits them, so they cost nothing per
//! connection.
//!
//! `TCP_USER_TIMEOUT` is not among them. It counts the time that a client's window
//! is shut as well (tcp(7)), and adds up several such times if what waits is
//! larger than the window; then the kernel ends the connection without a word
//! to the client. The node decides itself which client is dead and which too
//! slow. Only event streams have it, whose readers answer nothing, and only while
//! nothing waits for them (`session/keep_alive.rs`).

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
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use socket2::SockRef;
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn the_kernel_does_not_end_a_client_that_reads_nothing_for_a_while() {
        let listener =
            listen("127.0.0.1:0".parse().expect("an address"), "--listen", &Limits::default()).expect("a port");
        let _client = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("a connection");
        let (socket, _) = listener.accept().await.expect("a connection");
        assert_eq!(SockRef::from(&socket).tcp_user_timeout().expect("an option"), None);
    }
}
