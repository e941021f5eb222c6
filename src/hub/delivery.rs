//! Some events on their way to the members of one topic, encoded when the
//! first member needs them and then shared.

use std::{cell::OnceCell, sync::Arc};

use crate::{broker::Message, hub::member::Member, socket::Chunk, subject::Pattern};

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
    pub(crate) events: u64,
    pub(crate) bytes: u64,
}

impl<'a> Delivery<'a> {
    pub(crate) fn new(pattern: &'a Pattern, messages: &'a [Arc<Message>]) -> Self {
        Self { pattern, messages, whole: [const { OnceCell::new() }; 2] }
    }

    /// Gives the events to a member that has no overlapping pattern.
    pub(crate) fn give(&self, member: &Member, tally: &mut Tally) {
        let encoding = member.encoding();
        let chunk = self.whole[encoding as usize].get_or_init(|| encoding.events(self.messages));
        push(member, chunk, self.messages.len(), tally);
    }

    /// Gives the events that no earlier pattern of this member delivers.
    pub(crate) fn give_unspoken(&self, member: &Member, tally: &mut Tally) {
        let mine = |message: &&Arc<Message>| !member.is_spoken_for(self.pattern, &message.subject);
        let messages: Vec<Arc<Message>> = self.messages.iter().filter(mine).cloned().collect();
        match messages.len() {
            0 => {}
            all if all == self.messages.len() => self.give(member, tally),
            some => push(member, &member.encoding().events(&messages), some, tally),
        }
    }

    /// How many encodings were needed.
    pub(crate) fn encoded(&self) -> u64 {
        self.whole.iter().filter(|chunk| chunk.get().is_some()).count() as u64
    }
}

fn push(member: &Member, chunk: &Chunk, events: usize, tally: &mut Tally) {
    if member.outbox().push(chunk) {
        tally.events += events as u64;
        tally.bytes += chunk.len() as u64;
    }
}
