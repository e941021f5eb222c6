//! An established TLS session over a TCP stream, read and written without
//! waiting. It holds at most one record that the socket has not taken.

use std::{
    fmt,
    io::{self, IoSlice},
};

use tokio::net::TcpStream;

use crate::{
    sync::Mutex,
    tls::{records::Records, stream::TlsStream},
};

/// A socket, and the session that encrypts its bytes.
pub struct Session {
    socket: TcpStream,
    // A std lock: the reader and a writer meet here, each for one record.
    records: Mutex<Records>,
}

impl Session {
    /// Takes over a stream; with it what the client has sent that nobody has read.
    pub fn of(stream: TlsStream) -> (Self, Vec<u8>) {
        let (socket, mut records) = stream.into_parts();
        let ahead = records.take_plain();
        (Self { socket, records: Mutex::new(records) }, ahead)
    }

    /// The socket, for its readiness and its end.
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Reads what is there, from the socket at most once: who loops polls the
    /// socket in between, so that a client that sends records without content
    /// does not keep a worker. `Ok(0)` means that the peer will send no more.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there yet; the error of the system; `InvalidData` for bytes
    /// that are not TLS.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.records.lock().try_read(&self.socket, buffer)
    }

    /// Writes what the kernel takes at once. After `WouldBlock` some of `bytes`
    /// may be on their way: the next call has to begin with the same ones.
    ///
    /// # Errors
    /// `WouldBlock` when the socket is full, else what the system says.
    pub fn try_write(&self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        self.records.lock().try_write(&self.socket, bytes)
    }

    /// Says `close_notify` (RFC 8446 6.1), without which the peer could take
    /// the end of the stream for an attack.
    pub fn finish(&self) {
        self.records.lock().finish(&self.socket);
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Session")
    }
}
