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
        live::{fan_out::LiveFanOut, overflow::tell},
        member::{EventChecks, Member, Share},
    },
    metrics::{Metrics, Undelivered},
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
    fan_out: &'a LiveFanOut,
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

/// Counts of one delivery, for the metrics.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// Messages handed to connections.
    pub(crate) deliveries: usize,
    /// Events that connections were to get.
    pub(crate) owed: u64,
    events: u64,
    bytes: u64,
    /// Events that they did not get, and why.
    pub(crate) closed: u64,
    overflowed: u64,
    pub(crate) denied: u64,
    pub(crate) expired: u64,
    pub(crate) conflated: u64,
    /// Events that another subscription of the connection brings.
    others: u64,
    /// Change of what waits in streams for connections that lag.
    pub(crate) pending: i64,
}

impl<'a> LiveDelivery<'a> {
    pub(crate) fn new(pattern: &'a Pattern, messages: &'a [Arc<Message>], fan_out: &'a LiveFanOut) -> Self {
        Self { pattern, messages, fan_out, whole: PerEncoding::default(), runs: OnceCell::new() }
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
        tally.account(self.messages, encoded, &self.fan_out.metrics);
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
        let TopicMember { member, outbox, .. } = member;
        tally.owed += events as u64;
        let taken = match self.fan_out.overflow {
            Overflow::Close => outbox.push(encoded),
            Overflow::Drop => {
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
                    self.fan_out.tasks.spawn(tell(member.clone()));
                }
                if !taken {
                    tally.overflowed += events as u64;
                    return;
                }
                !closed
            }
        };
        if taken {
            tally.count(events, encoded.len());
        } else {
            tally.closed += events as u64;
        }
    }
}

impl Tally {
    /// Notes what was handed to a connection.
    pub(crate) fn count(&mut self, events: usize, bytes: usize) {
        self.deliveries += 1;
        self.events += events as u64;
        self.bytes += bytes as u64;
    }

    /// Counts a delivery that is complete, encoded so many times, and begins
    /// the next one.
    pub(crate) fn account(&mut self, messages: &[Arc<Message>], encoded: usize, metrics: &Metrics) {
        let Self { deliveries, owed, events, bytes, closed, overflowed, denied, expired, conflated, others, pending } =
            std::mem::take(self);
        self.deliveries = deliveries;
        if others > 0 {
            metrics.redundant_copies.increment(others);
        }
        metrics.owed.increment(owed);
        metrics.deliveries.increment(events);
        metrics.bytes_sent.increment(bytes);
        metrics.batches.increment(encoded as u64);
        for (reason, events) in [
            (Undelivered::Closed, closed),
            (Undelivered::Overflow, overflowed),
            (Undelivered::Denied, denied),
            (Undelivered::Expired, expired),
            (Undelivered::Conflated, conflated),
        ] {
            if events > 0 {
                metrics.undelivered.of(reason).increment(events);
            }
        }
        if pending != 0 {
            metrics.pending.increment(pending as f64);
        }
        if let Some(first) = messages.first() {
            metrics.delivery_latency.record(first.arrived.elapsed());
        }
    }
}
