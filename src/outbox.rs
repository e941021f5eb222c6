//! What one client is to receive: written to its socket at once, queued only
//! while that socket is full. Free of frames' meaning.
//!
//! [`Outbox::push`] never waits. While nothing is queued it writes to the
//! socket itself, so the usual delivery costs one system call and no wake-up.
//! A socket that is full gets a queue, bounded in bytes and frames, and a task
//! that drains it; whatever has piled up by then leaves as ONE WebSocket
//! message, so a client that lags gets fewer, larger messages.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::{Buf as _, Bytes};
use tokio::{sync::Notify, time::timeout};

use crate::{
    close::CloseReason,
    drain::Tasks,
    metrics::{Drop as Dropped, Metrics},
    socket::{Chunk, Wire, frame_head},
};

/// Bytes joined into one WebSocket message: a browser should not wait long for
/// the first event of a batch.
const BATCH_BYTES: usize = 64 * 1024;

/// Buffers given to one vectored write. Linux takes 1024; gains end far below.
const BATCH_BUFFERS: usize = 128;

/// No moment: the client waits for what may come.
const IN_USE: u32 = u32::MAX;

/// What all outboxes of a node share.
#[derive(Debug)]
pub struct Policy {
    /// Bytes that may wait. One frame may exceed it, so that an event larger
    /// than the limit still reaches a client that keeps up.
    pub bytes: usize,
    /// Frames that may wait.
    pub frames: usize,
    /// From our Close to the end of the connection, whatever the peer does.
    pub close_time: Duration,
    /// A peer that takes nothing for so long while something waits is closed.
    pub stall_time: Duration,
    /// Owner of the tasks that drain.
    pub tasks: Tasks,
    /// Where it counts.
    pub metrics: Arc<Metrics>,
}

/// The queue of one client.
#[derive(Debug)]
pub struct Outbox {
    wire: Wire,
    policy: Arc<Policy>,
    // A std lock: held for a few writes, never across an await.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Exists while the socket is full; a task drains it then.
    waiting: Option<Box<Waiting>>,
    /// Why nothing more is taken.
    closed: Option<CloseReason>,
    /// Somebody collects what is to leave together.
    held: bool,
    /// The moment at which the client last wanted something; [`IN_USE`] while
    /// it waits for something.
    wanted: u32,
}

/// Collects what is pushed, by whomever, and sends it when it is dropped.
#[derive(Debug)]
pub struct Held(Arc<Outbox>);

/// What became of a chunk that can be had again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// It is written or queued.
    Taken,
    /// There is no room now; see [`Outbox::room`].
    Full,
    /// The connection is closed.
    Closed,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Framed and begun: has to be finished, or the stream would lose its frames.
    begun: VecDeque<Bytes>,
    /// Not begun: may be joined, or dropped.
    queue: VecDeque<Chunk>,
    /// Bytes in `queue`.
    bytes: usize,
    /// Told when there is room again, or never will be.
    room: Arc<Notify>,
}

impl Outbox {
    /// An empty outbox in front of a socket.
    pub fn new(wire: Wire, policy: Arc<Policy>) -> Arc<Self> {
        let state = Mutex::new(State { wanted: Wire::moment(), ..State::default() });
        Arc::new(Self { wire, policy, state })
    }

    /// Notes whether the client waits for something to come, and whether it has
    /// just wanted anything at all.
    pub fn note_use(&self, waits: bool, wants: bool) {
        let mut state = self.lock();
        if waits {
            state.wanted = IN_USE;
        } else if wants || state.wanted == IN_USE {
            state.wanted = Wire::moment();
        }
    }

    /// For how long the client has wanted nothing and waited for nothing.
    pub fn idle(&self) -> Duration {
        match self.lock().wanted {
            IN_USE => Duration::ZERO,
            wanted => Wire::since(wanted),
        }
    }

    /// Sends a chunk now or queues it. False when the connection is closed or
    /// was closed by this, its queue being full.
    pub fn push(self: &Arc<Self>, chunk: &Chunk) -> bool {
        let mut state = self.lock();
        if state.closed.is_some() {
            return false;
        }
        if !state.held && state.waiting.as_ref().is_some_and(|waiting| waiting.is_full_for(&self.policy, chunk)) {
            self.policy.metrics.drops.of(Dropped::SlowConsumer).increment(chunk.events().into());
            self.close_locked(&mut state, CloseReason::SlowConsumer, Chunk::close(CloseReason::SlowConsumer));
            return false;
        }
        self.send_locked(&mut state, chunk)
    }

