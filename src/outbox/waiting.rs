//! The queue of a socket that is full: bytes that have begun to leave, and messages
//! that may still be joined or dropped. Free of the socket.

use std::{collections::VecDeque, io::IoSlice, sync::Arc};

use bytes::{Buf as _, Bytes};
use tokio::sync::Notify;

use crate::{encoded_message::EncodedMessage, event::PageSize, framing::JOINED_BYTES, outbox::policy::Policy};

/// Bytes joined into one message: as many as are encoded together.
const BATCH_BYTES: usize = PageSize::BATCH.bytes;

/// Buffers given to one vectored write. Linux takes 1024; gains end far below.
const BATCH_BUFFERS: usize = 128;

/// A head can be made for every batch, its separators included.
const _: () = assert!(BATCH_BYTES + BATCH_BUFFERS <= JOINED_BYTES);

/// The queue of one socket.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// Framed and begun: has to be finished, or the stream would lose its frames.
    begun: VecDeque<Bytes>,
    /// Not begun: may be joined, or dropped.
    queue: VecDeque<EncodedMessage>,
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

    /// Adds a message, whether it has room or not.
    pub(crate) fn add(&mut self, message: &EncodedMessage) {
        self.bytes += message.len();
        self.queue.push_back(message.clone());
    }

    /// Drops what has not begun to leave. Returns its bytes and its events.
    pub(crate) fn drop_queue(&mut self) -> (usize, u64) {
        let events = self.queue.drain(..).map(|message| u64::from(message.events())).sum();
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

    /// The bytes that leave next, for one vectored write.
    pub(crate) fn buffers(&self) -> Vec<IoSlice<'_>> {
        self.begun.iter().take(BATCH_BUFFERS).map(|bytes| IoSlice::new(bytes)).collect()
    }

    /// Whether the queue has no room for a message. Answers may take the bounds twice: a
    /// client that catches up slowly has a full queue all the time.
    pub(crate) fn is_full_for(&self, policy: &Policy, message: &EncodedMessage) -> bool {
        self.is_full(policy, if message.events() == 0 { 2 } else { 1 })
    }

    /// Whether it holds as much as it may, or a multiple of that.
    pub(crate) fn is_full(&self, policy: &Policy, scale: usize) -> bool {
        self.bytes >= policy.bytes.saturating_mul(scale) || self.queue.len() >= policy.frames.saturating_mul(scale)
    }

    /// Whether at most half of it is taken.
    pub(crate) fn has_room(&self, policy: &Policy) -> bool {
        self.bytes <= policy.bytes / 2 && self.queue.len() <= policy.frames / 2
    }

    /// Frames the next message: one control frame, or as many data messages as
    /// fit under one head. Returns the bytes that left the queue.
    pub(crate) fn begin_next(&mut self) -> usize {
        let Some(first) = self.queue.front() else { return 0 };
        let framing = first.framing();
        let mut body = 0;
        let mut count = 0;
        let mut left = 0;
        for message in &self.queue {
            let fits = count == 0 || (body + message.len() <= BATCH_BYTES && 2 * count < BATCH_BUFFERS);
            if message.framing() != framing || !fits || (count > 0 && framing.is_none()) {
                break;
            }
            body += message.body_len();
            left += message.len();
            count += 1;
        }
        match framing {
            Some(framing) if count > 1 => {
                let separator = framing.separator();
                let head = framing.head(body + separator.len() * (count - 1));
                self.begun.extend((!head.is_empty()).then_some(head));
                for (index, message) in self.queue.drain(..count).enumerate() {
                    if index > 0 && !separator.is_empty() {
                        self.begun.push_back(Bytes::from_static(separator));
                    }
                    self.begun.push_back(message.into_body());
                }
                self.begun.extend((!framing.tail().is_empty()).then_some(Bytes::from_static(framing.tail())));
            }
            _ => self.begun.extend(self.queue.drain(..count).map(|message| message.as_bytes().clone())),
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
    use crate::{
        framing::{Framing, MessageKind},
        metrics::Metrics,
        tasks::Tasks,
    };

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
        let answer = EncodedMessage::pong(b"");
        for (bytes, frames, full, full_twice, room) in rows {
            let queue = std::iter::repeat_n(answer.clone(), frames).collect();
            let waiting = Waiting { bytes, queue, ..Waiting::default() };
            assert_eq!(waiting.is_full_for(&policy, &answer.clone().carrying(1)), full, "{bytes} {frames}");
            assert_eq!(waiting.is_full_for(&policy, &answer), full_twice, "{bytes} {frames}");
            assert_eq!(waiting.has_room(&policy), room, "{bytes} {frames}");
        }
    }

    fn data(framing: Framing, bytes: usize) -> EncodedMessage {
        EncodedMessage::data(framing, |out| out.resize(bytes, b'x'))
    }

    /// Messages of some sizes, of one framing or of all that a WebSocket has.
    fn messages(sizes: &'static [usize], most: usize) -> impl Strategy<Value = Vec<EncodedMessage>> {
        let of = |framing| select(sizes).prop_map(move |bytes| data(framing, bytes));
        let text = || of(Framing::WebSocket(MessageKind::Text));
        let binary = of(Framing::WebSocket(MessageKind::Binary));
        prop_oneof![
            vec(text(), 0..most),
            vec(of(Framing::EventStream), 0..most),
            vec(of(Framing::EventMessages), 0..most),
            vec(prop_oneof![8 => text(), 2 => binary, 1 => Just(EncodedMessage::pong(b""))], 0..most),
        ]
    }

    /// Whether a message may follow others in one message.
    fn joins(others: &[EncodedMessage], next: &EncodedMessage) -> bool {
        let framing = others[0].framing();
        let bytes: usize = others.iter().map(|message| message.body().len()).sum();
        let fits = bytes + next.len() <= BATCH_BYTES && others.len() < BATCH_BUFFERS / 2;
        framing.is_some() && next.framing() == framing && fits
    }

    fn joined(messages: &[EncodedMessage]) -> EncodedMessage {
        match (messages, messages[0].framing()) {
            ([_, _, ..], Some(framing)) => {
                let bodies: Vec<Bytes> = messages.iter().map(EncodedMessage::body).collect();
                EncodedMessage::data(framing, |out| out.extend(bodies.join(framing.separator())))
            }
            _ => messages[0].clone(),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        /// However little the socket takes at a time.
        #[test]
        fn what_waits_leaves_in_order_and_joined_as_far_as_it_may_be(
            messages in prop_oneof![messages(&[0, 1, 2], 200), messages(&[100, 32_764, 32_768, 65_528, 65_536], 8)],
            takes in vec(1..70_000_usize, 1..8),
        ) {
            let bytes = messages.iter().map(EncodedMessage::len).sum();
            let mut waiting = Waiting { bytes, queue: messages.iter().cloned().collect(), ..Waiting::default() };
            let (mut rest, mut takes) = (&messages[..], takes.into_iter().cycle());
            while let Some(first) = rest.first() {
                let mut count = 1;
                while rest.get(count).is_some_and(|next| joins(&rest[..count], next)) {
                    count += 1;
                }
                let (together, more) = rest.split_at(count);
                let left: usize = together.iter().map(EncodedMessage::len).sum();
                prop_assert_eq!(waiting.begin_next(), left, "beginning with {:?}", first.framing());
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
