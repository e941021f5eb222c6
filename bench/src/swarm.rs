//! The clients: one thread, thousands of sockets, one buffer. It knows no protocol; it looks for markers in what
//! arrives and checks that each connection gets its subject's events once and in order.

mod opening;
mod stream;
mod tally;

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    ops::Range,
    os::fd::OwnedFd,
    sync::Arc,
    time::Duration,
};

use rustix::{
    event::{Timespec, epoll},
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType},
};
use rustls::ClientConfig;

pub use opening::{Opened, WINDOW};
pub use tally::{Faults, Group, Tally};

use self::stream::Stream;
use crate::{
    clock,
    failure::{Because as _, Failure, Outcome},
    marker::{self, PROBE, Scanner},
    names::Names,
    passes::Passes,
    plug::Plug,
    usage,
};

/// Bytes of the one read buffer.
const BUFFER: usize = 256 * 1024;

/// Events handled in one turn: few, so that publishing on time is never far away.
const BATCH: usize = 64;

/// Source addresses: one has too few ports for 10,000 connections that come and go.
const SOURCES: usize = 8;

/// What a client is to be.
#[derive(Clone, Copy, Debug)]
pub struct Role {
    /// How it speaks.
    pub plug: Plug,
    /// The first subject it subscribes to.
    pub subject: u32,
    /// How many it subscribes to, one after the other.
    pub subjects: u32,
    /// Whose latencies its belong to.
    pub group: usize,
    /// Whether the kernel may keep only little for it: for clients that are to stop reading.
    pub narrow: bool,
}

impl Role {
    /// Which of its subjects this is, if any.
    fn place(&self, subject: u32) -> Option<usize> {
        subject.checked_sub(self.subject).filter(|at| *at < self.subjects).map(|at| at as usize)
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    Closed,
    /// Something must happen before it is live; see [`opening`].
    Opening,
    Live,
    /// Does not read.
    Stalled,
}

#[derive(Debug)]
struct Connection {
    stream: Option<Stream>,
    stage: Stage,
    role: Role,
    /// Where in [`Swarm::next`] its subjects are.
    places: usize,
    /// Whether an event has ever arrived.
    warm: bool,
    /// Whether the last read ended inside of a marker; then the beginning is in [`Swarm::tails`].
    cut: bool,
}

/// All clients of one server.
#[derive(Debug)]
pub struct Swarm {
    server: SocketAddrV4,
    /// How they speak TLS, if they do.
    tls: Option<Arc<ClientConfig>>,
    poll: OwnedFd,
    connections: Vec<Connection>,
    /// The event that must come next, of each subject of each connection.
    next: Vec<u64>,
    openings: HashMap<usize, opening::Opening>,
    /// Who has left `openings`, and how; nothing if it must try again.
    finished: Vec<(usize, Option<opening::Opening>)>,
    tails: HashMap<usize, Vec<u8>>,
    scanner: Scanner,
    buffer: Vec<u8>,
    /// What has arrived.
    pub tally: Tally,
    names: Names,
    /// Their tokens, where they need any.
    passes: Option<Passes>,
    warm: usize,
}

impl Swarm {
    /// No clients yet, of the server at `server`; with `tls` they speak that.
    pub fn new(
        server: SocketAddr,
        names: Names,
        passes: Option<Passes>,
        tls: Option<Arc<ClientConfig>>,
    ) -> Outcome<Self> {
        let SocketAddr::V4(server) = server else { return Err(Failure::new("servers listen on IPv4 here")) };
        Ok(Self {
            server,
            tls,
            poll: epoll::create(epoll::CreateFlags::CLOEXEC).because(|| "cannot create an epoll".into())?,
            connections: Vec::new(),
            next: Vec::new(),
            openings: HashMap::new(),
            finished: Vec::new(),
            tails: HashMap::new(),
            scanner: Scanner::default(),
            buffer: vec![0; BUFFER],
            tally: Tally::default(),
            names,
            passes,
            warm: 0,
        })
    }

    /// The token of a client, which may be one that never comes.
    pub fn pass(&mut self, at: usize) -> Outcome<String> {
        let Some(passes) = &mut self.passes else { return Err(Failure::new("there are no tokens here")) };
        passes.prepare(at + 1)?;
        Ok(passes.of(at).to_owned())
    }

    /// Connections that receive events.
    pub fn live(&self) -> usize {
        self.connections.iter().filter(|connection| connection.stage == Stage::Live).count()
    }

    /// Whether every live connection has received something.
    pub fn all_warm(&self) -> bool {
        self.warm >= self.live()
    }

