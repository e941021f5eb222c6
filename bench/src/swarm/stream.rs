//! The byte stream of one client: TCP, or TLS over it.

use std::{
    fmt,
    io::{self, Read, Write},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use rustix::{
    io::Errno,
    net::{RecvFlags, SendFlags},
};
use rustls::{ClientConfig, ClientConnection, pki_types::ServerName};

use crate::{
    certificate::DOMAIN,
    failure::{Because as _, Outcome},
};

/// A non-blocking stream.
#[derive(Debug)]
pub(super) enum Stream {
    /// TCP.
    Plain(OwnedFd),
    /// TLS over it.
    Tls(Box<TlsStream>),
}

/// A socket and the TLS session over it.
pub(super) struct TlsStream {
    socket: OwnedFd,
    session: ClientConnection,
}

impl Stream {
    /// The stream of the client with number `at` over a socket that need not be connected yet. With `tls` it begins with
    /// a handshake, which is made by what is sent and read.
    pub(super) fn new(socket: OwnedFd, tls: Option<&Arc<ClientConfig>>, at: usize) -> Outcome<Self> {
        let Some(config) = tls else { return Ok(Self::Plain(socket)) };
        let cannot = || "cannot begin a TLS session".to_owned();
        let name = ServerName::try_from(format!("c{at}.{DOMAIN}")).because(cannot)?;
        let session = ClientConnection::new(config.clone(), name).because(cannot)?;
        Ok(Self::Tls(Box::new(TlsStream { socket, session })))
    }

    /// Reads what is there; 0 at the end of the stream. The whole of what has been decrypted fits into a buffer of
    /// 16 KiB or more: nothing is left for which no event of the socket would come.
    ///
    /// # Errors
    /// `AGAIN` when there is nothing; what the system says; `PROTO` where the server breaks TLS.
    pub(super) fn recv(&mut self, buffer: &mut [u8]) -> Result<usize, Errno> {
        match self {
            Self::Plain(socket) => rustix::net::recv(socket, buffer, RecvFlags::empty()).map(|(length, _)| length),
            Self::Tls(stream) => stream.recv(buffer),
        }
    }

    /// Sends `bytes`, which are few: at the end of a TLS handshake where that is still to be made.
    ///
    /// # Errors
    /// `AGAIN` when the kernel does not take all of them; what the system says.
    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        match self {
            Self::Plain(socket) => match rustix::net::send(socket, bytes, SendFlags::NOSIGNAL)? {
                length if length == bytes.len() => Ok(()),
                _ => Err(Errno::AGAIN),
            },
            Self::Tls(stream) => {
                stream.session.writer().write_all(bytes).map_err(|error| errno(&error))?;
                stream.flush()
            }
        }
    }
}

impl TlsStream {
    fn recv(&mut self, buffer: &mut [u8]) -> Result<usize, Errno> {
        loop {
            match self.session.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // A server that ends without `close_notify` ends all the same.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                read => return read.map_err(|error| errno(&error)),
            }
            let read = self.session.read_tls(&mut Socket(&self.socket)).map_err(|error| errno(&error))?;
            self.session.process_new_packets().map_err(|_| Errno::PROTO)?;
            if read == 0 {
                return Ok(0);
            }
            self.flush()?;
        }
    }

    fn flush(&mut self) -> Result<(), Errno> {
        while self.session.wants_write() {
            self.session.write_tls(&mut Socket(&self.socket)).map_err(|error| errno(&error))?;
        }
        Ok(())
    }
}

/// The system's error behind one of the standard library.
fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::PROTO)
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Plain(socket) => socket.as_fd(),
            Self::Tls(stream) => stream.socket.as_fd(),
        }
    }
}

impl fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream").field("socket", &self.socket).finish_non_exhaustive()
    }
}

/// The socket as the traits that rustls reads from and writes to.
struct Socket<'s>(&'s OwnedFd);

impl Read for Socket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (length, _) = rustix::net::recv(self.0, buffer, RecvFlags::empty())?;
        Ok(length)
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::net::send(self.0, bytes, SendFlags::NOSIGNAL)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
