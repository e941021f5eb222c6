//! A user with as many connections and patterns as the node lets them have, on a thread of its own: they come in, read
//! all that comes and look at none of it. What they subscribe to is published meanwhile.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::mpsc::{self, Receiver, Sender, TryRecvError},
    thread::{self, JoinHandle},
    time::Duration,
};

use memchr::memmem::find_iter;
use rustix::{
    event::{Timespec, epoll},
    io::Errno,
    net::RecvFlags,
};

use crate::{
    clock::{self, SECOND},
    drive::{Drive, Pump},
    failure::{Because as _, Failure, Outcome},
    feed::Feed,
    frame,
    names::Names,
    plug::Plug,
};

/// After so long without an answer none is to come: a node that is at its end answers late, or never.
const PATIENCE: u64 = 5 * SECOND;

/// Bytes that are read at once.
const BUFFER: usize = 256 * 1024;

/// What a subscription is answered with: that it holds, or why not.
const ANSWERS: [&[u8]; 2] = [b"\"subscribed\":", b"\"error\":"];

/// What they do.
pub struct Plan {
    /// What each connection subscribes to.
    pub patterns: Vec<Vec<String>>,
    /// What is published for them, and how it is called.
    pub drive: Drive,
    /// The names of its subjects.
    pub names: Names,
    /// Their token.
    pub token: String,
}

/// How they came in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Admitted {
    /// Subscriptions that hold.
    pub held: usize,
    /// Subscriptions that were refused.
    pub refused: usize,
}

/// The thread.
pub struct Hostile {
    leave: Sender<()>,
    thread: JoinHandle<Outcome<usize>>,
    /// How they came in.
    pub admitted: Admitted,
}

impl Hostile {
    /// They come to the node at `listen`; returns when they have all that they get, and publishing has begun.
    pub fn enter(listen: SocketAddr, nats: SocketAddr, plan: Plan) -> Outcome<Self> {
        let (leave, left) = mpsc::channel();
        let (tell, told) = mpsc::channel();
        let thread = thread::spawn(move || {
            let mut guests = Guests::connect(listen, &plan)?;
            // Whoever waits for it is gone only when everything is.
            let _ = tell.send(guests.answers(plan.patterns.iter().map(Vec::len).sum())?);
            guests.attack(nats, &plan, &left)
        });
        match told.recv() {
            Ok(admitted) => Ok(Self { leave, thread, admitted }),
            Err(_) => Err(joined(thread).err().unwrap_or_else(|| Failure::new("the hostile user has left"))),
        }
    }

    /// They go. Returns how many connections the node had ended before.
    pub fn leave(self) -> Outcome<usize> {
        drop(self.leave);
        joined(self.thread)
    }
}

fn joined(thread: JoinHandle<Outcome<usize>>) -> Outcome<usize> {
    thread.join().unwrap_or_else(|_| Err(Failure::new("the hostile user has failed")))
}

/// Their connections.
struct Guests {
    sockets: Vec<Option<TcpStream>>,
    poll: std::os::fd::OwnedFd,
    buffer: Vec<u8>,
    ended: usize,
}

