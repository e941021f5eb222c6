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

    /// All bytes, begun or not.
    pub(crate) fn unsent(&self) -> usize {
        self.bytes + self.begun.iter().map(Bytes::len).sum::<usize>()
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;
    use crate::{metrics::Metrics, socket::MessageKind, tasks::Tasks};

    #[tokio::test]
    async fn a_queue_is_full_at_its_bound_and_has_room_at_half_of_it() {
        let metrics = Arc::new(Metrics::new().expect("metrics"));
        let (close_time, stall_time, tasks) = (Duration::ZERO, Duration::ZERO, Tasks::new(metrics.clone()));
        let policy = Policy { bytes: 100, frames: 4, close_time, stall_time, tasks, metrics };
        let rows = [
            // Bytes, frames; full for an event, full for an answer, with room.
            (0, 0, false, false, true),
            (50, 2, false, false, true),
            (51, 2, false, false, false),
            (50, 3, false, false, false),
            (99, 3, false, false, false),
            (100, 3, true, false, false),
            (99, 4, true, false, false),
            (199, 7, true, false, false),
            (200, 7, true, true, false),
            (199, 8, true, true, false),
        ];
        let answer = Chunk::ping();
        for (bytes, frames, full, full_twice, room) in rows {
            let queue = std::iter::repeat_n(answer.clone(), frames).collect();
            let waiting = Waiting { bytes, queue, ..Waiting::default() };
            assert_eq!(waiting.is_full_for(&policy, &answer.clone().carrying(1)), full, "{bytes} {frames}");
            assert_eq!(waiting.is_full_for(&policy, &answer), full_twice, "{bytes} {frames}");
            assert_eq!(waiting.has_room(&policy), room, "{bytes} {frames}");
        }
    }

    fn data(kind: MessageKind, bytes: usize) -> Chunk {
        Chunk::message(kind, |out| out.resize(bytes, b'x'))
    }

    /// Chunks of some sizes, all of one kind or of all kinds.
    fn chunks(sizes: &'static [usize], most: usize) -> impl Strategy<Value = Vec<Chunk>> {
        let text = || select(sizes).prop_map(|bytes| data(MessageKind::Text, bytes));
        let binary = select(sizes).prop_map(|bytes| data(MessageKind::Binary, bytes));
        prop_oneof![vec(text(), 0..most), vec(prop_oneof![8 => text(), 2 => binary, 1 => Just(Chunk::ping())], 0..most),]
    }

    /// Whether a chunk may follow others in one message.
    fn joins(others: &[Chunk], next: &Chunk) -> bool {
        let kind = others[0].kind();
        let bytes: usize = others.iter().map(|chunk| chunk.body().len()).sum();
        kind.is_some() && next.kind() == kind && bytes + next.len() <= BATCH_BYTES && others.len() < BATCH_BUFFERS / 2
    }

    fn joined(chunks: &[Chunk]) -> Chunk {
        match (chunks, chunks[0].kind()) {
            ([_, _, ..], Some(kind)) => {
                let bodies: Vec<Bytes> = chunks.iter().map(Chunk::body).collect();
                Chunk::message(kind, |out| out.extend(bodies.join(kind.separator())))
            }
            _ => chunks[0].clone(),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        /// However little the socket takes at a time.
        #[test]
        fn what_waits_leaves_in_order_and_joined_as_far_as_it_may_be(
            chunks in prop_oneof![chunks(&[0, 1, 2], 200), chunks(&[100, 32_764, 32_768, 65_528, 65_536], 8)],
            takes in vec(1..70_000_usize, 1..8),
        ) {
            let bytes = chunks.iter().map(Chunk::len).sum();
            let mut waiting = Waiting { bytes, queue: chunks.iter().cloned().collect(), ..Waiting::default() };
            let (mut rest, mut takes) = (&chunks[..], takes.into_iter().cycle());
            while let Some(first) = rest.first() {
                let mut count = 1;
                while rest.get(count).is_some_and(|next| joins(&rest[..count], next)) {
                    count += 1;
                }
                let (together, more) = rest.split_at(count);
                let left: usize = together.iter().map(Chunk::len).sum();
                prop_assert_eq!(waiting.begin_next(), left, "beginning with {:?}", first.kind());
                prop_assert!(waiting.begun.len() <= BATCH_BUFFERS);
                let mut written = Vec::new();
                while !waiting.begun.is_empty() {
                    let begun: Vec<u8> = waiting.begun.iter().flatten().copied().collect();
                    let take = takes.next().unwrap_or(1).min(begun.len());
                    written.extend_from_slice(&begun[..take]);
                    waiting.advance(take);
                }
                prop_assert!(written == joined(together).as_bytes()[..], "{} together", count);
                rest = more;
            }
            prop_assert_eq!((waiting.begin_next(), waiting.bytes, waiting.queue.len()), (0, 0, 0));
        }
    }
}
