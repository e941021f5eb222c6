//! Buffers of the thread, for bytes that are looked at once and are gone when
//! the call ends. They hold what passes of one connection at a time, so that
//! none has to keep room for it.

use std::{cell::RefCell, io::IoSlice};

/// The buffers of one thread.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    received: RefCell<Vec<u8>>,
    joined: RefCell<Vec<u8>>,
    sealed: RefCell<Vec<u8>>,
}

thread_local! {
    static SCRATCH: Scratch = Scratch::default();
}

impl Scratch {
    /// `size` bytes or more to read into.
    pub(crate) fn reading<T>(size: usize, read: impl FnOnce(&mut [u8]) -> T) -> T {
        SCRATCH.with(|scratch| read(sized(&mut scratch.received.borrow_mut(), size)))
    }

    /// `size` bytes or more to encrypt into.
    pub(crate) fn writing<T>(size: usize, write: impl FnOnce(&mut [u8]) -> T) -> T {
        SCRATCH.with(|scratch| write(sized(&mut scratch.sealed.borrow_mut(), size)))
    }

    /// The first `most` bytes of several buffers as one.
    pub(crate) fn joining<T>(buffers: &[IoSlice<'_>], most: usize, join: impl FnOnce(&[u8]) -> T) -> T {
        SCRATCH.with(|scratch| {
            let mut joined = scratch.joined.borrow_mut();
            joined.clear();
            for buffer in buffers {
                let room = most - joined.len();
                joined.extend_from_slice(&buffer[..buffer.len().min(room)]);
            }
            join(&joined)
        })
    }
}

fn sized(buffer: &mut Vec<u8>, size: usize) -> &mut [u8] {
    if buffer.len() < size {
        buffer.resize(size, 0);
    }
    buffer
}