    /// Sends a chunk now or queues it, unless the queue is full.
    pub fn offer(self: &Arc<Self>, chunk: &Chunk) -> Offer {
        let mut state = self.lock();
        if state.closed.is_some() {
            return Offer::Closed;
        }
        if state.waiting.as_ref().is_some_and(|waiting| waiting.is_full(&self.policy, 1)) {
            return Offer::Full;
        }
        if self.send_locked(&mut state, chunk) { Offer::Taken } else { Offer::Closed }
    }

    /// Offers again whenever there is room, until it is taken; false when the
    /// connection is closed, or nothing is offered any more.
    pub async fn as_room_allows(&self, mut offer: impl FnMut() -> Option<Offer>) -> bool {
        loop {
            match offer() {
                Some(Offer::Taken) => return true,
                Some(Offer::Full) => drop(self.room().await),
                Some(Offer::Closed) | None => return false,
            }
        }
    }

    /// Waits until at most half of the queue is taken; false when the
    /// connection is closed.
    pub async fn room(&self) -> bool {
        loop {
            let room = {
                let state = self.lock();
                if state.closed.is_some() {
                    return false;
                }
                match &state.waiting {
                    Some(waiting) if !waiting.has_room(&self.policy) => waiting.room.clone().notified_owned(),
                    _ => return true,
                }
            };
            room.await;
        }
    }

    /// Holds back what is pushed until the answer is dropped, so that several
    /// short frames leave as one message. For a moment only, never across an
    /// await: the bounds of the queue do not apply meanwhile.
    #[must_use]
    pub fn hold(self: &Arc<Self>) -> Held {
        let mut state = self.lock();
        // What is queued already has a task that sends the rest with it.
        state.held |= state.waiting.is_none();
        Held(self.clone())
    }

    /// Sends a Close frame behind what is queued; nothing more is taken. What
    /// waits is dropped if the reason says so ([`CloseReason::drops_queue`]), but
    /// for what the socket has begun to take. The first reason stands.
    pub fn close(self: &Arc<Self>, reason: CloseReason) {
        self.close_locked(&mut self.lock(), reason, Chunk::close(reason));
    }

    /// Answers the peer's Close.
    pub fn close_echo(self: &Arc<Self>, code: Option<u16>) {
        self.close_locked(&mut self.lock(), CloseReason::Normal, Chunk::close_echo(code));
    }

    /// Whether the socket is full and frames wait: whoever reads slowly answers late.
    pub fn is_waiting(&self) -> bool {
        self.lock().waiting.is_some()
    }

    /// Why the connection ends, once it does.
    pub fn closed(&self) -> Option<CloseReason> {
        self.lock().closed
    }

    /// The socket, for the task that reads.
    pub fn wire(&self) -> &Wire {
        &self.wire
    }

    fn close_locked(self: &Arc<Self>, state: &mut State, reason: CloseReason, frame: Chunk) {
        if state.closed.is_some() {
            return;
        }
        if let (true, Some(waiting)) = (reason.drops_queue(), &mut state.waiting) {
            let events: u64 = waiting.queue.drain(..).map(|chunk| u64::from(chunk.events())).sum();
            let why = if reason == CloseReason::SlowConsumer { Dropped::SlowConsumer } else { Dropped::Revoked };
            self.policy.metrics.drops.of(why).increment(events);
            self.policy.metrics.outbox_bytes.decrement(waiting.bytes as f64);
            waiting.bytes = 0;
        }
        self.send_locked(state, &frame);
        state.closed.get_or_insert(reason);
        match &state.waiting {
            None => self.wire.finish(),
            Some(waiting) => waiting.room.notify_waiters(),
        }
        let (outbox, close_time) = (Arc::downgrade(self), self.policy.close_time);
        self.policy.tasks.spawn(async move {
            tokio::time::sleep(close_time).await;
            if let Some(outbox) = outbox.upgrade() {
                outbox.wire.shut_down();
            }
        });
    }

