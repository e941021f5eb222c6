//! Takes the bare stream of an HTTP connection over, without an upgrade.

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use crate::{
    socket::{strict::Strict, wire::Wire},
    tls,
};

/// A stream that HTTP is spoken on, and that can be written to without it.
pub trait IntoWire: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// The stream as a wire. What the client has sent and nobody has read is dropped.
    fn into_wire(self) -> Wire;
}

impl IntoWire for TcpStream {
    fn into_wire(self) -> Wire {
        Wire::new(self)
    }
}

impl IntoWire for tls::TlsStream {
    fn into_wire(self) -> Wire {
        Wire::encrypted(self).0
    }
}

impl<S: IntoWire> IntoWire for Strict<S> {
    fn into_wire(self) -> Wire {
        self.into_inner().into_wire()
    }
}
