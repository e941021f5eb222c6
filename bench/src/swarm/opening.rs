//! The way of a client until it is live, and the asking for something on a live connection.

use std::{ops::Range, time::Duration};

use hdrhistogram::Histogram;
use rustix::{event::epoll, io::Errno};

use super::{Connection, Role, Stage, Swarm, stream::Stream};
use crate::{
    clock,
    failure::{Because as _, Failure, Outcome},
    frame,
    names::Names,
    plug::Step,
};

/// Clients on their way at the same time, where it is not everybody at once.
pub const WINDOW: usize = 256;

/// A TCP connect that takes longer than this has lost a packet to a full backlog: the kernel repeats it after 1 s.
const LOST: u64 = 900_000_000;

/// After so long without progress nobody else is coming.
const PATIENCE: u64 = 20 * clock::SECOND;

/// A connection that waits for something.
#[derive(Debug)]
pub(super) struct Opening {
    begun: u64,
    /// Whether the TCP connection is still awaited.
    connecting: bool,
    /// Whether that took so long that a packet must have been lost.
    lost: bool,
    /// Whether the answer to the upgrade is still awaited.
    upgrading: bool,
    step: Step,
    received: Vec<u8>,
}

/// How it went.
#[derive(Debug)]
pub struct Opened {
    /// From the first to the last.
    pub seconds: f64,
    /// Nanoseconds of each client.
    pub times: Histogram<u64>,
    /// Clients that lost a packet to a full backlog.
    pub lost: u64,
    /// Attempts that failed and were repeated.
    pub repeated: u64,
}

impl Opened {
    fn new() -> Self {
        let times = Histogram::new_with_bounds(1_000, 600 * clock::SECOND, 3).expect("these bounds hold");
        Self { seconds: 0.0, times, lost: 0, repeated: 0 }
    }
}

impl Swarm {
    /// Adds `roles.len()` clients, at most `window` on their way at a time. With `subscribe` they come in and subscribe
    /// in one go, without they only say hello.
    pub fn open(&mut self, roles: &[Role], subscribe: bool, window: usize) -> Outcome<Opened> {
        let first = self.connections.len();
        for role in roles {
            let role = *role;
            self.connections.push(Connection {
                stream: None,
                stage: Stage::Closed,
                role,
                places: self.next.len(),
                warm: false,
                cut: false,
            });
            self.next.resize(self.next.len() + role.subjects as usize, 0);
        }
        if let Some(passes) = &mut self.passes {
            passes.prepare(self.connections.len())?;
        }
        self.work_off(first..first + roles.len(), window, |swarm, at, begun| {
            let role = swarm.connections[at].role;
            let stream = swarm.connect(at, role.narrow)?;
            epoll::add(&swarm.poll, &stream, epoll::EventData::new_u64(at as u64), epoll::EventFlags::OUT)
                .because(|| "cannot watch a socket".into())?;
            let step = if subscribe { role.plug.enter(&asked(&swarm.names, role)) } else { role.plug.hello() };
            swarm.connections[at].stream = Some(stream);
            swarm.connections[at].stage = Stage::Opening;
            let opening = Opening { begun, connecting: true, lost: false, upgrading: true, step, received: Vec::new() };
            swarm.openings.insert(at, opening);
            Ok(())
        })
    }

    /// Everybody who has said hello subscribes to its first subject.
    pub fn subscribe(&mut self) -> Outcome<Opened> {
        self.work_off(0..self.connections.len(), WINDOW, |swarm, at, begun| {
            let role = swarm.connections[at].role;
            let step = role.plug.subscribe(&swarm.names.asked(role.subject));
            swarm.connections[at].stage = Stage::Opening;
            if let Some(stream) = &mut swarm.connections[at].stream {
                say(stream, &step.say)?;
            }
            let opening =
                Opening { begun, connecting: false, lost: false, upgrading: false, step, received: Vec::new() };
            swarm.openings.insert(at, opening);
            Ok(())
        })
    }

