//! Messages for one client: written to its socket at once, queued only while that
//! socket is full. Free of their meaning.
//!
//! [`Outbox::push`] never waits. While nothing is queued it writes to the
//! socket itself, so the usual delivery costs one system call and no wake-up.
//! A socket that is full gets a queue, bounded in bytes and frames, and a task
//! that drains it; all that has piled up by then leaves as ONE WebSocket
//! message, so a client that lags gets fewer, larger messages.

mod last_use;
mod policy;
mod progress;
#[cfg(test)]
mod tests;
mod waiting;

use std::{
    io::{self, IoSlice},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use tokio::time::Instant;

pub use policy::Policy;

use crate::{
    close::CloseReason,
    encoded_message::EncodedMessage,
    framing::Framing,
    metrics::Drop as Dropped,
    socket::Wire,
    sync::{Mutex, rank, sleep, timeout},
};
use last_use::LastUse;
use progress::Progress;
use waiting::Waiting;

/// The queue of one client.
#[derive(Debug)]
pub struct Outbox {
    wire: Wire,
    policy: Arc<Policy>,
    // Held for a few writes, never across an await. Every change leaves the state whole, so a panic elsewhere in a
    // holder's call does not spoil the queue.
    state: Mutex<State, { rank::OUTBOX }>,
}

#[derive(Debug)]
struct State {
    /// Exists while the socket is full; a task drains it then.
    waiting: Option<Box<Waiting>>,
    /// The framing of the connection.
    framing: Framing,
    /// Why nothing more is taken.
    closed: Option<CloseReason>,
    /// Messages are collected, to leave together.
    held: bool,
    last_use: LastUse,
}

impl State {
    /// A message waits: behind others, or until the hold ends.
    fn queues(&self) -> bool {
        self.held || self.waiting.is_some()
    }
}

/// Collects all messages that are pushed, and sends them when it is dropped.
#[derive(Debug)]
pub struct Hold(Arc<Outbox>);

/// The fate of a message that can be offered again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// It is written or queued.
    Taken,
    /// There is no room now; see [`Outbox::room`].
    Full,
    /// The connection is closed.
    Closed,
}

impl Outbox {
    /// An empty outbox in front of a socket.
    pub fn new(wire: Wire, framing: Framing, policy: Arc<Policy>) -> Arc<Self> {
        let state = State { waiting: None, framing, closed: None, held: false, last_use: LastUse::now() };
        let state = Mutex::new(state);
        Arc::new(Self { wire, policy, state })
    }

    /// Notes whether the client waits for something to come, and whether it has
    /// just wanted anything at all.
    pub fn note_use(&self, waits: bool, wants: bool) {
        self.state.lock().last_use.note(waits, wants);
    }

    /// For how long the client has wanted nothing and waited for nothing.
    pub fn idle(&self) -> Duration {
        self.state.lock().last_use.idle()
    }

    /// Sends a message now or queues it. False when the connection is closed or
    /// was closed by this, its queue being full.
    pub fn push(self: &Arc<Self>, message: &EncodedMessage) -> bool {
        let mut state = self.state.lock();
        if state.closed.is_some() {
            return false;
        }
        if !state.held && state.waiting.as_ref().is_some_and(|waiting| waiting.is_full_for(&self.policy, message)) {
            self.policy.metrics.drops.of(Dropped::SlowConsumer).increment(message.events().into());
            self.close_locked(&mut state, CloseReason::SlowConsumer);
            return false;
        }
        self.send_locked(&mut state, message)
    }

    /// Sends a message now or queues it, unless the queue is full.
    pub fn offer(self: &Arc<Self>, message: &EncodedMessage) -> Offer {
        self.offer_led(message, None)
    }

