//! A TCP connection that sends what it is told to, right or wrong, and a
//! neighbour that must not notice.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

use crate::world::{TestNode, Ws, soon};

/// What every upgrade request needs. The key is that of RFC 6455 1.3.
pub const UPGRADE: [&str; 6] = [
    "GET /v1/ws HTTP/1.1",
    "Host: node.test",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

/// A request head of these lines.
pub fn head(lines: &[&str]) -> Vec<u8> {
    let mut head = lines.join("\r\n");
    head.push_str("\r\n\r\n");
    head.into_bytes()
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    /// The one value of a header that may not stand twice.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let value = values.next();
        assert_eq!(values.next(), None, "{name} stands twice: {self:?}");
        value
    }
}

/// A WebSocket frame of the node's.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    pub opcode: u8,
    pub payload: Vec<u8>,
}

impl Frame {
    pub const CLOSE: u8 = 8;
    pub const PING: u8 = 9;
    pub const PONG: u8 = 10;

    /// The frames of the protocol in a text message.
    pub fn lines(&self) -> Vec<Value> {
        assert_eq!(self.opcode, 1, "{self:?}");
        let lines = self.payload.split(|byte| *byte == b'\n');
        lines.map(|line| serde_json::from_slice(line).expect("a frame per line")).collect()
    }
}

pub struct Raw {
    stream: TcpStream,
    /// Read and not looked at.
    ahead: Vec<u8>,
}

impl Raw {
    pub async fn open(address: SocketAddr) -> Self {
        let stream = soon("a connection", TcpStream::connect(address)).await.expect("a connection");
        // Each write is to arrive as it is.
        stream.set_nodelay(true).expect("a TCP stream");
        Self { stream, ahead: Vec::new() }
    }

    /// From one of this machine's addresses, `127.0.0.0/8`.
    pub async fn open_from(source: Ipv4Addr, address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((source, 0).into()).expect("an address of this machine");
        let stream = soon("a connection", socket.connect(address)).await.expect("a connection");
        stream.set_nodelay(true).expect("a TCP stream");
        Self { stream, ahead: Vec::new() }
    }

