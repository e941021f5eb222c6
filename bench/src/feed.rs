//! The publisher: one connection to NATS, and a sequence per subject. The events it publishes carry markers.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    ops::Range,
};

use crate::{
    failure::{Because as _, Failure, Outcome},
    marker::{self, Marker, PROBE},
    names::Names,
    nats::{self, Command},
};

/// Where events come from.
#[derive(Debug)]
pub struct Feed {
    socket: TcpStream,
    names: Names,
    out: Vec<u8>,
    sent: usize,
    heard: Vec<u8>,
    payload: Vec<u8>,
    /// Events published on each subject.
    pub published: Vec<u64>,
    /// Messages that came back on [`Feed::listen`]'s subject; the newest one's number.
    pub told: u64,
    /// Whether a server tells us how much it has.
    pub listens: bool,
    headers: bool,
}

impl Feed {
    /// Connects to the nats-server at `address`; subjects have these `names`.
    pub fn connect(address: SocketAddr, names: Names) -> Outcome<Self> {
        let cannot = || format!("cannot connect to the nats-server at {address}");
        let socket = TcpStream::connect(address).because(cannot)?;
        socket.set_nodelay(true).because(cannot)?;
        socket.set_nonblocking(true).because(cannot)?;
        let out =
            b"CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true}\r\n".to_vec();
        let mut feed = Self {
            socket,
            names,
            out,
            sent: 0,
            heard: Vec::new(),
            payload: Vec::new(),
            published: Vec::new(),
            told: 0,
            listens: false,
            headers: false,
        };
        feed.flush()?;
        Ok(feed)
    }

    /// From now on events carry the five headers with which JetStream republishes.
    pub fn with_headers(&mut self) {
        self.headers = true;
    }

    /// Hears the numbers that a server tells on `subject`.
    pub fn listen(&mut self, subject: &str) {
        self.listens = true;
        self.out.extend_from_slice(format!("SUB {subject} 1\r\n").as_bytes());
    }

    /// Publishes the next event of subject number `subject`, as of `time`.
    pub fn publish(&mut self, subject: u32, time: u64, size: usize) {
        let at = subject as usize;
        if self.published.len() <= at {
            self.published.resize(at + 1, 0);
        }
        let sequence = marker::numbered(subject, self.published[at]);
        self.published[at] += 1;
        self.put(subject, Marker { sequence, time }, size);
    }

    /// Publishes an event that belongs to no measurement on each of `subjects`.
    pub fn probe(&mut self, subjects: Range<u32>) {
        for subject in subjects {
            self.put(subject, Marker { sequence: PROBE, time: 0 }, 128);
        }
    }

    fn put(&mut self, subject: u32, marker: Marker, size: usize) {
        self.payload.clear();
        marker::write_payload(&mut self.payload, marker, size);
        let name = self.names.event(subject);
        // Writing to memory does not fail.
        let _ = if self.headers {
            let sequence = marker.sequence.wrapping_add(1);
            let last = marker.sequence;
            let head = format!(
                "NATS/1.0\r\nNats-Stream: BENCH\r\nNats-Subject: {name}\r\nNats-Sequence: {sequence}\r\n\
                 Nats-Time-Stamp: 2026-11-22T10:00:00.123456789Z\r\nNats-Last-Sequence: {last}\r\n\r\n"
            );
            let whole = head.len() + size;
            write!(self.out, "HPUB {name} {} {whole}\r\n{head}", head.len())
        } else {
            write!(self.out, "PUB {name} {size}\r\n")
        };
        self.out.extend_from_slice(&self.payload);
        self.out.extend_from_slice(b"\r\n");
    }

    /// Sends what the kernel takes. Returns whether that was everything.
    pub fn flush(&mut self) -> Outcome<bool> {
        while self.sent < self.out.len() {
            match self.socket.write(&self.out[self.sent..]) {
                Ok(length) => self.sent += length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(Failure::new(format!("the nats-server went away: {error}"))),
            }
        }
        self.out.clear();
        self.sent = 0;
        Ok(true)
    }

    /// Reads what the server says, if anything: it wants its Pings answered.
    pub fn attend(&mut self) -> Outcome<()> {
        let mut buffer = [0; 16 * 1024];
        match self.socket.read(&mut buffer) {
            Ok(0) => return Err(Failure::new("the nats-server closed the publisher's connection")),
            Ok(length) => self.heard.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(Failure::new(format!("the nats-server went away: {error}"))),
        }
        let mut at = 0;
        while let Some((command, length)) = nats::command(&self.heard[at..]) {
            match command {
                Command::Ping => self.out.extend_from_slice(b"PONG\r\n"),
                Command::Error(error) => return Err(Failure::new(format!("the nats-server refuses: {error}"))),
                Command::Message { data, .. } => {
                    self.told = std::str::from_utf8(data).ok().and_then(|text| text.parse().ok()).unwrap_or(self.told);
                }
                Command::Pong | Command::Other => {}
            }
            at += length;
        }
        self.heard.drain(..at);
        self.flush()?;
        Ok(())
    }
}
