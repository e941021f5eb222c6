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
            channel::{Channel, Follower},
            event_set::EventSet,
            stream_id::{offer_with_id, write_id},
        },
        tally::Tally,
    },
    journal::{Cursor, Journal},
    metrics::Metrics,
    outbox::Offer,
    subject::Subject,
};

/// The delivery of one batch, with so many words for the events that a follower wants.
pub(crate) struct StreamDelivery<'a, const WORDS: usize> {
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
    several: Vec<Several<WORDS>>,
    /// Where they stand there, by address.
    known: HashMap<usize, usize>,
    /// The last encoded events.
    made: PerEncoding<Option<(EventSet<WORDS>, EncodedMessage)>>,
    /// The `id` of a connection that follows several streams; kept for its memory.
    id: Vec<u8>,
    /// How often something was made.
    encoded: usize,
    /// Connections without room, which lag from now on.
    pub(crate) lagging: Vec<Arc<Member>>,
    pub(crate) tally: Tally,
}

/// The events that several patterns of one connection bring.
struct Several<const WORDS: usize> {
    member: Arc<Member>,
    /// Of its progress, when the first of them was asked.
    version: u32,
    /// The events that it wants.
    wanted: EventSet<WORDS>,
}

impl<'a, const WORDS: usize> StreamDelivery<'a, WORDS> {
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
    pub(crate) fn give_all(&mut self, followers: &Slab<Follower>, wanted: EventSet<WORDS>) {
        for (_, Follower { member, from }) in followers {
            self.give(member, *from, wanted);
        }
    }

    fn give(&mut self, member: &Arc<Member>, from: Cursor, wanted: EventSet<WORDS>) {
        let stream = self.stream;
        let lags = member.progress().with_peers(stream, |progress, peers| {
            let wanted = self.beyond(wanted, from);
            if progress.has_several() {
                effort::step();
                let several = &mut self.several;
                let place = *self.known.entry(Arc::as_ptr(member).addr()).or_insert_with(|| {
                    several.push(Several {
                        member: member.clone(),
                        version: progress.version(),
                        wanted: EventSet::NONE,
                    });
                    several.len() - 1
                });
                several[place].wanted = several[place].wanted.with(wanted);
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
                    wanted = wanted.places().filter(|place| wants(self.subject(*place))).collect();
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
        wanted: EventSet<WORDS>,
    ) -> bool {
        self.tally.owed += wanted.len() as u64;
        if progress.lags {
            progress.endings_missed |= self.endings && !wanted.is_empty();
            self.wait(progress, wanted);
            return false;
        }
        let left = self.beyond(wanted, progress.sent);
        // Events that it has already were counted when it caught up.
        self.wait(progress, wanted.without(left));
        if !progress.filtered {
            return self.offer(member, progress, peers, (left, EventSet::NONE));
        }
        let (mut allowed, mut last) = (EventSet::NONE, None);
        for place in left.places() {
            let subject = self.subject(place);
            let denied = match last {
                Some((before, denied)) if before == subject => denied,
                _ => member.denies(subject),
            };
            last = Some((subject, denied));
            if !denied {
                allowed.add(place);
            }
        }
        self.offer(member, progress, peers, (allowed, left.without(allowed)))
    }

    /// Offers events, behind which others are passed over because they are
    /// denied. True when there is no room from now on.
    fn offer(
        &mut self,
        member: &Arc<Member>,
        progress: &mut StreamProgress,
        peers: OtherStreams<'_>,
        (wanted, denied): (EventSet<WORDS>, EventSet<WORDS>),
    ) -> bool {
        let Some(last) = wanted.last() else {
            self.tally.denied += denied.len() as u64;
            return false;
        };
        let last = Cursor { seq: self.events[last].seq(), ..self.begun };
        let message = self.encode(member.encoding(), wanted, last);
        match offer_with_id(member, &message, self.journals, (self.stream, last), peers, &mut self.id) {
            Offer::Taken => {
                self.tally.count(wanted.len(), message.len());
                self.tally.denied += denied.len() as u64;
                progress.sent = last;
                self.settle(progress);
                false
            }
            Offer::Full => {
                progress.endings_missed |= self.endings;
                // All of them are read again, and then it is asked again.
                self.wait(progress, wanted.with(denied));
                progress.fall_behind(self.begun)
            }
            Offer::Closed => {
                self.tally.closed += wanted.len() as u64;
                self.tally.denied += denied.len() as u64;
                false
            }
        }
    }

    /// Notes events that the connection gets from the stream, or has got.
    fn wait(&mut self, progress: &mut StreamProgress, events: EventSet<WORDS>) {
        let events = events.len() as i64;
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
    fn beyond(&self, wanted: EventSet<WORDS>, cursor: Cursor) -> EventSet<WORDS> {
        if !cursor.is_beyond(self.begun) {
            return wanted;
        }
        wanted.from(self.events.partition_point(|event| event.seq() <= cursor.seq))
    }

    fn subject(&self, place: usize) -> &'a Subject {
        &self.events[place].subject
    }

    /// Encoded once for all who get the same, up to `last`.
    fn encode(&mut self, encoding: Encoding, wanted: EventSet<WORDS>, last: Cursor) -> EncodedMessage {
        if let Some((made, message)) = &self.made[encoding]
            && *made == wanted
        {
            return message.clone();
        }
        // Of a connection that follows no other stream.
        let id = |upto: Option<u64>, out: &mut Vec<u8>| {
            write_id(self.journals, [(self.stream, Cursor { seq: upto.unwrap_or(last.seq), ..last })], out);
        };
        let message = if wanted.len() == self.events.len() {
            encoding.stored(self.events, id)
        } else {
            let events: Vec<_> = wanted.places().map(|place| self.events[place].clone()).collect();
            encoding.stored(&events, id)
        };
        self.encoded += 1;
        self.made[encoding] = Some((wanted, message.clone()));
        message
    }
}
