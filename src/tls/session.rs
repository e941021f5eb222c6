//! An established TLS session over a TCP stream, read and written without
//! waiting. It holds at most one record that the socket has not taken.

use std::{
    fmt,
    io::{self, IoSlice, Read, Write},
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

use rustls::ServerConnection;
use tokio::net::TcpStream;

use crate::tls::endpoint::Stream;

/// Bytes that are encrypted at once: the most that one record holds (RFC 8446
/// 5.1). What a slow client costs here is one such record.
const RECORD: usize = 16 * 1024;

/// A socket, and what stands between it and the bytes that are meant.
pub struct Session {
    socket: TcpStream,
    // A std lock: the reader and a writer meet here, each for one record.
    state: Mutex<State>,
}

struct State {
    connection: ServerConnection,
    /// How many of the writer's bytes are encrypted and not yet told as
    /// written, because the socket has not taken all of their record.
    taken: usize,
}

impl Session {
    /// Takes over a stream; with it what the client has sent that nobody has read.
    pub fn of(stream: Stream) -> (Self, Vec<u8>) {
        let (socket, mut connection) = stream.into_inner();
        connection.set_buffer_limit(Some(RECORD));
        let mut ahead = Vec::new();
        // Ends with "would block", or with an end that the next read meets too.
        let _ = connection.reader().read_to_end(&mut ahead);
        (Self { socket, state: Mutex::new(State { connection, taken: 0 }) }, ahead)
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
    /// `WouldBlock` when nothing is there yet; what the system says; what is no TLS.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let State { connection, .. } = &mut *self.lock();
        match connection.reader().read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            done => return done,
        }
        connection.read_tls(&mut Socket(&self.socket))?;
        let processed = connection.process_new_packets();
        // An alert, or an answer of the protocol's own. What does not leave now
        // leaves in front of whatever is written next.
        let _ = flush(connection, &self.socket);
        processed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        connection.reader().read(buffer)
    }

    /// Writes what the kernel takes at once. After `WouldBlock` some of `bytes`
    /// may be on their way: the next call has to begin with the same ones.
    ///
    /// # Errors
    /// `WouldBlock` when the socket is full, else what the system says.
    pub fn try_write(&self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        let State { connection, taken } = &mut *self.lock();
        flush(connection, &self.socket)?;
        if *taken == 0 {
            *taken = connection.writer().write_vectored(bytes)?;
            flush(connection, &self.socket)?;
        }
        Ok(mem::take(taken))
    }

    /// Says `close_notify` (RFC 8446 6.1), without which the peer could take
    /// the end of the stream for an attack.
    pub fn finish(&self) {
        let State { connection, .. } = &mut *self.lock();
        connection.send_close_notify();
        // It may be closed already, which is what is wanted.
        let _ = flush(connection, &self.socket);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn flush(connection: &mut ServerConnection, socket: &TcpStream) -> io::Result<()> {
    while connection.wants_write() {
        connection.write_tls(&mut Socket(socket))?;
    }
    Ok(())
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Session")
    }
}

/// The socket as the traits that rustls reads from and writes to.
struct Socket<'s>(&'s TcpStream);

impl Read for Socket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