    /// Waits for news at most for `patience`, and handles them.
    pub fn turn(&mut self, patience: Duration) -> Outcome<()> {
        let mut events =
            [epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) }; BATCH];
        let timeout = Timespec { tv_sec: patience.as_secs() as i64, tv_nsec: i64::from(patience.subsec_nanos()) };
        let count = match epoll::wait(&self.poll, &mut events, Some(&timeout)) {
            Ok(count) => count,
            Err(Errno::INTR) => 0,
            Err(error) => return Err(Failure::new(format!("cannot wait for events: {error}"))),
        };
        for event in &events[..count] {
            let at = event.data.u64() as usize;
            match self.connections[at].stage {
                Stage::Live => self.read(at)?,
                Stage::Opening => self.go_on(at, event.flags)?,
                Stage::Closed | Stage::Stalled => {}
            }
        }
        Ok(())
    }

    /// Handles news for `span` nanoseconds.
    pub fn rest(&mut self, span: u64) -> Outcome<()> {
        let end = clock::now() + span;
        while let left = end.saturating_sub(clock::now())
            && left > 0
        {
            self.turn(Duration::from_nanos(left))?;
        }
        Ok(())
    }

    fn read(&mut self, at: usize) -> Outcome<()> {
        let connection = &mut self.connections[at];
        let Some(stream) = &mut connection.stream else { return Ok(()) };
        let mut kept = 0;
        if connection.cut {
            let tail = self.tails.remove(&at).unwrap_or_default();
            self.buffer[..tail.len()].copy_from_slice(&tail);
            kept = tail.len();
            connection.cut = false;
        }
        let length = match stream.recv(&mut self.buffer[kept..]) {
            Ok(0) | Err(Errno::CONNRESET | Errno::PIPE) => {
                connection.stream = None;
                connection.stage = Stage::Closed;
                self.tally.faults.closed += 1;
                return Ok(());
            }
            Ok(length) => length,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(error) => return Err(Failure::new(format!("cannot read from the server: {error}"))),
        };
        let now = clock::now();
        let bytes = &self.buffer[..kept + length];
        let mut found = false;
        let tail = self.scanner.scan(bytes, |marker| {
            found = true;
            if !connection.warm {
                connection.warm = true;
                self.warm += 1;
            }
            if marker.sequence == PROBE {
                return;
            }
            let (subject, sequence) = marker::parts(marker.sequence);
            let Some(place) = connection.role.place(subject) else {
                self.tally.faults.strayed += 1;
                return;
            };
            let place = connection.places + place;
            let next = &mut self.next[place];
            if sequence == *next {
                *next += 1;
            } else {
                self.tally.faults.unexpected(place, next, sequence);
            }
            self.tally.groups[connection.role.group].arrived(now, marker.time);
        });
        if tail > 0 {
            self.tails.insert(at, bytes[bytes.len() - tail..].to_vec());
            connection.cut = true;
        }
        if !found && kept == 0 {
            let answer = connection.role.plug.answer(bytes);
            if !answer.is_empty() {
                // A Pong that finds no room is no loss: the server hears of us otherwise.
                let _ = stream.send(&answer);
            }
        }
        Ok(())
    }

    /// Compares with what was published: `published[subject]` events. What is missing counts as lost.
    pub fn audit(&mut self, published: &[u64]) {
        for connection in self.connections.iter().filter(|connection| connection.stage == Stage::Live) {
            let subjects = connection.role.subject..connection.role.subject + connection.role.subjects;
            for (subject, next) in subjects.zip(&mut self.next[connection.places..]) {
                let due = published.get(subject as usize).copied().unwrap_or(0);
                self.tally.faults.lost += due.saturating_sub(*next);
                *next = due;
            }
        }
    }

    /// These clients stop reading.
    pub fn stall(&mut self, who: Range<usize>) -> Outcome<()> {
        for connection in &mut self.connections[who] {
            if let Some(stream) = &connection.stream {
                epoll::delete(&self.poll, stream).because(|| "cannot leave a socket alone".into())?;
            }
            connection.stage = Stage::Stalled;
            self.warm -= usize::from(connection.warm);
        }
        Ok(())
    }

    /// Cuts everybody off with a reset: no farewell, and no port left waiting.
    pub fn cut_all(&mut self) -> Outcome<()> {
        for connection in &mut self.connections {
            connection.stage = Stage::Closed;
            if let Some(stream) = connection.stream.take() {
                rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO))
                    .because(|| "cannot cut a connection".into())?;
            }
        }
        self.connections.clear();
        self.next.clear();
        self.openings.clear();
        self.tails.clear();
        self.warm = 0;
        Ok(())
    }

    /// A stream on its way to the server.
    fn connect(&self, at: usize, narrow: bool) -> Outcome<Stream> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)
            .because(|| "cannot open another socket: raise the limit of open files, `ulimit -n`".into())?;
        let cannot = || "cannot prepare a socket".to_owned();
        rustix::net::sockopt::set_tcp_nodelay(&socket, true).because(cannot)?;
        if narrow {
            rustix::net::sockopt::set_socket_recv_buffer_size(&socket, 4096).because(cannot)?;
        }
        let source = Ipv4Addr::new(127, 0, 0, 2 + (at % SOURCES) as u8);
        rustix::net::bind(&socket, &SocketAddrV4::new(source, 0)).because(|| format!("no port is left on {source}"))?;
        match rustix::net::connect(&socket, &self.server) {
            Ok(()) | Err(Errno::INPROGRESS) => Stream::new(socket, self.tls.as_ref(), at),
            Err(error) => Err(Failure::new(format!("cannot connect to {}: {error}", self.server))),
        }
    }
}

/// Fails with the remedy when `clients` connections do not fit the limit of open files.
pub fn check_descriptors(clients: usize, limit: u64) -> Outcome<()> {
    let need = clients as u64 + 200; // the nodes' own files
    if limit >= need {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{clients} clients need {need} open files, the hard limit is {limit}: raise it (`ulimit -Hn`) or use --quick"
    )))
}

/// Nanoseconds of CPU that this program has used.
pub fn own_cpu() -> Outcome<u64> {
    usage::on_cpu(std::process::id())
}