    fn work_off(
        &mut self,
        who: Range<usize>,
        window: usize,
        begin: impl Fn(&mut Self, usize, u64) -> Outcome<()>,
    ) -> Outcome<Opened> {
        let mut opened = Opened::new();
        let started = clock::now();
        let mut progress = started;
        let mut waiting: Vec<usize> = who.rev().collect();
        while !waiting.is_empty() || !self.openings.is_empty() {
            // A few at a time, so that answers are read while others set out.
            for _ in 0..32 {
                if self.openings.len() >= window {
                    break;
                }
                let Some(at) = waiting.pop() else { break };
                begin(self, at, clock::now())?;
            }
            let before = self.openings.len();
            let more = !waiting.is_empty() && before < window;
            self.turn(if more { Duration::ZERO } else { Duration::from_millis(100) })?;
            for (at, opening) in std::mem::take(&mut self.finished) {
                progress = clock::now();
                if let Some(opening) = opening {
                    opened.times.saturating_record(progress - opening.begun);
                    opened.lost += u64::from(opening.lost);
                } else {
                    opened.repeated += 1;
                    waiting.push(at);
                }
            }
            if clock::now() - progress > PATIENCE {
                return Err(Failure::new(format!(
                    "{} clients did not get in or were not subscribed within {} s",
                    self.openings.len(),
                    PATIENCE / clock::SECOND
                )));
            }
            if opened.repeated > 20_000 {
                return Err(Failure::new("the server keeps resetting clients that connect"));
            }
        }
        opened.seconds = clock::seconds(clock::now() - started);
        Ok(opened)
    }

    /// Something has happened to a connection that is on its way.
    pub(super) fn go_on(&mut self, at: usize, flags: epoll::EventFlags) -> Outcome<()> {
        let connection = &mut self.connections[at];
        let (Some(opening), Some(stream)) = (self.openings.get_mut(&at), &mut connection.stream) else { return Ok(()) };
        if opening.connecting {
            if flags.intersects(epoll::EventFlags::ERR | epoll::EventFlags::HUP) {
                return self.repeat(at);
            }
            opening.connecting = false;
            opening.lost = clock::now() - opening.begun > LOST;
            let token = self.passes.as_ref().map(|passes| passes.of(at));
            let Role { plug, .. } = connection.role;
            let subjects = if plug.is_stream() { asked(&self.names, connection.role) } else { Vec::new() };
            say(stream, &plug.request(token, &subjects))?;
            return epoll::modify(&self.poll, stream, epoll::EventData::new_u64(at as u64), epoll::EventFlags::IN)
                .because(|| "cannot watch a socket".into());
        }
        match stream.recv(&mut self.buffer[..]) {
            Ok(0) | Err(Errno::CONNRESET | Errno::PIPE) => return self.repeat(at),
            Ok(length) => opening.received.extend_from_slice(&self.buffer[..length]),
            Err(Errno::AGAIN | Errno::INTR) => return Ok(()),
            Err(error) => return Err(Failure::new(format!("cannot read from the server: {error}"))),
        }
        if opening.upgrading {
            let Some(end) = memchr::memmem::find(&opening.received, b"\r\n\r\n") else { return Ok(()) };
            if !opening.received.starts_with(connection.role.plug.status()) {
                let answer = String::from_utf8_lossy(&opening.received).replace("\r\n", " ");
                return Err(Failure::new(format!("the server refuses the connection: {answer}")));
            }
            opening.received.drain(..end + 4);
            opening.upgrading = false;
            if !opening.step.say.is_empty() {
                say(stream, &opening.step.say)?;
            }
        }
        if opening.step.is_done(&opening.received) {
            connection.stage = Stage::Live;
            let opening = self.openings.remove(&at);
            self.finished.push((at, opening));
        } else if !connection.role.plug.is_stream()
            && let Some(frame) = frame::first(&opening.received)
            && frame.opcode == 8
        {
            let reason = String::from_utf8_lossy(frame.payload.get(2..).unwrap_or_default()).into_owned();
            return Err(Failure::new(format!("the server ends a connection that wants to subscribe: {reason}")));
        }
        Ok(())
    }

    fn repeat(&mut self, at: usize) -> Outcome<()> {
        self.connections[at].stream = None;
        self.connections[at].stage = Stage::Closed;
        self.openings.remove(&at);
        self.finished.push((at, None));
        Ok(())
    }
}

/// What a client subscribes to.
fn asked(names: &Names, role: Role) -> Vec<String> {
    (role.subject..role.subject + role.subjects).map(|subject| names.asked(subject)).collect()
}

fn say(stream: &mut Stream, bytes: &[u8]) -> Outcome<()> {
    match stream.send(bytes) {
        // The read that follows tells what has become of it.
        Ok(()) | Err(Errno::PIPE | Errno::CONNRESET) => Ok(()),
        Err(Errno::AGAIN) => Err(Failure::new("the kernel took only a part of a client's first bytes")),
        Err(error) => Err(Failure::new(format!("cannot send to the server: {error}"))),
    }
}
