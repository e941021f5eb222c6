//! A reader of an event stream that knows nothing but HTTP/1.1 and the HTML Standard.

use std::{collections::VecDeque, net::SocketAddr};

use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{soon, stream_message::StreamMessage};

/// A stream of bytes, with TLS or without.
pub trait Line: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Line for T {}

/// A message of an event stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EventMessage {
    pub name: String,
    pub data: String,
}

/// The response to a request, and the event stream that it may be.
pub struct EventReader {
    line: Box<dyn Line>,
    /// Read and not looked at.
    ahead: Vec<u8>,
    pub status: u16,
    pub head: String,
    /// The `id` to resume from.
    pub id: String,
    /// The time after which an `EventSource` comes back.
    pub retry: Option<u64>,
    messages: VecDeque<EventMessage>,
    frames: VecDeque<Value>,
    /// Pings that were passed over.
    pub pings: Vec<Value>,
}

impl EventReader {
    /// As an `EventSource` asks for it.
    pub async fn open(address: SocketAddr, query: &str) -> Self {
        Self::ask(address, "GET", query, &[("accept", "text/event-stream")], "").await
    }

    /// The same, going on from an `id`.
    pub async fn resume(address: SocketAddr, query: &str, id: &str) -> Self {
        let headers = [("accept", "text/event-stream"), ("last-event-id", id)];
        Self::ask(address, "GET", query, if id.is_empty() { &headers[..1] } else { &headers }, "").await
    }

    pub async fn ask(address: SocketAddr, method: &str, query: &str, headers: &[(&str, &str)], body: &str) -> Self {
        let line = soon("a connection", TcpStream::connect(address)).await.expect("a connection");
        Self::over(Box::new(line), method, query, headers, body).await
    }

    pub async fn over(
        mut line: Box<dyn Line>,
        method: &str,
        query: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Self {
        let mut request = format!("{method} /v1/events{query} HTTP/1.1\r\nHost: node.test\r\n");
        headers.iter().for_each(|(name, value)| request.push_str(&format!("{name}: {value}\r\n")));
        if !body.is_empty() {
            request.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
        }
        soon("a write", line.write_all(format!("{request}\r\n{body}").as_bytes())).await.expect("the node reads");
        let mut reader = Self {
            line,
            ahead: Vec::new(),
            status: 0,
            head: String::new(),
            id: String::new(),
            retry: None,
            messages: VecDeque::new(),
            frames: VecDeque::new(),
            pings: Vec::new(),
        };
        let end = loop {
            if let Some(end) = reader.ahead.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end;
            }
            assert!(reader.read().await, "a head");
        };
        reader.head = String::from_utf8(reader.ahead.drain(..end + 4).collect()).expect("text").to_lowercase();
        reader.status = reader.head.split(' ').nth(1).and_then(|text| text.parse().ok()).expect("a status");
        reader
    }

    /// Sends what nobody waits for.
    pub async fn say(&mut self, bytes: &[u8]) {
        soon("a write", self.line.write_all(bytes)).await.expect("the node reads");
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")))
    }

    /// False at the end. Cancel-safe.
    async fn read(&mut self) -> bool {
        soon("something to read", self.line.read_buf(&mut self.ahead)).await.unwrap_or(0) > 0
    }

    /// Takes one whole message in; false where there is none.
    fn take(&mut self) -> bool {
        let Some(StreamMessage { id, retry, name, data }) = StreamMessage::take(&mut self.ahead) else { return false };
        id.into_iter().for_each(|id| self.id = id);
        self.retry = retry.or(self.retry);
        self.messages.extend(data.map(|data| EventMessage { name, data }));
        true
    }

    /// The next message; none at the end.
    pub async fn message(&mut self) -> Option<EventMessage> {
        assert_eq!(self.status, 200, "{} {}", self.head, String::from_utf8_lossy(&self.ahead));
        loop {
            if let Some(message) = self.messages.pop_front() {
                return Some(message);
            }
            if !self.take() && !self.read().await {
                return None;
            }
        }
    }

    /// The next frame that is no ping; none at the end.
    pub async fn try_next(&mut self) -> Option<Value> {
        loop {
            match self.frames.pop_front() {
                Some(frame) if frame.get("ping").is_some() => self.pings.push(frame),
                Some(frame) => return Some(frame),
                None => {
                    let message = self.message().await?;
                    let lines = message.data.split('\n');
                    self.frames.extend(lines.map(|line| serde_json::from_str::<Value>(line).expect("a frame")));
                }
            }
        }
    }

    /// The next frame that is no ping.
    pub async fn next(&mut self) -> Value {
        self.try_next().await.expect("the stream goes on")
    }

    /// The next frame, which has to have this body; returns the body.
    pub async fn expect(&mut self, body: &str) -> Value {
        let mut frame = self.next().await;
        assert!(frame.get(body).is_some(), "expected {body}, got {frame}");
        frame[body].take()
    }

    /// Until the next checkpoint; what comes before it is still there for others.
    pub async fn ping(&mut self) -> Value {
        let before = self.pings.len();
        let mut frames = VecDeque::new();
        while self.pings.len() == before {
            match self.frames.pop_front() {
                Some(frame) if frame.get("ping").is_some() => self.pings.push(frame),
                Some(frame) => frames.push_back(frame),
                None => {
                    let message = self.message().await.expect("the stream goes on");
                    let lines = message.data.split('\n');
                    self.frames.extend(lines.map(|line| serde_json::from_str::<Value>(line).expect("a frame")));
                }
            }
        }
        frames.append(&mut self.frames);
        self.frames = frames;
        self.pings[before]["ping"].clone()
    }

    /// The data of the next events, replayed or not.
    pub async fn events(&mut self, count: usize) -> Vec<Value> {
        let mut data = Vec::new();
        while data.len() < count {
            let mut frame = self.next().await;
            if frame.get("event").is_some() {
                data.push(frame["event"]["data"].take());
            } else if let Some(replay) = frame.get_mut("replay") {
                let events = replay["events"].as_array_mut().expect("events");
                data.extend(events.iter_mut().map(|event| event["data"].take()));
            } else {
                assert!(frame.get("subscribed").is_some(), "{frame}");
            }
        }
        data
    }

    /// All frames until the end of the stream, without pings.
    pub async fn rest(&mut self) -> Vec<Value> {
        let mut rest = Vec::new();
        while let Some(frame) = self.try_next().await {
            rest.push(frame);
        }
        rest
    }

    /// The body of a response that is no event stream.
    pub async fn json(&mut self) -> Value {
        let length: usize = self.header("content-length").and_then(|text| text.parse().ok()).expect("a length");
        while self.ahead.len() < length {
            assert!(self.read().await, "a body");
        }
        serde_json::from_slice(&self.ahead[..length]).expect("JSON")
    }
}