impl Guests {
    fn connect(listen: SocketAddr, plan: &Plan) -> Outcome<Self> {
        let cannot = || "a connection of the hostile user is not let in".to_owned();
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC).because(cannot)?;
        let mut sockets = Vec::new();
        for (at, patterns) in plan.patterns.iter().enumerate() {
            let mut socket = TcpStream::connect(listen).because(cannot)?;
            socket.set_read_timeout(Some(Duration::from_nanos(PATIENCE))).because(cannot)?;
            socket.write_all(&Plug::NotifierJson.request(Some(&plan.token), &[])).because(cannot)?;
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                socket.read_exact(&mut byte).because(cannot)?;
                head.push(byte[0]);
            }
            socket.write_all(&Plug::NotifierJson.enter(patterns).say).because(cannot)?;
            socket.set_nonblocking(true).because(cannot)?;
            epoll::add(&poll, &socket, epoll::EventData::new_u64(at as u64), epoll::EventFlags::IN).because(cannot)?;
            sockets.push(Some(socket));
        }
        Ok(Self { sockets, poll, buffer: vec![0; BUFFER], ended: 0 })
    }

    /// Reads until all `asked` subscriptions are answered, or no answer comes any more.
    fn answers(&mut self, asked: usize) -> Outcome<Admitted> {
        let mut admitted = Admitted::default();
        let mut tails = vec![Vec::new(); self.sockets.len()];
        let mut progress = clock::now();
        while admitted.held + admitted.refused < asked && clock::now() - progress < PATIENCE {
            self.turn(Duration::from_millis(50), RecvFlags::empty(), |at, bytes| {
                let mut text = std::mem::take(&mut tails[at]);
                text.extend_from_slice(bytes);
                let [held, refused] = ANSWERS.map(|answer| find_iter(&text, answer).count());
                admitted.held += held;
                admitted.refused += refused;
                if held + refused > 0 {
                    progress = clock::now();
                }
                // One that is cut begins here, and none that is whole does.
                let whole =
                    ANSWERS.iter().flat_map(|answer| find_iter(&text, answer).map(|at| at + answer.len())).max();
                let begin = text.len().saturating_sub(ANSWERS[0].len() - 1).max(whole.unwrap_or(0));
                tails[at] = text.split_off(begin);
            })?;
        }
        Ok(admitted)
    }

    /// Publishes and reads until they are to leave. Returns how many connections the node has ended.
    fn attack(&mut self, nats: SocketAddr, plan: &Plan, left: &Receiver<()>) -> Outcome<usize> {
        let mut feed = Feed::connect(nats, plan.names)?;
        let mut pump = Pump::new(&plan.drive, [0, 0]);
        let mut attended = clock::now();
        while left.try_recv() == Err(TryRecvError::Empty) {
            let wake = pump.publish(&mut feed, [0, 0], u64::MAX);
            feed.flush()?;
            if clock::now() - attended > SECOND / 10 {
                attended = clock::now();
                feed.attend()?;
            }
            let patience = Duration::from_nanos(wake.saturating_sub(clock::now())).min(Duration::from_millis(5));
            // The kernel throws it away: reading costs them nothing.
            self.turn(patience, RecvFlags::TRUNC, |_, _| ())?;
        }
        Ok(self.ended)
    }

    /// Waits for news at most for `patience`, and reads them.
    fn turn(&mut self, patience: Duration, flags: RecvFlags, mut read: impl FnMut(usize, &[u8])) -> Outcome<()> {
        let mut events = [epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) }; 64];
        let timeout = Timespec { tv_sec: patience.as_secs() as i64, tv_nsec: i64::from(patience.subsec_nanos()) };
        let count = match epoll::wait(&self.poll, &mut events, Some(&timeout)) {
            Ok(count) => count,
            Err(Errno::INTR) => 0,
            Err(error) => return Err(Failure::new(format!("cannot wait for events: {error}"))),
        };
        for event in &events[..count] {
            let at = event.data.u64() as usize;
            let Some(socket) = &self.sockets[at] else { continue };
            match rustix::net::recv(socket, &mut self.buffer[..], flags) {
                Ok((0, _)) | Err(Errno::CONNRESET | Errno::PIPE) => {
                    self.sockets[at] = None;
                    self.ended += 1;
                }
                Ok((length, _)) => read(at, &self.buffer[..length]),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Err(Failure::new(format!("cannot read from the node: {error}"))),
            }
        }
        Ok(())
    }
}

impl Drop for Guests {
    fn drop(&mut self) {
        // A farewell, so that the node gives up at once what they held.
        for mut socket in self.sockets.drain(..).flatten() {
            let _ = socket.write(&frame::from_client(8, &1000_u16.to_be_bytes()));
        }
    }
}
