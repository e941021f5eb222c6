//! The delivery of one batch of a stream to its followers, each event once and in
//! order.

use std::{collections::HashMap, sync::Arc};

use slab::Slab;

use crate::{
    classes::StreamIndex,
    codec::{Encoding, PerEncoding},
    config::Delivery,
    effort,
    encoded_message::EncodedMessage,
    event::Message,
    hub::{
        member::Member,
        member_progress::{OtherStreams, StreamProgress},
        stream::{
            channel::{Channel, Follower, bit},
            stream_id::write_id,
        },
        tally::Tally,
    },
    journal::{Cursor, Journal},
    metrics::Metrics,
    outbox::Offer,
    subject::Subject,
};

/// The delivery of one batch. The events that a follower wants are a set of bits,
/// one for each event by its place.
pub(crate) struct StreamDelivery<'a> {
    stream: StreamIndex,
    /// Those of all streams.
    journals: &'a [Arc<Journal>],
    /// Whether only newest values matter.
    latest: bool,
    /// Whether the events are ends of values without a trace, which nobody can read later.
    endings: bool,
    events: &'a [Arc<Message>],
    /// Everybody has everything up to here.
    begun: Cursor,
    /// Connections that may get an event by several patterns.
    several: Vec<Several>,
    /// Where they stand there, by address.
    known: HashMap<usize, usize>,
    /// The last encoded events.
    made: PerEncoding<Option<(u64, EncodedMessage)>>,
    /// The `id` of a connection that follows several streams; kept for its memory.
    id: Vec<u8>,
    /// How often something was made.
    encoded: usize,
    /// Connections without room, which lag from now on.
    pub(crate) lagging: Vec<Arc<Member>>,
    pub(crate) tally: Tally,
}

/// The events that several patterns of one connection bring.
struct Several {
    member: Arc<Member>,
    /// Of its progress, when the first of them was asked.
    version: u32,
    /// The events that it wants.
    wanted: u64,
}

impl<'a> StreamDelivery<'a> {
    pub(crate) fn new(channel: &'a Channel, events: &'a [Arc<Message>], begun: Cursor) -> Self {
        let journal = channel.journal();
        Self {
            stream: journal.stream(),
            journals: channel.journals(),
            latest: journal.delivery() == Delivery::Latest,
            endings: events.first().is_some_and(|event| event.untraced),
            events,
            begun,
            several: Vec::new(),
            known: HashMap::new(),
            made: PerEncoding::default(),
            id: Vec::new(),
            encoded: 0,
            lagging: Vec::new(),
            tally: Tally::default(),
        }
    }

    /// Gives those who stand there the events that their pattern wants.
    pub(crate) fn give_all(&mut self, followers: &Slab<Follower>, wanted: u64) {
        for (_, Follower { member, from }) in followers {
            self.give(member, *from, wanted);
        }
    }

    fn give(&mut self, member: &Arc<Member>, from: Cursor, wanted: u64) {
        let stream = self.stream;
        let lags = member.progress().with_peers(stream, |progress, peers| {
            let wanted = self.beyond(wanted, from);
            if progress.has_several() {
                effort::step();
                let several = &mut self.several;
                let place = *self.known.entry(Arc::as_ptr(member).addr()).or_insert_with(|| {
                    several.push(Several { member: member.clone(), version: progress.version(), wanted: 0 });
                    several.len() - 1
                });
                several[place].wanted |= wanted;
                return false;
            }
            self.send(member, progress, peers, wanted)
        });
        if lags == Some(true) {
            self.lagging.push(member.clone());
        }
    }

    /// Gives what several patterns of one connection bring, once all have been
    /// gone through, to at most `most` connections. True when there are more.
    pub(crate) fn give_several(&mut self, most: usize) -> bool {
        for _ in 0..most {
            let Some(Several { member, version, mut wanted }) = self.several.pop() else { return false };
            let lags = member.progress().with_peers(self.stream, |progress, peers| {
                if progress.version() != version {
                    // One of the patterns was given up meanwhile.
                    let wants = progress.wants();
                    wanted = self.places(wanted).filter(|place| wants(self.subject(*place))).map(bit).sum();
                }
                self.send(&member, progress, peers, wanted)
            });
            if lags == Some(true) {
                self.lagging.push(member);
            }
        }
        !self.several.is_empty()
    }

    pub(crate) fn account(&mut self, metrics: &Metrics) {
        self.tally.account(self.events, self.encoded, metrics);
    }

