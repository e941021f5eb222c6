//! The least that a Linux server can do: one thread, one epoll, one `send` of a finished frame per delivery, a dense
//! list of sockets per subject. It checks nothing and forgives nothing; other servers are compared with it.

use std::{
    collections::HashMap,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    os::fd::{AsRawFd as _, OwnedFd},
};

use base64::Engine as _;
use rustix::{
    event::{PollFd, PollFlags, epoll},
    io::Errno,
    net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType},
};
use sha1::{Digest as _, Sha1};

use crate::{
    failure::{Because as _, Outcome},
    frame::{self, TEXT},
    nats::{self, Command},
};

/// As deep as the system allows: a storm must not lose a packet.
const BACKLOG: i32 = 65_535;

/// Bytes read at once, from NATS and from clients.
const BUFFER: usize = 64 * 1024;

const LISTENER: u64 = u64::MAX;
const NATS: u64 = u64::MAX - 1;

/// A connection, at the index of its descriptor.
#[derive(Default)]
struct Slot {
    socket: Option<OwnedFd>,
    upgraded: bool,
    /// Its subject and its place there, once it has subscribed.
    seat: Option<(u32, u32)>,
}

struct Floor {
    batch: usize,
    poll: OwnedFd,
    listener: OwnedFd,
    nats: TcpStream,
    slots: Vec<Slot>,
    subjects: HashMap<Box<[u8]>, u32>,
    /// Descriptors by subject.
    members: Vec<Vec<u32>>,
    /// What has come from NATS and is no whole command yet.
    heard: Vec<u8>,
    buffer: Vec<u8>,
    frame: Vec<u8>,
}

/// Serves clients at `listen` with events from the nats-server at `nats`, at most `batch` in one frame. Never returns
/// if all goes well.
pub fn serve(listen: SocketAddr, nats: SocketAddr, batch: usize) -> Outcome<()> {
    let cannot = || "the floor cannot start".to_owned();
    let mut upstream = TcpStream::connect(nats).because(cannot)?;
    upstream.set_nodelay(true).because(cannot)?;
    upstream.write_all(b"CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\n").because(cannot)?;
    upstream.set_nonblocking(true).because(cannot)?;
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let listener = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).because(cannot)?;
    rustix::net::sockopt::set_socket_reuseaddr(&listener, true).because(cannot)?;
    rustix::net::bind(&listener, &listen).because(cannot)?;
    rustix::net::listen(&listener, BACKLOG).because(cannot)?;
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC).because(cannot)?;
    let interest = epoll::EventFlags::IN;
    epoll::add(&poll, &listener, epoll::EventData::new_u64(LISTENER), interest).because(cannot)?;
    epoll::add(&poll, &upstream, epoll::EventData::new_u64(NATS), interest).because(cannot)?;
    let mut floor = Floor {
        batch,
        poll,
        listener,
        nats: upstream,
        slots: Vec::new(),
        subjects: HashMap::new(),
        members: Vec::new(),
        heard: Vec::new(),
        buffer: vec![0; BUFFER],
        frame: Vec::new(),
    };
    let mut events = [epoll::Event { flags: interest, data: epoll::EventData::new_u64(0) }; 256];
    loop {
        let count = match epoll::wait(&floor.poll, &mut events, None) {
            Err(Errno::INTR) => continue,
            other => other.because(|| "the floor cannot wait".into())?,
        };
        for event in &events[..count] {
            match event.data.u64() {
                LISTENER => floor.accept(),
                NATS => floor.relay()?,
                slot => floor.hear(slot as usize)?,
            }
        }
    }
}

impl Floor {
    fn accept(&mut self) {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        while let Ok(socket) = rustix::net::accept_with(&self.listener, flags) {
            let at = socket.as_raw_fd() as usize;
            let _ = rustix::net::sockopt::set_tcp_nodelay(&socket, true);
            if epoll::add(&self.poll, &socket, epoll::EventData::new_u64(at as u64), epoll::EventFlags::IN).is_ok() {
                if self.slots.len() <= at {
                    self.slots.resize_with(at + 1, Slot::default);
                }
                self.slots[at] = Slot { socket: Some(socket), upgraded: false, seat: None };
            }
        }
    }

