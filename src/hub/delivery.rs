//! Some events on their way to the members of one topic, encoded when the
//! first member needs them and then shared.

use std::{cell::OnceCell, sync::Arc};

use slab::Slab;

use crate::{broker::Message, hub::member::Member, metrics::Metrics, socket::Chunk, subject::Pattern};

/// A member in its place in a topic.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) member: Arc<Member>,
    /// An earlier pattern of the same connection overlaps this one.
    pub(crate) overlapped: bool,
}

/// Events that arrived together.
pub(crate) struct Delivery<'a> {
    pattern: &'a Pattern,
    messages: &'a [Arc<Message>],
    /// All events in one chunk, by encoding.
    whole: [OnceCell<Chunk>; 2],
}

/// What was handed out, for the counters.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// Chunks handed to connections.
    pub(crate) deliveries: usize,
    events: u64,
    bytes: u64,
}

impl<'a> Delivery<'a> {
    pub(crate) fn new(pattern: &'a Pattern, messages: &'a [Arc<Message>]) -> Self {
        Self { pattern, messages, whole: [const { OnceCell::new() }; 2] }
    }

    /// Gives the events to all who stand there.
    pub(crate) fn give_all(&self, members: &Slab<Standing>, tally: &mut Tally) {
        for (_, Standing { member, overlapped }) in members {
            if *overlapped {
                self.give_unspoken(member, tally);
            } else {
                self.give(member, tally);
            }
        }
    }

    fn give(&self, member: &Member, tally: &mut Tally) {
        let encoding = member.encoding();
        let chunk = self.whole[encoding as usize].get_or_init(|| encoding.events(self.messages));
        tally.push(member, chunk, self.messages.len());
    }

    /// Gives the events that no earlier pattern of this member delivers.
    fn give_unspoken(&self, member: &Member, tally: &mut Tally) {
        let mine = |message: &&Arc<Message>| !member.is_spoken_for(self.pattern, &message.subject);
        let messages: Vec<Arc<Message>> = self.messages.iter().filter(mine).cloned().collect();
        match messages.len() {
            0 => {}
            all if all == self.messages.len() => self.give(member, tally),
            some => tally.push(member, &member.encoding().events(&messages), some),
        }
    }
}

impl Tally {
    fn push(&mut self, member: &Member, chunk: &Chunk, events: usize) {
        self.deliveries += 1;
        if member.outbox().push(chunk) {
            self.events += events as u64;
            self.bytes += chunk.len() as u64;
        }
    }

    /// Counts a delivery that is complete, and begins the next one.
    pub(crate) fn account(&mut self, delivery: &Delivery<'_>, metrics: &Metrics) {
        metrics.deliveries.increment(std::mem::take(&mut self.events));
        metrics.bytes_sent.increment(std::mem::take(&mut self.bytes));
        metrics.batches.increment(delivery.whole.iter().filter(|chunk| chunk.get().is_some()).count() as u64);
        if let Some(first) = delivery.messages.first() {
            metrics.delivery_latency.record(first.arrived.elapsed());
        }
    }
}