    /// Sends what the connection does not have yet. True when there is no room
    /// from now on.
    fn send(
        &mut self,
        member: &Arc<Member>,
        progress: &mut StreamProgress,
        peers: OtherStreams<'_>,
        wanted: u64,
    ) -> bool {
        self.tally.owed += u64::from(wanted.count_ones());
        if progress.lags {
            progress.endings_missed |= self.endings && wanted != 0;
            self.wait(progress, wanted);
            return false;
        }
        let left = self.beyond(wanted, progress.sent);
        // Events that it has already were counted when it caught up.
        self.wait(progress, wanted & !left);
        if !progress.filtered {
            return self.offer(member, progress, peers, (left, 0));
        }
        let (mut allowed, mut last) = (0, None);
        for place in self.places(left) {
            let subject = self.subject(place);
            let denied = match last {
                Some((before, denied)) if before == subject => denied,
                _ => member.denies(subject),
            };
            last = Some((subject, denied));
            allowed |= if denied { 0 } else { bit(place) };
        }
        self.offer(member, progress, peers, (allowed, left & !allowed))
    }

    /// Offers events, behind which others are passed over because they are
    /// denied. True when there is no room from now on.
    fn offer(
        &mut self,
        member: &Arc<Member>,
        progress: &mut StreamProgress,
        peers: OtherStreams<'_>,
        (wanted, denied): (u64, u64),
    ) -> bool {
        let Some(last) = wanted.checked_ilog2() else {
            self.tally.denied += u64::from(denied.count_ones());
            return false;
        };
        let last = Cursor { seq: self.events[last as usize].seq(), ..self.begun };
        let message = self.encode(member.encoding(), wanted, last);
        let of_its_own = member.encoding().has_ids() && !peers.is_empty();
        if of_its_own {
            self.id.clear();
            write_id(self.journals, peers.and(self.stream, last), &mut self.id);
        }
        match member.outbox().offer_led(&message, of_its_own.then_some(&*self.id)) {
            Offer::Taken => {
                self.tally.count(wanted.count_ones() as usize, message.len());
                self.tally.denied += u64::from(denied.count_ones());
                progress.sent = last;
                self.settle(progress);
                false
            }
            Offer::Full => {
                progress.endings_missed |= self.endings;
                // All of them are read again, and then it is asked again.
                self.wait(progress, wanted | denied);
                progress.fall_behind(self.begun)
            }
            Offer::Closed => {
                self.tally.closed += u64::from(wanted.count_ones());
                self.tally.denied += u64::from(denied.count_ones());
                false
            }
        }
    }

    /// Notes events that the connection gets from the stream, or has got.
    fn wait(&mut self, progress: &mut StreamProgress, events: u64) {
        let events = i64::from(events.count_ones());
        progress.pending += events;
        self.tally.pending += events;
    }

    /// The connection is up with the others: what it was to get and has not got
    /// was superseded, or the stream had dropped it.
    fn settle(&mut self, progress: &mut StreamProgress) {
        let left = std::mem::take(&mut progress.pending);
        self.tally.pending -= left;
        let left = u64::try_from(left).unwrap_or(0);
        if self.latest {
            self.tally.conflated += left;
        } else {
            self.tally.expired += left;
        }
    }

    /// Of some events those that come behind a cursor.
    fn beyond(&self, wanted: u64, cursor: Cursor) -> u64 {
        if !cursor.is_beyond(self.begun) {
            return wanted;
        }
        let there = self.events.partition_point(|event| event.seq() <= cursor.seq);
        wanted & u64::MAX.checked_shl(there as u32).unwrap_or(0)
    }

    /// The places of some events, in their order.
    fn places(&self, wanted: u64) -> impl Iterator<Item = usize> + use<> {
        (0..self.events.len()).filter(move |place| wanted & bit(*place) != 0)
    }

    fn subject(&self, place: usize) -> &'a Subject {
        &self.events[place].subject
    }

    /// Encoded once for all who get the same, up to `last`.
    fn encode(&mut self, encoding: Encoding, wanted: u64, last: Cursor) -> EncodedMessage {
        if let Some((made, message)) = &self.made[encoding]
            && *made == wanted
        {
            return message.clone();
        }
        // Of a connection that follows no other stream.
        let id = |out: &mut Vec<u8>| write_id(self.journals, [(self.stream, last)], out);
        let message = if wanted.count_ones() as usize == self.events.len() {
            encoding.stored(self.events, id)
        } else {
            let events: Vec<_> = self.places(wanted).map(|place| self.events[place].clone()).collect();
            encoding.stored(&events, id)
        };
        self.encoded += 1;
        self.made[encoding] = Some((wanted, message.clone()));
        message
    }
}
