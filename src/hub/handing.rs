//! One turn of a stream's fan-out: events to those who want them, each once
//! and in order.

use std::{collections::HashMap, sync::Arc};

use slab::Slab;

use crate::{
    broker::Message,
    classes::StreamIndex,
    codec::Encoding,
    config::Delivery,
    hub::{channel::Follower, delivery::Tally, member::Member, seats::Seat},
    journal::{Cursor, Journal},
    metrics::Metrics,
    outbox::Offer,
    socket::Chunk,
};

/// Events that are handed out together.
pub(crate) struct Handing<'a> {
    stream: StreamIndex,
    /// Whether only newest values matter.
    latest: bool,
    events: &'a [Arc<Message>],
    /// Everybody has everything up to here.
    begun: Cursor,
    /// Connections that may get an event by several patterns, by address.
    several: HashMap<usize, Several>,
    /// What was made of which events last.
    made: [Option<(Vec<u32>, Chunk)>; 2],
    /// How often something was made.
    encoded: usize,
    /// Connections without room, which lag from now on.
    pub(crate) lagging: Vec<Arc<Member>>,
    pub(crate) tally: Tally,
}

/// What several patterns of a connection bring.
struct Several {
    member: Arc<Member>,
    /// Of its seat, when the first of them was asked.
    edition: u32,
    /// Of the events that it wants.
    numbers: Vec<u32>,
}

impl<'a> Handing<'a> {
    pub(crate) fn new(journal: &Journal, events: &'a [Arc<Message>], begun: Cursor) -> Self {
        Self {
            stream: journal.stream(),
            latest: journal.delivery() == Delivery::Latest,
            events,
            begun,
            several: HashMap::new(),
            made: [None, None],
            encoded: 0,
            lagging: Vec::new(),
            tally: Tally::default(),
        }
    }

    /// Gives those who stand there the events of these numbers.
    pub(crate) fn give_all(&mut self, followers: &Slab<Follower>, numbers: &[u32]) {
        for (_, Follower { member, from }) in followers {
            self.give(member, *from, numbers);
        }
    }

    fn give(&mut self, member: &Arc<Member>, from: Cursor, numbers: &[u32]) {
        let stream = self.stream;
        let lags = member.seats().with(stream, |seat| {
            let begins = self.begins(numbers, from);
            if seat.has_several() {
                let address = Arc::as_ptr(member).addr();
                let several = self.several.entry(address).or_insert_with(|| Several {
                    member: member.clone(),
                    edition: seat.edition(),
                    numbers: Vec::new(),
                });
                several.numbers.extend_from_slice(&numbers[begins..]);
                return false;
            }
            self.send(member, seat, &numbers[begins..])
        });
        if lags == Some(true) {
            self.lagging.push(member.clone());
        }
    }

    /// Gives what several patterns of one connection bring.
    pub(crate) fn give_several(&mut self) {
        for (_, Several { member, edition, mut numbers }) in std::mem::take(&mut self.several) {
            numbers.sort_unstable();
            numbers.dedup();
            let lags = member.seats().with(self.stream, |seat| {
                if seat.edition() != edition {
                    // One of the patterns was given up meanwhile.
                    numbers.retain(|number| seat.wants(&self.events[*number as usize].subject));
                }
                self.send(&member, seat, &numbers)
            });
            if lags == Some(true) {
                self.lagging.push(member);
            }
        }
    }

    pub(crate) fn account(&mut self, metrics: &Metrics) {
        self.tally.account(self.events, self.encoded, metrics);
    }

    /// Sends what the connection does not have yet. True when there is no room
    /// from now on.
    fn send(&mut self, member: &Arc<Member>, seat: &mut Seat, numbers: &[u32]) -> bool {
        self.tally.owed += numbers.len() as u64;
        if seat.lags {
            self.wait(seat, numbers.len());
            return false;
        }
        let begins = self.begins(numbers, seat.sent);
        // What it has already was counted when it caught up.
        self.wait(seat, begins);
        let numbers = &numbers[begins..];
        if !seat.filtered {
            return self.offer(member, seat, numbers, 0);
        }
        let events = self.events;
        let subject = |number: &u32| &events[*number as usize].subject;
        let alike = numbers.chunk_by(|one, next| subject(one) == subject(next));
        let allowed = alike.filter(|alike| !member.denies(subject(&alike[0])));
        let allowed: Vec<u32> = allowed.flatten().copied().collect();
        self.offer(member, seat, &allowed, numbers.len() - allowed.len())
    }

    /// Offers events, behind which so many are passed over because they are
    /// denied. True when there is no room from now on.
    fn offer(&mut self, member: &Arc<Member>, seat: &mut Seat, numbers: &[u32], denied: usize) -> bool {
        let Some(last) = numbers.last() else {
            self.tally.denied += denied as u64;
            return false;
        };
        let last = self.events[*last as usize].seq();
        let chunk = self.chunk(member.encoding(), numbers);
        match member.outbox().offer(&chunk) {
            Offer::Taken => {
                self.tally.count(numbers.len(), chunk.len());
                self.tally.denied += denied as u64;
                seat.sent = Cursor { seq: last, ..self.begun };
                self.settle(seat);
                false
            }
            Offer::Full => {
                // All of them are read again, and then it is asked again.
                self.wait(seat, numbers.len() + denied);
                seat.fall_behind(self.begun)
            }
            Offer::Closed => {
                self.tally.closed += numbers.len() as u64;
                self.tally.denied += denied as u64;
                false
            }
        }
    }

    /// Notes events that the connection gets from the stream, or has got.
    fn wait(&mut self, seat: &mut Seat, events: usize) {
        seat.pending += events as i64;
        self.tally.pending += events as i64;
    }

    /// The connection is up with the others: what it was to get and has not got
    /// was superseded, or the stream had dropped it.
    fn settle(&mut self, seat: &mut Seat) {
        let left = std::mem::take(&mut seat.pending);
        self.tally.pending -= left;
        let left = u64::try_from(left).unwrap_or(0);
        if self.latest {
            self.tally.conflated += left;
        } else {
            self.tally.expired += left;
        }
    }

    /// Where among these numbers what comes behind a cursor begins.
    fn begins(&self, numbers: &[u32], cursor: Cursor) -> usize {
        if !cursor.is_beyond(self.begun) {
            return 0;
        }
        numbers.partition_point(|number| self.events[*number as usize].seq() <= cursor.seq)
    }

    /// Encoded once for all who get the same.
    fn chunk(&mut self, encoding: Encoding, numbers: &[u32]) -> Chunk {
        if let Some((made, chunk)) = &self.made[encoding as usize]
            && made == numbers
        {
            return chunk.clone();
        }
        let chunk = if numbers.len() == self.events.len() {
            encoding.events(self.events)
        } else {
            let events: Vec<_> = numbers.iter().map(|number| self.events[*number as usize].clone()).collect();
            encoding.events(&events)
        };
        self.encoded += 1;
        self.made[encoding as usize] = Some((numbers.to_vec(), chunk.clone()));
        chunk
    }
}
