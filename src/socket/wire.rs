//! The TCP stream of one client, written by whoever has something to send and
//! read by one task.

use std::{
    io::{self, IoSlice},
    net::Shutdown,
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use socket2::SockRef;
use tokio::{net::TcpStream, time::Instant};

use crate::socket::connection_id::{ConnectionId, Number};

/// Where the clock of `last_read` begins; set by the first connection.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// A non-blocking byte stream that many may write to, each holding the lock of
/// the outbox around it.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    number: Number,
    /// Milliseconds since [`START`], wrapping after 49 days.
    last_read: AtomicU32,
}

impl Wire {
    /// Takes a connected stream.
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, number: Number::next(), last_read: AtomicU32::new(now()) }
    }

    /// What the connection is called.
    pub fn id(&self) -> ConnectionId {
        self.number.id()
    }

    /// Reads what is there. `Ok(0)` means that the peer will send no more.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there, else what the system says.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.try_read(buffer)?;
        self.last_read.store(now(), Ordering::Relaxed);
        Ok(read)
    }

    /// Writes what the kernel takes at once.
    ///
    /// # Errors
    /// `WouldBlock` when it takes nothing, else what the system says.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.try_write(bytes)
    }

    /// Writes what the kernel takes at once of several buffers.
    ///
    /// # Errors
    /// As [`Self::try_write`].
    pub fn try_write_vectored(&self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        self.stream.try_write_vectored(bytes)
    }

    /// Ready when there may be something to read. Polled by one task only.
    pub fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_read_ready(context)
    }

    /// Resolves when the kernel may take more.
    ///
    /// # Errors
    /// When the stream is broken.
    pub async fn writable(&self) -> io::Result<()> {
        self.stream.writable().await
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
        // It may be closed already, which is what is wanted.
        let _ = SockRef::from(&self.stream).shutdown(Shutdown::Write);
    }

    /// Ends both directions; the reading task sees the end of the stream.
    pub fn shut_down(&self) {
        let _ = SockRef::from(&self.stream).shutdown(Shutdown::Both);
    }
}

/// Truncated on purpose: only differences count.
fn now() -> u32 {
    START.elapsed().as_millis() as u32
}
