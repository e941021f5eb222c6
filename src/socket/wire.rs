//! The stream of one client, TCP or TLS over it, written by every task that has
//! something to send, and read by one task.

use std::{
    io::{self, IoSlice},
    net::Shutdown,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use rustix::net::SendFlags;
use socket2::SockRef;
use tokio::{net::TcpStream, time::Instant};

#[cfg(feature = "model")]
use crate::socket::pipe::Pipe;
use crate::{
    socket::{
        collector::Collector,
        connection_id::{ConnectionId, Number},
    },
    tls::{self, Session},
};

/// Where the clock of `last_read` begins; set by the first connection.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// A non-blocking byte stream that many may write to, each holding the lock of
/// the outbox around it.
#[derive(Debug)]
pub struct Wire {
    line: Line,
    number: Number,
    /// Milliseconds since [`START`], wrapping after 49 days.
    last_read: AtomicU32,
}

/// The transport of the bytes.
#[derive(Debug)]
enum Line {
    Plain(TcpStream),
    /// On the heap: most nodes have their TLS in front, and pay nothing for ours.
    Secured(Box<Session>),
    /// No connection: an answer that is being made.
    Memory(Arc<Collector>),
    #[cfg(feature = "model")]
    Model(Arc<Pipe>),
}

impl Wire {
    /// Takes a connected stream.
    pub fn new(stream: TcpStream) -> Self {
        Self::over(Line::Plain(stream))
    }

    /// Takes a stream after its TLS handshake; with it what the client has sent
    /// that nobody has read.
    pub fn encrypted(stream: tls::TlsStream) -> (Self, Bytes) {
        let (session, ahead) = Session::of(stream);
        (Self::over(Line::Secured(Box::new(session))), ahead.into())
    }

    /// Gathers what is written, for an answer that ends. Nothing is ever read from it.
    pub fn memory(collector: Arc<Collector>) -> Self {
        Self::over(Line::Memory(collector))
    }

    /// Takes the socket of a model.
    #[cfg(feature = "model")]
    pub fn model(pipe: Arc<Pipe>) -> Self {
        Self::over(Line::Model(pipe))
    }

    fn over(line: Line) -> Self {
        Self { line, number: Number::next(), last_read: AtomicU32::new(now()) }
    }

    /// The name of the connection.
    pub fn id(&self) -> ConnectionId {
        self.number.id()
    }

    /// Reads what is there. `Ok(0)` means that the peer will send no more.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there, else what the system says.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match &self.line {
            Line::Plain(socket) => socket.try_read(buffer)?,
            Line::Secured(session) => session.try_read(buffer)?,
            Line::Memory(_) => return Err(io::ErrorKind::WouldBlock.into()),
            #[cfg(feature = "model")]
            Line::Model(_) => return Err(io::ErrorKind::WouldBlock.into()),
        };
        self.last_read.store(now(), Ordering::Relaxed);
        Ok(read)
    }

    /// Writes as many bytes as the kernel takes at once. The readiness that the runtime
    /// keeps for the socket is not asked: with many clients that is a cache miss each.
    /// The next call has to begin with the bytes that were not taken: a part of a TLS
    /// record may be on its way. After `WouldBlock` [`Self::writable`] may
    /// resolve once too early.
    ///
    /// # Errors
    /// `WouldBlock` when the kernel takes nothing, else the error of the system.
    pub fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        match &self.line {
            Line::Plain(socket) => Ok(rustix::net::send(socket, bytes, SendFlags::NOSIGNAL)?),
            Line::Secured(session) => write_records(session, bytes),
            Line::Memory(collector) => collector.try_write(&[IoSlice::new(bytes)]),
            #[cfg(feature = "model")]
            Line::Model(pipe) => pipe.try_write(&[IoSlice::new(bytes)]),
        }
    }

    /// Writes what the kernel takes at once of several buffers.
    ///
    /// # Errors
    /// As [`Self::try_send`].
    pub fn try_write_vectored(&self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        match &self.line {
            Line::Plain(socket) => socket.try_write_vectored(bytes),
            // One record at most; who has more calls again.
            Line::Secured(session) => session.try_write(bytes),
            Line::Memory(collector) => collector.try_write(bytes),
            #[cfg(feature = "model")]
            Line::Model(pipe) => pipe.try_write(bytes),
        }
    }

    /// Ready when there may be something to read. Polled by one task only.
    pub fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = match &self.line {
            Line::Plain(socket) => socket,
            Line::Secured(session) => session.socket(),
            Line::Memory(_) => return Poll::Pending,
            #[cfg(feature = "model")]
            Line::Model(_) => return Poll::Pending,
        };
        socket.poll_read_ready(context)
    }

    /// Resolves when the kernel may take more.
    ///
    /// # Errors
    /// When the stream is broken.
    pub async fn writable(&self) -> io::Result<()> {
        let socket = match &self.line {
            Line::Plain(socket) => socket,
            Line::Secured(session) => session.socket(),
            Line::Memory(collector) => {
                collector.finished().await;
                return Ok(());
            }
            #[cfg(feature = "model")]
            Line::Model(pipe) => return pipe.writable().await,
        };
        socket.writable().await
    }

    /// Whether what is written becomes an answer, for which there is no connection.
    pub fn is_memory(&self) -> bool {
        matches!(self.line, Line::Memory(_))
    }

    /// Has the kernel end the connection when the peer has acknowledged nothing for
    /// so long of what was sent, or has let nothing be sent; none: when the kernel
    /// gives up by itself, after a quarter of an hour.
    pub fn set_acknowledge_time(&self, time: Option<Duration>) {
        let socket = match &self.line {
            Line::Plain(socket) => socket,
            Line::Secured(session) => session.socket(),
            Line::Memory(_) => return,
            #[cfg(feature = "model")]
            Line::Model(_) => return,
        };
        // Where the system has no such option the peer is found out later.
        let _ = SockRef::from(socket).set_tcp_user_timeout(time);
    }

    /// How long ago the peer was last heard.
    pub fn silence(&self) -> Duration {
        Self::since(self.last_read.load(Ordering::Relaxed))
    }

    /// The moment in four bytes, for [`Self::since`].
    pub fn moment() -> u32 {
        now()
    }

    /// How long ago a moment was, of the last 49 days.
    pub fn since(moment: u32) -> Duration {
        Duration::from_millis(u64::from(now().wrapping_sub(moment)))
    }

    /// Tells the peer that nothing more comes; it can still be heard.
    pub fn finish(&self) {
        if let Line::Secured(session) = &self.line {
            session.finish();
        }
        self.shut(Shutdown::Write);
    }

    /// Ends both directions; the reading task sees the end of the stream.
    pub fn shut_down(&self) {
        self.shut(Shutdown::Both);
    }

    fn shut(&self, how: Shutdown) {
        let socket = match &self.line {
            Line::Plain(socket) => socket,
            Line::Secured(session) => session.socket(),
            Line::Memory(collector) => return collector.finish(),
            #[cfg(feature = "model")]
            Line::Model(pipe) => return pipe.finish(),
        };
        // It may be closed already, which is what is wanted.
        let _ = SockRef::from(socket).shutdown(how);
    }
}

/// Writes one record after the other until the socket is full. Not inlined: the plain socket's way saves fewer
/// registers without it.
#[inline(never)]
fn write_records(session: &Session, bytes: &[u8]) -> io::Result<usize> {
    let mut written = 0;
    while written < bytes.len() {
        match session.try_write(&[IoSlice::new(&bytes[written..])]) {
            Ok(more) => written += more,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && written > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}

/// Truncated on purpose: only differences count.
fn now() -> u32 {
    START.elapsed().as_millis() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With the outbox around it, it has to fit into 96 bytes; one more would
    /// cost every connection 16.
    #[test]
    fn tls_costs_a_plain_wire_no_memory() {
        assert!(size_of::<Wire>() <= size_of::<TcpStream>() + 8, "{} bytes", size_of::<Wire>());
    }
}