    /// Its kernel takes little that nobody reads.
    pub async fn open_narrow(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4 * 1024).expect("a size");
        let stream = soon("a connection", socket.connect(address)).await.expect("a connection");
        Self { stream, ahead: Vec::new() }
    }

    /// The same from one of this machine's addresses.
    pub async fn open_narrow_from(source: Ipv4Addr, address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4 * 1024).expect("a size");
        socket.bind((source, 0).into()).expect("an address of this machine");
        let stream = soon("a connection", socket.connect(address)).await.expect("a connection");
        Self { stream, ahead: Vec::new() }
    }

    /// What the kernel takes at once; the number of bytes.
    pub fn try_send(&mut self, bytes: &[u8]) -> usize {
        self.stream.try_write(bytes).unwrap_or(0)
    }

    /// Open and upgraded; `connect` not yet sent.
    pub async fn upgraded(address: SocketAddr, subprotocol: &str) -> Self {
        Self::open(address).await.upgrade(subprotocol).await
    }

    /// Upgrades; `connect` is not yet sent.
    pub async fn upgrade(self, subprotocol: &str) -> Self {
        let mut raw = self;
        let offer = format!("Sec-WebSocket-Protocol: {subprotocol}");
        let lines: Vec<&str> = UPGRADE.into_iter().chain([offer.as_str()]).collect();
        raw.send(&head(&lines)).await.expect("the node reads");
        assert_eq!(raw.answer().await.status, 101);
        raw
    }

    /// Fails when the node has ended the connection.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        soon("a write", self.stream.write_all(bytes)).await
    }

    /// Takes at most so many bytes, once there are some; false at the end of the stream.
    pub async fn sip(&mut self, most: usize) -> bool {
        self.stream.read(&mut vec![0; most]).await.is_ok_and(|taken| taken > 0)
    }

    /// Ends our direction only.
    pub async fn finish(&mut self) {
        self.stream.shutdown().await.expect("an open connection");
    }

    /// False at the end of the stream. Cancel-safe.
    async fn read(&mut self) -> bool {
        // A reset is an end, too: what counts is what came before.
        soon("something to read", self.stream.read_buf(&mut self.ahead)).await.unwrap_or(0) > 0
    }

    /// Waits for the end; returns what came before.
    pub async fn rest(mut self) -> Vec<u8> {
        while self.read().await {}
        self.ahead
    }

    pub async fn answer(&mut self) -> Answer {
        self.try_answer().await.expect("an answer")
    }

    /// None when the connection ends without one.
    pub async fn try_answer(&mut self) -> Option<Answer> {
        let length = loop {
            match self.ahead.windows(4).position(|four| four == b"\r\n\r\n") {
                Some(length) => break length + 4,
                None if self.read().await => {}
                None => return None,
            }
        };
        let head: Vec<u8> = self.ahead.drain(..length).collect();
        let head = String::from_utf8(head).expect("a head is text");
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().expect("a status line").strip_prefix("HTTP/1.").expect("HTTP");
        let status = status[2..5].parse().expect("a status");
        let header = |line: &str| {
            let (name, value) = line.split_once(':').expect("a header");
            (name.to_ascii_lowercase(), value.trim().to_owned())
        };
        let mut answer = Answer { status, headers: lines.map(header).collect(), body: String::new() };
        let length = answer.header("content-length").map_or(0, |length| length.parse().expect("a length"));
        while self.ahead.len() < length {
            assert!(self.read().await, "the body is cut off: {answer:?}");
        }
        answer.body = String::from_utf8(self.ahead.drain(..length).collect()).expect("a body is text");
        Some(answer)
    }

    /// The next frame that is no heartbeat; none at the end of the stream.
    /// Cancel-safe.
    pub async fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some((opcode, start, end)) = self.frame_ahead() {
                let mut payload: Vec<u8> = self.ahead.drain(..end).collect();
                payload.drain(..start);
                if opcode != Frame::PING && !payload.starts_with(b"{\"ping\":") {
                    return Some(Frame { opcode, payload });
                }
                continue;
            }
            if !self.read().await {
                assert!(self.ahead.is_empty(), "the stream ends inside a frame");
                return None;
            }
        }
    }

    fn frame_ahead(&self) -> Option<(u8, usize, usize)> {
        let bytes = &self.ahead;
        let (first, second) = (*bytes.first()?, *bytes.get(1)?);
        assert_eq!((first & 0xf0, second & 0x80), (0x80, 0), "a node sends whole, plain, unmasked frames");
        let (start, length) = match second {
            126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
            127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize),
            short => (2, usize::from(short)),
        };
        (bytes.len() >= start + length).then_some((first & 0x0f, start, start + length))
    }
}

/// A client of the same node, to which nothing must happen.
pub struct Neighbour {
    client: Ws,
    published: u64,
}

impl Neighbour {
    pub const SUBJECT: &str = "neighbour";

    pub async fn of(node: &TestNode) -> Self {
        let mut client = node.client().await;
        client.subscribe(Self::SUBJECT).await;
        Self { client, published: 0 }
    }

    /// Gets every event, in order and once.
    pub async fn is_served_by(&mut self, node: &TestNode) {
        self.published += 1;
        node.publish(Self::SUBJECT, self.published.to_string()).await;
        assert_eq!(self.client.event().await, (Self::SUBJECT.to_owned(), json!(self.published)));
    }

    /// Answers the node's pings, for ever.
    pub async fn listens(&mut self) {
        loop {
            self.client.ping().await;
        }
    }

    /// Waits for what somebody else published to it.
    pub async fn hears(&mut self, data: Value) {
        assert_eq!(self.client.event().await, (Self::SUBJECT.to_owned(), data));
    }
}
