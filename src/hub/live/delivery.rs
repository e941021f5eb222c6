//! The delivery of live events to the members of one topic: encoded when the first
//! member needs them, and then shared.

use std::{cell::OnceCell, sync::Arc};

use slab::Slab;

use crate::{
    codec::{Encoding, PerEncoding},
    config::Overflow,
    encoded_message::EncodedMessage,
    event::Message,
    hub::{
        context::Context,
        live::overflow::tell,
        member::{EventChecks, Member, Share},
        tally::Tally,
    },
    outbox::{Offer, Outbox},
    subject::{Pattern, Subject},
};

/// A member of a topic.
#[derive(Debug)]
pub(crate) struct TopicMember {
    pub(crate) member: Arc<Member>,
    /// The member's own, so that the usual delivery does not touch the member:
    /// with 10,000 of them each is a miss of the cache.
    outbox: Arc<Outbox>,
    encoding: Encoding,
    /// The checks that each event needs.
    pub(crate) checks: EventChecks,
}

impl TopicMember {
    pub(crate) fn new(member: Arc<Member>, checks: EventChecks) -> Self {
        Self { outbox: member.outbox().clone(), encoding: member.encoding(), member, checks }
    }
}

/// The delivery of events that arrived together.
pub(crate) struct LiveDelivery<'a> {
    pattern: &'a Pattern,
    messages: &'a [Arc<Message>],
    context: &'a Context,
    /// All events in one message.
    whole: PerEncoding<OnceCell<EncodedMessage>>,
    runs: OnceCell<Vec<Run<'a>>>,
}

/// A run of events of one subject, which share one fate.
struct Run<'a> {
    subject: &'a Subject,
    /// A bit for each, by their places among all.
    places: u64,
}

impl<'a> LiveDelivery<'a> {
    pub(crate) fn new(pattern: &'a Pattern, messages: &'a [Arc<Message>], context: &'a Context) -> Self {
        Self { pattern, messages, context, whole: PerEncoding::default(), runs: OnceCell::new() }
    }

    /// Gives the events to all who stand there.
    pub(crate) fn give_all(&self, members: &Slab<TopicMember>, tally: &mut Tally) {
        for (_, member) in members {
            if member.checks.nothing() {
                self.give(member, tally);
            } else {
                self.give_share(member, tally);
            }
        }
    }

    /// Counts what all have been given.
    pub(crate) fn account(&self, tally: &mut Tally) {
        let encoded = self.whole.values().filter(|encoded| encoded.get().is_some()).count();
        tally.account(self.messages, encoded, &self.context.metrics);
    }

    fn give(&self, member: &TopicMember, tally: &mut Tally) {
        let TopicMember { encoding, .. } = member;
        let encoded = self.whole[*encoding].get_or_init(|| encoding.events(self.messages));
        self.push(member, encoded, self.messages.len(), tally);
    }

    /// Gives the events that no earlier pattern of this member delivers and
    /// that are not denied to it.
    fn give_share(&self, member: &TopicMember, tally: &mut Tally) {
        let (mut mine, mut denied) = (0, 0);
        for Run { subject, places } in self.runs() {
            match member.member.share(self.pattern, subject) {
                Share::Mine => mine |= places,
                Share::Denied => denied += u64::from(places.count_ones()),
                Share::Others => tally.others += u64::from(places.count_ones()),
            }
        }
        tally.owed += denied;
        tally.denied += denied;
        match mine.count_ones() as usize {
            0 => {}
            // The usual case costs no look at the others, and nothing of its own.
            all if all == self.messages.len() => self.give(member, tally),
            some => {
                let places = (0..self.messages.len()).filter(|place| mine & (1 << place) != 0);
                let messages: Vec<_> = places.map(|place| self.messages[place].clone()).collect();
                self.push(member, &member.encoding.events(&messages), some, tally);
            }
        }
    }

    fn runs(&self) -> &[Run<'a>] {
        self.runs.get_or_init(|| {
            let mut begins = 0;
            let alike = self.messages.chunk_by(|one, next| one.subject == next.subject);
            let run = |events: &'a [Arc<Message>]| {
                let places = (u64::MAX >> (u64::BITS as usize - events.len())) << begins;
                begins += events.len();
                Run { subject: &events[0].subject, places }
            };
            alike.map(run).collect()
        })
    }

    fn push(&self, member: &TopicMember, encoded: &EncodedMessage, events: usize, tally: &mut Tally) {
        tally.owed += events as u64;
        if self.context.overflow == Overflow::Drop {
            return self.offer(member, encoded, events, tally);
        }
        if member.outbox.push(encoded) {
            tally.count(events, encoded.len());
        } else {
            tally.closed += events as u64;
        }
    }

    /// Drops the events where the queue is full, and tells the member so. Apart from the usual way, which then saves
    /// fewer registers.
    #[cold]
    fn offer(
        &self,
        TopicMember { member, outbox, .. }: &TopicMember,
        encoded: &EncodedMessage,
        events: usize,
        tally: &mut Tally,
    ) {
        let mut closed = false;
        let (taken, begins) = member.overflow().send(self.pattern, || match outbox.offer(encoded) {
            Offer::Taken => true,
            Offer::Full => false,
            Offer::Closed => {
                closed = true;
                true
            }
        });
        if begins {
            self.context.tasks.spawn(tell(member.clone()));
        }
        match (taken, closed) {
            (false, _) => tally.overflowed += events as u64,
            (true, true) => tally.closed += events as u64,
            (true, false) => tally.count(events, encoded.len()),
        }
    }
}
