//! A WebSocket whose receiving can be given up and taken up again at any byte, and whose kernel buffer can be small.

use std::{fmt, net::SocketAddr, time::Duration};

use notifier::{
    codec::Encoding,
    framing::MessageKind,
    proto::{ClientFrame, ServerFrame},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

use crate::frame::{self, BINARY, TEXT};

/// Opcode of a Close.
const CLOSE: u8 = 8;

/// For the answer to a Close.
const FAREWELL: Duration = Duration::from_secs(5);

/// Bytes that the kernel keeps for a client that is to be slow.
const NARROW: u32 = 4096;

/// How a connection ends.
#[derive(Debug)]
pub(super) enum End {
    /// The client has left.
    Left,
    /// The node has said so.
    Closed { code: u16, reason: String },
    /// Without a word.
    Lost(String),
    /// Nothing has come for too long.
    Silent,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Left => f.write_str("left"),
            Self::Closed { code, reason } => write!(f, "closed with {code} {reason}"),
            Self::Lost(how) => f.write_str(how),
            Self::Silent => f.write_str("silent"),
        }
    }
}

#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    encoding: Encoding,
    heard: Vec<u8>,
    /// Where in `heard` to go on.
    at: usize,
}

impl Socket {
    /// Connects and upgrades.
    pub(super) async fn open(address: SocketAddr, encoding: Encoding, narrow: bool) -> Result<Self, End> {
        let socket = TcpSocket::new_v4().map_err(lost)?;
        if narrow {
            socket.set_recv_buffer_size(NARROW).map_err(lost)?;
        }
        let stream = socket.connect(address).await.map_err(lost)?;
        stream.set_nodelay(true).map_err(lost)?;
        let mut socket = Self { stream, encoding, heard: Vec::new(), at: 0 };
        socket.write(&frame::upgrade("/v1/ws", Some(encoding.subprotocol()), None)).await?;
        loop {
            socket.read().await?;
            if let Some(end) = memchr::memmem::find(&socket.heard, b"\r\n\r\n") {
                if !socket.heard.starts_with(b"HTTP/1.1 101") {
                    let answer = String::from_utf8_lossy(&socket.heard).replace("\r\n", " ");
                    return Err(End::Lost(format!("the upgrade is refused: {answer}")));
                }
                socket.at = end + 4;
                return Ok(socket);
            }
        }
    }

    /// Sends these frames as one message; nothing if there are none.
    pub(super) async fn send(&mut self, frames: &[ClientFrame]) -> Result<(), End> {
        if frames.is_empty() {
            return Ok(());
        }
        let mut message = Vec::new();
        frames.iter().for_each(|frame| self.encoding.write_client(frame, &mut message));
        let opcode = match self.encoding.kind() {
            MessageKind::Text => TEXT,
            MessageKind::Binary => BINARY,
        };
        self.write(&frame::from_client(opcode, &message)).await
    }

    /// The frames of the next message. WebSocket Pings are not answered; those of the protocol are, by whoever reads.
    pub(super) async fn receive(&mut self) -> Result<Vec<ServerFrame>, End> {
        loop {
            while let Some(frame) = frame::first(&self.heard[self.at..]) {
                self.at += frame.length;
                match (frame.opcode, frame.payload) {
                    (TEXT | BINARY, message) => {
                        return self
                            .encoding
                            .read_server(message)
                            .map_err(|bad| End::Lost(format!("no frames: {bad}")));
                    }
                    (CLOSE, [high, low, reason @ ..]) => {
                        let reason = String::from_utf8_lossy(reason).into_owned();
                        return Err(End::Closed { code: u16::from_be_bytes([*high, *low]), reason });
                    }
                    _ => {}
                }
            }
            self.heard.drain(..self.at);
            self.at = 0;
            self.read().await?;
        }
    }

    /// Closes as the standard wants it, and waits until the node has done so too.
    pub(super) async fn leave(mut self) -> Result<(), End> {
        self.write(&frame::from_client(CLOSE, &1000u16.to_be_bytes())).await?;
        let farewell = async {
            loop {
                match self.receive().await {
                    Ok(_) => {}
                    Err(End::Closed { code: 1000, .. }) => return Ok(()),
                    Err(end) => return Err(end),
                }
            }
        };
        let silent = || Err(End::Lost("a Close is not answered".into()));
        tokio::time::timeout(FAREWELL, farewell).await.unwrap_or_else(|_| silent())
    }

    /// Is gone, with a reset.
    pub(super) fn cut(self) {
        // If that fails it ends in the usual way.
        let _ = rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO));
    }

    async fn read(&mut self) -> Result<(), End> {
        match self.stream.read_buf(&mut self.heard).await {
            Ok(0) => Err(End::Lost("ended without a Close".into())),
            Ok(_) => Ok(()),
            Err(error) => Err(lost(error)),
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), End> {
        self.stream.write_all(bytes).await.map_err(lost)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err hands over")]
fn lost(error: std::io::Error) -> End {
    End::Lost(error.to_string())
}
