//! Bytes that are written to a client and gathered in memory up to a bound: for an
//! answer that ends. Each write is taken as a whole or not at all.

use std::{
    io::{self, IoSlice},
    mem,
    sync::Arc,
};

use tokio::sync::Notify;

use crate::sync::Mutex;

/// What is written to one client.
#[derive(Debug)]
pub struct Collector {
    state: Mutex<CollectedBytes>,
    /// One waits for what comes.
    changed: Notify,
    /// Others wait for room, of which there will be none.
    ended: Notify,
    /// Bytes that are taken, and one write more.
    most: usize,
}

#[derive(Debug, Default)]
struct CollectedBytes {
    bytes: Vec<u8>,
    /// All that were ever taken.
    taken: usize,
    full: bool,
    finished: bool,
}

impl Collector {
    /// A collector with room for `most` bytes; the first write may exceed it.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), changed: Notify::new(), ended: Notify::new(), most })
    }

    /// What has come since this was asked last.
    pub fn drain(&self) -> Vec<u8> {
        mem::take(&mut self.state.lock().bytes)
    }

    /// Whether nothing more is taken.
    pub fn is_over(&self) -> bool {
        let state = self.state.lock();
        state.full || state.finished
    }

    /// Resolves when something has come, or nothing more is taken. For one task.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    pub(crate) fn try_write(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.state.lock();
        if state.finished {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let all: usize = buffers.iter().map(|buffer| buffer.len()).sum();
        state.full |= state.taken > 0 && state.taken + all > self.most;
        let full = state.full;
        if !full {
            state.taken += all;
            buffers.iter().for_each(|buffer| state.bytes.extend_from_slice(buffer));
        }
        drop(state);
        self.changed.notify_one();
        if full { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(all) }
    }

    /// Resolves when nothing more is taken: there is never room again.
    pub(crate) async fn finished(&self) {
        loop {
            let ended = self.ended.notified();
            if self.state.lock().finished {
                return;
            }
            ended.await;
        }
    }

    pub(crate) fn finish(&self) {
        self.state.lock().finished = true;
        self.changed.notify_one();
        self.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_write_is_taken_as_a_whole_or_not_at_all() {
        let collector = Collector::new(5);
        let write = |texts: &[&str]| {
            let buffers: Vec<IoSlice<'_>> = texts.iter().map(|text| IoSlice::new(text.as_bytes())).collect();
            collector.try_write(&buffers).map_err(|error| error.kind())
        };
        assert_eq!(write(&["ab", "c"]), Ok(3));
        collector.changed().await;
        assert_eq!((collector.drain(), collector.is_over()), (b"abc".to_vec(), false));
        assert_eq!(write(&["d", "ef"]), Err(io::ErrorKind::WouldBlock));
        assert_eq!(write(&["d"]), Err(io::ErrorKind::WouldBlock), "nothing overtakes");
        assert!(collector.is_over() && collector.drain().is_empty());
        collector.finish();
        collector.finished().await;
        assert_eq!(write(&["d"]), Err(io::ErrorKind::BrokenPipe));
        assert_eq!(Collector::new(1).try_write(&[IoSlice::new(b"abc")]).expect("the first"), 3);
    }
}
