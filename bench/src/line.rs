//! A blocking connection to nats-server: stores events, and reads them back in the barest way there is.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use crate::{
    failure::{Because as _, Failure, Outcome},
    marker::{self, Marker, Scanner},
    nats::{self, Command},
};

/// Where answers come.
const INBOX: &str = "_INBOX.bench";

/// Events between two acknowledgements: JetStream drops what it cannot queue, and queues 10,000.
const CHUNK: usize = 2_000;

/// Events of one answer of Direct Get, as a node asks for them.
const BATCH: u64 = 1_000;

/// How long nats-server may say nothing.
const SILENCE: Duration = Duration::from_secs(20);

/// The connection.
#[derive(Debug)]
pub struct Line {
    socket: TcpStream,
    buffer: Vec<u8>,
    heard: Vec<u8>,
    /// Where in `heard` to go on.
    at: usize,
    /// Events stored: the sequence of the last one, where nobody else publishes.
    pub stored: u64,
}

impl Line {
    /// Connects to the nats-server at `address`.
    pub fn connect(address: SocketAddr) -> Outcome<Self> {
        let cannot = || format!("cannot connect to the nats-server at {address}");
        let mut socket = TcpStream::connect(address).because(cannot)?;
        socket.set_nodelay(true).because(cannot)?;
        socket.set_read_timeout(Some(SILENCE)).because(cannot)?;
        let hello =
            format!("CONNECT {{\"verbose\":false,\"headers\":true,\"no_responders\":true}}\r\nSUB {INBOX} 1\r\n");
        socket.write_all(hello.as_bytes()).because(cannot)?;
        Ok(Self { socket, buffer: vec![0; 256 * 1024], heard: Vec::new(), at: 0, stored: 0 })
    }

    /// Stores events of 128 bytes: subjects, and the number that each carries. Returns when all are stored.
    pub fn store(&mut self, events: impl Iterator<Item = (String, u64)>) -> Outcome<()> {
        let mut events = events.peekable();
        let (mut out, mut payload) = (Vec::new(), Vec::new());
        while events.peek().is_some() {
            out.clear();
            for place in 0..CHUNK {
                let Some((subject, sequence)) = events.next() else { break };
                self.stored += 1;
                payload.clear();
                marker::write_payload(&mut payload, Marker { sequence, time: 0 }, 128);
                // What is published on one connection is stored in order, so the last one answers for all.
                let last = place + 1 == CHUNK || events.peek().is_none();
                let reply = if last { INBOX } else { "" };
                out.extend_from_slice(format!("PUB {subject} {reply} {}\r\n", payload.len()).as_bytes());
                out.extend_from_slice(&payload);
                out.extend_from_slice(b"\r\n");
            }
            self.say(&out)?;
            self.answer(|answer| match std::str::from_utf8(answer) {
                Ok(text) if text.contains("\"seq\"") => Ok(()),
                _ => Err(Failure::new(format!("an event was not stored: {}", String::from_utf8_lossy(answer)))),
            })?;
        }
        Ok(())
    }

    /// Reads `count` events of `stream` from a sequence on, batch by batch, and does nothing with them but count.
    /// Returns how many came in order.
    pub fn read(&mut self, stream: &str, first: u64, count: u64) -> Outcome<u64> {
        let scanner = Scanner::default();
        let mut in_order = 0;
        for seq in (first..first + count).step_by(BATCH as usize) {
            let batch = BATCH.min(first + count - seq);
            let question = format!("{{\"seq\":{seq},\"next_by_subj\":\">\",\"batch\":{batch}}}");
            let length = question.len();
            self.say(format!("PUB $JS.API.DIRECT.GET.{stream} {INBOX} {length}\r\n{question}\r\n").as_bytes())?;
            loop {
                let events = self.answer(|answer| {
                    let mut events = 0;
                    scanner.scan(answer, |marker| events += u64::from(marker.sequence == in_order));
                    Ok((!answer.is_empty()).then_some(events))
                })?;
                match events {
                    Some(events) => in_order += events,
                    None => break, // the batch ends with an empty message
                }
            }
        }
        Ok(in_order)
    }

    fn say(&mut self, bytes: &[u8]) -> Outcome<()> {
        self.socket.write_all(bytes).because(|| "the nats-server went away".into())
    }

    /// Hands the next message on the inbox to `take`.
    fn answer<T>(&mut self, take: impl FnOnce(&[u8]) -> Outcome<T>) -> Outcome<T> {
        loop {
            while let Some((command, length)) = nats::command(&self.heard[self.at..]) {
                self.at += length;
                match command {
                    Command::Message { data, .. } => return take(data),
                    Command::Ping => {
                        self.socket.write_all(b"PONG\r\n").because(|| "the nats-server went away".into())?
                    }
                    Command::Error(error) => return Err(Failure::new(format!("the nats-server refuses: {error}"))),
                    Command::Pong | Command::Other => {}
                }
            }
            self.heard.drain(..self.at);
            self.at = 0;
            match self.socket.read(&mut self.buffer).because(|| "the nats-server does not answer".into())? {
                0 => return Err(Failure::new("the nats-server closed the connection")),
                length => self.heard.extend_from_slice(&self.buffer[..length]),
            }
        }
    }
}