    /// A client's bytes: its request, then its subject, then its end. Each arrives in one piece here.
    fn hear(&mut self, at: usize) -> Outcome<()> {
        let slot = &mut self.slots[at];
        let Some(socket) = &slot.socket else { return Ok(()) };
        let length = match rustix::net::recv(socket, &mut self.buffer[..], RecvFlags::empty()) {
            Err(Errno::AGAIN) => return Ok(()),
            other => other.map_or(0, |(length, _)| length),
        };
        if length == 0 {
            self.leave(at);
        } else if !slot.upgraded {
            let answer = accept_upgrade(&self.buffer[..length]);
            send_all(socket, &answer);
            slot.upgraded = true;
        } else if let Some(message) = frame::first(&self.buffer[..length])
            && message.opcode == TEXT
            && slot.seat.is_none()
        {
            let mask = message.mask.unwrap_or_default();
            let subject: Vec<u8> =
                message.payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
            let number = match self.subjects.get(&subject[..]) {
                Some(number) => *number,
                None => {
                    let number = self.members.len() as u32;
                    self.members.push(Vec::new());
                    let line = [b"SUB ", &subject[..], format!(" {number}\r\n").as_bytes()].concat();
                    self.subjects.insert(subject.into_boxed_slice(), number);
                    write_all(&mut self.nats, &line)?;
                    number
                }
            };
            let members = &mut self.members[number as usize];
            slot.seat = Some((number, members.len() as u32));
            members.push(at as u32);
            send_all(socket, b"\x81\x02ok");
        }
        Ok(())
    }

    fn leave(&mut self, at: usize) {
        let Some((subject, position)) = std::mem::take(&mut self.slots[at]).seat else { return };
        let members = &mut self.members[subject as usize];
        members.swap_remove(position as usize);
        if let Some(moved) = members.get(position as usize) {
            self.slots[*moved as usize].seat = Some((subject, position));
        }
    }

    /// Takes what NATS has and sends it on.
    fn relay(&mut self) -> Outcome<()> {
        let gone = || "the floor has lost its nats-server".to_owned();
        let length = self.nats.read(&mut self.buffer).because(gone)?;
        let mut heard = std::mem::take(&mut self.heard);
        heard.extend_from_slice(&self.buffer[..length]);
        let mut used = 0;
        let mut waiting: Vec<(u32, &[u8])> = Vec::new();
        while let Some((command, length)) = nats::command(&heard[used..]) {
            used += length;
            match command {
                Command::Message { subscription, data } if self.batch == 1 => self.deliver(subscription, &[data]),
                Command::Message { subscription, data } => waiting.push((subscription, data)),
                Command::Ping => write_all(&mut self.nats, b"PONG\r\n")?,
                _ => {}
            }
        }
        // By subject; the sort keeps the order within each.
        waiting.sort_by_key(|(subject, _)| *subject);
        for subject in waiting.chunk_by(|a, b| a.0 == b.0) {
            for batch in subject.chunks(self.batch) {
                let events: Vec<&[u8]> = batch.iter().map(|(_, data)| *data).collect();
                self.deliver(subject[0].0, &events);
            }
        }
        heard.drain(..used);
        self.heard = heard;
        Ok(())
    }

    /// One frame, its events joined by line feeds, one `send` for each member.
    fn deliver(&mut self, subject: u32, events: &[&[u8]]) {
        let length = events.iter().map(|event| event.len() + 1).sum::<usize>() - 1;
        self.frame.clear();
        self.frame.extend_from_slice(&frame::server_head(TEXT, length));
        for (at, event) in events.iter().enumerate() {
            if at > 0 {
                self.frame.push(b'\n');
            }
            self.frame.extend_from_slice(event);
        }
        for member in &self.members[subject as usize] {
            if let Some(socket) = &self.slots[*member as usize].socket {
                send_all(socket, &self.frame);
            }
        }
    }
}

/// Sends everything. Who cannot take it makes everybody wait: the load leaves room in each socket.
fn send_all(socket: &OwnedFd, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match rustix::net::send(socket, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            Ok(sent) => bytes = &bytes[sent..],
            Err(Errno::AGAIN) => {
                let _ = rustix::event::poll(&mut [PollFd::new(socket, PollFlags::OUT)], None);
            }
            Err(_) => return, // it has left; its last read says so
        }
    }
}

fn write_all(socket: &mut TcpStream, mut bytes: &[u8]) -> Outcome<()> {
    while !bytes.is_empty() {
        match socket.write(bytes) {
            Ok(sent) => bytes = &bytes[sent..],
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                let _ = rustix::event::poll(&mut [PollFd::new(socket, PollFlags::OUT)], None);
            }
            Err(error) => return Err(error).because(|| "the floor has lost its nats-server".into()),
        }
    }
    Ok(())
}

/// The answer to a request to upgrade.
fn accept_upgrade(request: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(request);
    let key = text.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap_or_default();
    let digest = Sha1::new().chain_update(key).chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11").finalize();
    let accept = base64::engine::general_purpose::STANDARD.encode(digest);
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_an_upgrade_is_the_one_of_the_rfc() {
        let answer = accept_upgrade(b"GET / HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
        let text = String::from_utf8(answer).expect("text");
        assert!(text.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{text}");
    }
}
