//! The socket of a model: it takes a number of bytes, then no more until its peer has read some.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
};

use tokio::sync::Notify;

use crate::sync::Mutex;

/// Both ends of a connection in memory. The peer says nothing.
#[derive(Debug)]
pub struct Pipe {
    state: Mutex<State>,
    changed: Notify,
    flaw: Option<Flaw>,
}

/// A fault on purpose, to see that a model notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It does not tell when it takes more.
    Mute,
    /// It takes one byte more than it says.
    Greedy,
    /// It loses what it has not room for, and says that it took all.
    Lossy,
}

#[derive(Debug)]
struct State {
    /// Taken and not yet read.
    bytes: VecDeque<u8>,
    capacity: usize,
    /// No more comes.
    finished: bool,
}

impl Pipe {
    /// A pipe with room for `capacity` bytes.
    pub fn new(capacity: usize, flaw: Option<Flaw>) -> Self {
        let state = State { bytes: VecDeque::new(), capacity, finished: false };
        Self { state: Mutex::new(state), changed: Notify::new(), flaw }
    }

    /// Reads what is there, as the peer: at most `most` bytes; nothing at the
    /// end.
    pub async fn read(&self, most: usize) -> Vec<u8> {
        loop {
            let changed = {
                let mut state = self.state.lock();
                let count = most.min(state.bytes.len());
                let read: Vec<u8> = state.bytes.drain(..count).collect();
                if !read.is_empty() || state.finished {
                    drop(state);
                    if self.flaw != Some(Flaw::Mute) {
                        self.changed.notify_waiters();
                    }
                    return read;
                }
                self.changed.notified()
            };
            changed.await;
        }
    }

    /// Takes no more; what was taken can be read.
    pub fn finish(&self) {
        self.state.lock().finished = true;
        self.changed.notify_waiters();
    }

    pub(crate) fn try_write(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.state.lock();
        if state.finished {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let all: usize = buffers.iter().map(|buffer| buffer.len()).sum();
        let room = state.capacity.saturating_sub(state.bytes.len());
        if room == 0 && all > 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = room.min(all);
        let taken = if self.flaw == Some(Flaw::Greedy) { count + 1 } else { count };
        state.bytes.extend(buffers.iter().flat_map(|buffer| buffer.iter()).take(taken));
        drop(state);
        self.changed.notify_waiters();
        Ok(if self.flaw == Some(Flaw::Lossy) { all } else { count })
    }

    pub(crate) async fn writable(&self) -> io::Result<()> {
        loop {
            let changed = {
                let state = self.state.lock();
                if state.finished || state.bytes.len() < state.capacity {
                    return Ok(());
                }
                self.changed.notified()
            };
            changed.await;
        }
    }
}