    fn send_locked(self: &Arc<Self>, state: &mut State, chunk: &Chunk) -> bool {
        if state.held && state.waiting.is_none() {
            self.begin_waiting(state, VecDeque::new());
        }
        if let Some(waiting) = &mut state.waiting {
            self.policy.metrics.outbox_bytes.increment(chunk.len() as f64);
            waiting.bytes += chunk.len();
            waiting.queue.push_back(chunk.clone());
            return true;
        }
        let written = match self.wire.try_write(chunk.as_bytes()) {
            Ok(written) if written == chunk.len() => return true,
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_) => {
                state.closed = Some(CloseReason::Lost);
                return false;
            }
        };
        self.begin_waiting(state, VecDeque::from([chunk.as_bytes().slice(written..)]));
        self.policy.tasks.spawn(self.clone().drain());
        true
    }

    fn begin_waiting(&self, state: &mut State, begun: VecDeque<Bytes>) {
        state.waiting = Some(Box::new(Waiting { begun, ..Waiting::default() }));
        self.policy.metrics.outboxes_waiting.increment(1);
    }

    /// Sends what was held; a task sends what the socket does not take.
    fn release(self: &Arc<Self>) {
        if !std::mem::take(&mut self.lock().held) {
            return;
        }
        match self.write_waiting() {
            Ok(true) => {}
            Ok(false) => self.policy.tasks.spawn(self.clone().drain()),
            Err(_) => self.lose(),
        }
    }

    /// The stream is broken: nothing that waits can leave.
    fn lose(&self) {
        let mut state = self.lock();
        state.closed.get_or_insert(CloseReason::Lost);
        self.forget_waiting(&mut state);
        self.wire.shut_down();
    }

    /// Writes what waits whenever the socket takes more, then ends.
    async fn drain(self: Arc<Self>) {
        loop {
            match timeout(self.policy.stall_time, self.wire.writable()).await {
                Ok(Ok(())) => match self.write_waiting() {
                    Ok(true) => return,
                    Ok(false) => {}
                    Err(_) => break,
                },
                Ok(Err(_)) => break,
                // It reads nothing at all, and would not read our Close either.
                Err(_) => {
                    self.close(CloseReason::SlowConsumer);
                    break;
                }
            }
        }
        self.lose();
    }

    /// True when nothing waits any more.
    fn write_waiting(&self) -> io::Result<bool> {
        let mut state = self.lock();
        let Some(waiting) = &mut state.waiting else { return Ok(true) };
        loop {
            if waiting.begun.is_empty() {
                self.policy.metrics.outbox_bytes.decrement(waiting.begin_next() as f64);
            }
            if waiting.begun.is_empty() {
                self.forget_waiting(&mut state);
                if state.closed.is_some() {
                    self.wire.finish();
                }
                return Ok(true);
            }
            let buffers: Vec<IoSlice<'_>> =
                waiting.begun.iter().take(BATCH_BUFFERS).map(|bytes| IoSlice::new(bytes)).collect();
            match self.wire.try_write_vectored(&buffers) {
                Ok(written) => {
                    waiting.advance(written);
                    if waiting.has_room(&self.policy) {
                        waiting.room.notify_waiters();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }

    fn forget_waiting(&self, state: &mut State) {
        if let Some(waiting) = state.waiting.take() {
            waiting.room.notify_waiters();
            self.policy.metrics.outbox_bytes.decrement(waiting.bytes as f64);
            self.policy.metrics.outboxes_waiting.decrement(1);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change below leaves the state whole, so a panic elsewhere in a
        // holder's call does not poison one client's queue for good.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.release();
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        let mut state = std::mem::take(&mut *self.lock());
        self.forget_waiting(&mut state);
    }
}

impl Waiting {
    /// Whether it has no room for this. An answer may exceed the bounds once
    /// more: who reads slowly what is stored has a full queue all the time.
    fn is_full_for(&self, policy: &Policy, chunk: &Chunk) -> bool {
        self.is_full(policy, if chunk.events() == 0 { 2 } else { 1 })
    }

    /// Whether it holds as much as it may, or a multiple of that.
    fn is_full(&self, policy: &Policy, scale: usize) -> bool {
        self.bytes >= policy.bytes.saturating_mul(scale) || self.queue.len() >= policy.frames.saturating_mul(scale)
    }

    fn has_room(&self, policy: &Policy) -> bool {
        self.bytes <= policy.bytes / 2 && self.queue.len() <= policy.frames / 2
    }

    /// Frames the next message: one control frame, or as many data chunks as
    /// fit under one head. Returns the bytes that left the queue.
    fn begin_next(&mut self) -> usize {
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

    fn advance(&mut self, mut written: usize) {
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
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;
    use crate::socket::MessageKind;

    /// With the two counts of an `Arc` it fills a size class of the allocator.
    #[test]
    fn it_fits_into_96_bytes() {
        assert!(size_of::<Outbox>() + 16 <= 96, "{} bytes", size_of::<Outbox>());
    }

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
