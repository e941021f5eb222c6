//! What waits for a socket that is full: frames that have begun to leave, and
//! chunks that may still be joined or dropped. Free of the socket.

use std::{collections::VecDeque, io::IoSlice, sync::Arc};

use bytes::{Buf as _, Bytes};
use tokio::sync::Notify;

use crate::{
    outbox::policy::Policy,
    socket::{Chunk, frame_head},
};

/// Bytes joined into one WebSocket message: a browser should not wait long for
/// the first event of a batch.
const BATCH_BYTES: usize = 64 * 1024;

/// Buffers given to one vectored write. Linux takes 1024; gains end far below.
const BATCH_BUFFERS: usize = 128;

/// What waits for one socket.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// Framed and begun: has to be finished, or the stream would lose its frames.
    begun: VecDeque<Bytes>,
    /// Not begun: may be joined, or dropped.
    queue: VecDeque<Chunk>,
    /// Bytes in `queue`.
    bytes: usize,
    /// Told when there is room again, or never will be.
    room: Arc<Notify>,
}

impl Waiting {
    /// Nothing but the rest of a frame that has begun to leave.
    pub(crate) fn behind(begun: Option<Bytes>) -> Self {
        Self { begun: begun.into_iter().collect(), ..Self::default() }
    }

    /// Adds a chunk, whether it has room or not.
    pub(crate) fn add(&mut self, chunk: &Chunk) {
        self.bytes += chunk.len();
        self.queue.push_back(chunk.clone());
    }

    /// Drops what has not begun to leave. Returns its bytes and its events.
    pub(crate) fn drop_queue(&mut self) -> (usize, u64) {
        let events = self.queue.drain(..).map(|chunk| u64::from(chunk.events())).sum();
        (std::mem::take(&mut self.bytes), events)
    }

    /// Bytes that have not begun to leave.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Told when there is room again, or never will be.
    pub(crate) fn room(&self) -> &Arc<Notify> {
        &self.room
    }

    /// Whether something has begun to leave.
    pub(crate) fn has_begun(&self) -> bool {
        !self.begun.is_empty()
    }

    /// What leaves next, for one vectored write.
    pub(crate) fn buffers(&self) -> Vec<IoSlice<'_>> {
        self.begun.iter().take(BATCH_BUFFERS).map(|bytes| IoSlice::new(bytes)).collect()
    }

    /// Whether it has no room for this. An answer may exceed the bounds once
    /// more: who reads slowly what is stored has a full queue all the time.
    pub(crate) fn is_full_for(&self, policy: &Policy, chunk: &Chunk) -> bool {
        self.is_full(policy, if chunk.events() == 0 { 2 } else { 1 })
    }

    /// Whether it holds as much as it may, or a multiple of that.
    pub(crate) fn is_full(&self, policy: &Policy, scale: usize) -> bool {
        self.bytes >= policy.bytes.saturating_mul(scale) || self.queue.len() >= policy.frames.saturating_mul(scale)
    }

    /// Whether at most half of it is taken.
    pub(crate) fn has_room(&self, policy: &Policy) -> bool {
        self.bytes <= policy.bytes / 2 && self.queue.len() <= policy.frames / 2
    }

    /// Frames the next message: one control frame, or as many data chunks as
    /// fit under one head. Returns the bytes that left the queue.
    pub(crate) fn begin_next(&mut self) -> usize {
        let Some(first) = self.queue.front() else { return 0 };
        let kind = first.kind();
        let mut body = 0;
        let mut count = 0;
        let mut left = 0;
        for chunk in &self.queue {
            let fits = count == 0 || (body + chunk.len() <= BATCH_BYTES && 2 * count < BATCH_BUFFERS);
            if chunk.kind() != kind || !fits || (count > 0 && kind.is_none()) {
                break;
            }
            body += chunk.body().len();
            left += chunk.len();
            count += 1;
        }
        match kind {
            Some(kind) if count > 1 => {
                let separator = kind.separator();
                self.begun.push_back(frame_head(kind, body + separator.len() * (count - 1)));
                for (index, chunk) in self.queue.drain(..count).enumerate() {
                    if index > 0 && !separator.is_empty() {
                        self.begun.push_back(Bytes::from_static(separator));
                    }
                    self.begun.push_back(chunk.body());
                }
            }
            _ => self.begun.extend(self.queue.drain(..count).map(|chunk| chunk.as_bytes().clone())),
        }
        self.bytes -= left;
        left
    }

    /// So many bytes have left.
    pub(crate) fn advance(&mut self, mut written: usize) {
        while let Some(first) = self.begun.front_mut() {
            if written < first.len() {
                first.advance(written);
                return;
            }
            written -= first.len();
            self.begun.pop_front();
        }
    }
}