    /// The same with a lead of this connection's own, if there is one: the message
    /// is shared all the same, and both leave in one write.
    pub fn offer_led(self: &Arc<Self>, message: &EncodedMessage, lead: Option<&[u8]>) -> Offer {
        let mut state = self.state.lock();
        if state.closed.is_some() {
            return Offer::Closed;
        }
        if state.waiting.as_ref().is_some_and(|waiting| waiting.is_full(&self.policy, 1)) {
            return Offer::Full;
        }
        let taken = match lead {
            None => self.send_locked(&mut state, message),
            Some(lead) => self.send_led_locked(&mut state, message, lead),
        };
        if taken { Offer::Taken } else { Offer::Closed }
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
                let state = self.state.lock();
                if state.closed.is_some() {
                    return false;
                }
                match &state.waiting {
                    Some(waiting) if !waiting.has_room(&self.policy) => waiting.room().clone().notified_owned(),
                    _ => return true,
                }
            };
            room.await;
        }
    }

    /// Holds back messages until the answer is dropped, so that several
    /// short frames leave as one message. For a moment only, never across an
    /// await: the bounds of the queue do not apply meanwhile.
    #[must_use]
    pub fn hold(self: &Arc<Self>) -> Hold {
        let mut state = self.state.lock();
        // A queue already has a task that sends the rest with it.
        state.held |= state.waiting.is_none();
        Hold(self.clone())
    }

    /// Sends the last message of the framing behind the queue; nothing
    /// more is taken. The queue is dropped if the reason says so
    /// ([`CloseReason::drops_queue`]), but for the message that the socket has begun
    /// to take. The first reason stands.
    pub fn close(self: &Arc<Self>, reason: CloseReason) {
        self.close_locked(&mut self.state.lock(), reason);
    }

    /// Answers the peer's Close.
    pub fn close_echo(self: &Arc<Self>, code: Option<u16>) {
        let last = EncodedMessage::close_echo(code);
        self.close_with(&mut self.state.lock(), CloseReason::Normal, &last);
    }

    /// Whether the socket is full and messages wait: a client that reads slowly answers late.
    pub fn is_waiting(&self) -> bool {
        self.state.lock().waiting.is_some()
    }

    /// The framing of the connection.
    pub fn framing(&self) -> Framing {
        self.state.lock().framing
    }

    /// Has the kernel end the connection of a peer that acknowledges nothing for so
    /// long. Not while messages wait: that time runs for a peer too that reads slowly
    /// and lives, and the drain knows better which it is.
    pub fn expect_acknowledgements(&self, time: Duration) {
        let state = self.state.lock();
        if state.waiting.is_none() {
            self.wire.set_acknowledge_time(Some(time));
        }
    }

    /// Why the connection ends, once it does.
    pub fn closed(&self) -> Option<CloseReason> {
        self.state.lock().closed
    }

    /// The socket, for the task that reads.
    pub fn wire(&self) -> &Wire {
        &self.wire
    }

    fn close_locked(self: &Arc<Self>, state: &mut State, reason: CloseReason) {
        let last = EncodedMessage::close(state.framing, reason);
        self.close_with(state, reason, &last);
    }

    fn close_with(self: &Arc<Self>, state: &mut State, reason: CloseReason, last: &EncodedMessage) {
        if state.closed.is_some() {
            return;
        }
        if let (true, Some(waiting)) = (reason.drops_queue(), &mut state.waiting) {
            let (bytes, events) = waiting.drop_queue();
            let why = if reason == CloseReason::SlowConsumer { Dropped::SlowConsumer } else { Dropped::Revoked };
            self.policy.metrics.drops.of(why).increment(events);
            self.policy.metrics.outbox_bytes.decrement(bytes as f64);
        }
        self.send_locked(state, last);
        state.closed.get_or_insert(reason);
        match &state.waiting {
            None => self.wire.finish(),
            Some(waiting) => waiting.room().notify_waiters(),
        }
        let (outbox, close_time) = (Arc::downgrade(self), self.policy.close_time);
        self.policy.tasks.spawn(async move {
            sleep(close_time).await;
            if let Some(outbox) = outbox.upgrade() {
                outbox.wire.shut_down();
            }
        });
    }

    fn send_locked(self: &Arc<Self>, state: &mut State, message: &EncodedMessage) -> bool {
        if state.queues() {
            return self.queue(state, message);
        }
        match self.wire.try_send(message.as_bytes()) {
            Ok(written) if written == message.len() => true,
            written => self.queue_rest(state, message, written),
        }
    }

    /// Nothing comes between a message and its lead, also where they are queued.
    fn send_led_locked(self: &Arc<Self>, state: &mut State, message: &EncodedMessage, lead: &[u8]) -> bool {
        if state.queues() {
            return self.queue(state, &message.with_lead(lead));
        }
        let behind = message.behind_lead();
        match self.wire.try_write_vectored(&[IoSlice::new(lead), IoSlice::new(behind)]) {
            Ok(written) if written == lead.len() + behind.len() => true,
            written => self.queue_rest(state, &message.with_lead(lead), written),
        }
    }

    /// Behind what waits. Apart from the usual way, which then saves fewer registers.
    #[cold]
    fn queue(&self, state: &mut State, message: &EncodedMessage) -> bool {
        if state.waiting.is_none() {
            self.begin_waiting(state, None);
        }
        self.policy.metrics.outbox_bytes.increment(message.len() as f64);
        if let Some(waiting) = &mut state.waiting {
            waiting.add(message);
        }
        true
    }

    /// The socket has not taken all of a message: the rest waits, and a task sends it.
    #[cold]
    fn queue_rest(self: &Arc<Self>, state: &mut State, message: &EncodedMessage, written: io::Result<usize>) -> bool {
        let written = match written {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_) => {
                state.closed = Some(CloseReason::Lost);
                return false;
            }
        };
        self.begin_waiting(state, Some(message.as_bytes().slice(written..)));
        self.policy.tasks.spawn(self.clone().drain());
        true
    }

    fn begin_waiting(&self, state: &mut State, begun: Option<Bytes>) {
        state.waiting = Some(Box::new(Waiting::behind(begun)));
        self.policy.metrics.outboxes_waiting.increment(1);
    }

    /// Sends what was held; a task sends what the socket does not take.
    fn release(self: &Arc<Self>) {
        if !std::mem::take(&mut self.state.lock().held) {
            return;
        }
        match self.write_waiting(&mut 0) {
            Ok(true) => {}
            Ok(false) => self.policy.tasks.spawn(self.clone().drain()),
            Err(_) => self.lose(),
        }
    }

    /// The stream is broken: nothing that waits can leave.
    fn lose(&self) {
        let mut state = self.state.lock();
        state.closed.get_or_insert(CloseReason::Lost);
        self.forget_waiting(&mut state);
        self.wire.shut_down();
    }

    /// Writes what waits whenever the socket takes more, then ends.
    async fn drain(self: Arc<Self>) {
        if !self.framing().answers_pings() {
            self.wire.set_acknowledge_time(None);
        }
        let mut progress = Progress::begin(self.unsent(), Instant::now(), &self.policy);
        loop {
            match timeout(self.policy.stall_time, self.wire.writable()).await {
                Ok(Ok(())) => match self.write_waiting(&mut progress.taken) {
                    Ok(true) => return,
                    Ok(false) if progress.is_enough(|| self.unsent(), Instant::now(), &self.policy) => {}
                    // It sips, and what waits for it would wait for ever.
                    Ok(false) => {
                        self.close(CloseReason::SlowConsumer);
                        break;
                    }
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

    fn unsent(&self) -> usize {
        self.state.lock().waiting.as_ref().map_or(0, |waiting| waiting.unsent())
    }

    /// True when nothing waits any more. Adds the bytes that the socket took.
    fn write_waiting(&self, taken: &mut usize) -> io::Result<bool> {
        let mut state = self.state.lock();
        let Some(waiting) = &mut state.waiting else { return Ok(true) };
        loop {
            if !waiting.has_begun() {
                self.policy.metrics.outbox_bytes.decrement(waiting.begin_next() as f64);
            }
            if !waiting.has_begun() {
                self.forget_waiting(&mut state);
                if state.closed.is_some() {
                    self.wire.finish();
                }
                return Ok(true);
            }
            match self.wire.try_write_vectored(&waiting.buffers()) {
                Ok(written) => {
                    *taken += written;
                    waiting.advance(written);
                    if waiting.has_room(&self.policy) {
                        waiting.room().notify_waiters();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }

    fn forget_waiting(&self, state: &mut State) {
        if let Some(waiting) = state.waiting.take() {
            waiting.room().notify_waiters();
            self.policy.metrics.outbox_bytes.decrement(waiting.bytes() as f64);
            self.policy.metrics.outboxes_waiting.decrement(1);
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.release();
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.forget_waiting(&mut self.state.lock());
    }
}
