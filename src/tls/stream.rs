//! A TCP stream with TLS over it, for as long as HTTP is spoken on it.

use std::{
    future::poll_fn,
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::tls::records::{Records, Socket};

/// A TCP stream after its handshake.
#[derive(Debug)]
pub struct TlsStream {
    socket: TcpStream,
    records: Records,
}

impl Socket for TcpStream {
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        TcpStream::try_read(self, buffer)
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        TcpStream::try_write(self, bytes)
    }
}

impl TlsStream {
    /// Makes the handshake.
    ///
    /// # Errors
    /// When the client gives up, or breaks TLS.
    pub(crate) async fn accept(socket: TcpStream, config: Arc<ServerConfig>) -> io::Result<Self> {
        let records = Records::new(config).map_err(io::Error::other)?;
        let mut stream = Self { socket, records };
        while stream.records.is_handshaking() {
            stream.socket.readable().await?;
            match stream.records.receive(&stream.socket) {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
            poll_fn(|context| stream.poll_sent(context)).await?;
        }
        Ok(stream)
    }

    /// Whether the peer has shown a certificate that its listener's authorities vouch for.
    pub fn has_certificate(&self) -> bool {
        self.records.has_certificate()
    }

    /// The socket and its session.
    pub(crate) fn into_parts(self) -> (TcpStream, Records) {
        (self.socket, self.records)
    }

    /// Ready when all that is encrypted has been sent.
    fn poll_sent(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match self.records.flush(&self.socket) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                flushed => return Poll::Ready(flushed),
            }
            ready!(self.socket.poll_write_ready(context))?;
        }
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { socket, records } = &mut *self;
        loop {
            match records.try_read(socket, buffer.initialize_unfilled()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read.map(|read| buffer.advance(read))),
            }
            ready!(socket.poll_read_ready(context))?;
        }
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Self { socket, records } = &mut *self;
        loop {
            match records.try_write(socket, &[IoSlice::new(bytes)]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
            // The record has begun, or waits whole: a flush sends the rest of it.
            if let Some(written) = records.take_written() {
                return Poll::Ready(Ok(written));
            }
            ready!(socket.poll_write_ready(context))?;
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_sent(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { socket, records } = &mut *self;
        records.finish(socket);
        ready!(self.poll_sent(context))?;
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
