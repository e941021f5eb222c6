//! A message is an event as any broker yields and takes it: its subject, its
//! envelope, the time at which it arrived here, and its place in a stream.

use std::{sync::Arc, time::Instant};

use crate::{
    event::{batch_mark::BatchMark, gone::Gone},
    proto::{Envelope, Event},
    subject::Subject,
};

/// The last time that an event can have, milliseconds since the Unix epoch: the
/// end of the year 9999, after which RFC 3339 has no way to write one.
pub const LAST_TIME: u64 = 253_402_300_799_999;

/// One event on its way through this node.
#[derive(Clone, Debug)]
pub struct Message {
    /// Where it was published.
    pub subject: Subject,
    /// The attributes that its publisher gave it, and its data.
    pub envelope: Envelope,
    /// When this node got it; latency is measured from here.
    pub arrived: Instant,
    /// Where it is stored, if it is.
    pub place: Option<Place>,
    /// Why there is no value any more, where this is the end of one.
    pub gone: Option<Gone>,
    /// Whether the stream keeps no trace of this end: its place is where it is handed out, which clients are not told.
    pub untraced: bool,
    /// Its mark, where it was published in an atomic batch.
    pub batch: Option<Box<BatchMark>>,
}

/// A place in a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Name of the stream.
    pub stream: Arc<str>,
    /// Sequence of the event, from 1.
    pub seq: u64,
}

/// Bytes that any event takes in memory beside its own: the message itself, its
/// place in a queue and in an index by subject, and what allocations round up to.
pub const EVENT_BYTES: usize = 400;

/// Bytes of a node of the map that headers are in, each of up to 11 of them; of
/// more headers at least six share one.
const HEADER_NODE: (usize, usize, usize) = (544, 11, 6);

/// Bytes of a header beside its text: two allocations, rounded up.
const HEADER_BYTES: usize = 24;

impl Message {
    /// Bytes that the event takes in memory, for whatever bounds that: windows,
    /// queues, pages and answers. Within a half of what an allocator counts,
    /// whatever it is made of.
    pub fn cost(&self) -> usize {
        let Envelope { id, r#type, source, content_type, headers, data, time: _ } = &self.envelope;
        let text = self.subject.as_str().len() + id.len() + r#type.len() + source.len() + content_type.len();
        let mark = self.batch.as_ref().map_or(0, |mark| mark.cost());
        let event = EVENT_BYTES + data.len() + text + mark;
        if headers.is_empty() {
            return event;
        }
        let (node, most, least) = HEADER_NODE;
        let nodes = if headers.len() <= most { 1 } else { headers.len().div_ceil(least) };
        let headers: usize = headers.iter().map(|(name, value)| HEADER_BYTES + name.len() + value.len()).sum();
        event + nodes * node + headers
    }

    /// An event that is here now and stored nowhere.
    pub fn new(subject: Subject, envelope: Envelope) -> Self {
        Self { subject, envelope, arrived: Instant::now(), place: None, gone: None, untraced: false, batch: None }
    }

    /// The event with this node's time, where its publisher gave
    /// none that clients could read.
    #[must_use]
    pub fn stamped(mut self, unix_millis: u64) -> Self {
        if self.envelope.time == 0 || self.envelope.time > LAST_TIME {
            self.envelope.time = unix_millis;
        }
        self
    }

    /// The end of a value, which has no data: what the event says but for that is kept.
    #[must_use]
    pub fn ended(mut self, gone: Option<Gone>) -> Self {
        if gone.is_some() {
            self.gone = gone;
            self.envelope.data.clear();
            self.envelope.content_type.clear();
        }
        self
    }

    /// Whether the event behind this one is of the same atomic batch.
    #[inline]
    pub fn goes_on(&self, next: &Self) -> bool {
        match (&self.batch, &next.batch) {
            (Some(mark), Some(next)) => mark.goes_on(next),
            _ => false,
        }
    }

    /// The place as clients are told.
    pub fn shown_place(&self) -> Option<&Place> {
        self.place.as_ref().filter(|_| !self.untraced)
    }

    /// Its sequence in its stream; 0 where it is stored nowhere.
    pub fn seq(&self) -> u64 {
        self.place.as_ref().map_or(0, |place| place.seq)
    }
}

/// An event as clients are told of it.
impl From<Message> for Event {
    fn from(Message { subject, envelope, place, gone, untraced, batch, arrived: _ }: Message) -> Self {
        let Envelope { id, time, r#type, source, content_type, headers, data } = envelope;
        let (stream, seq) =
            place.filter(|_| !untraced).map(|place| (place.stream.to_string(), place.seq)).unwrap_or_default();
        let gone = gone.map_or("", Gone::label).to_owned();
        let subject = subject.to_string();
        let batch = batch.as_deref().map(Into::into);
        Self { subject, stream, seq, id, time, r#type, source, content_type, headers, data, gone, batch }
    }
}

/// The envelope of a client's event: where that stands is for the node to tell.
impl From<Event> for Envelope {
    fn from(event: Event) -> Self {
        // The place, the end of a value and the batch are for the node to tell.
        let Event { id, time, r#type, source, content_type, headers, data, .. } = event;
        Self { id, time, r#type, source, content_type, headers, data }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_told_all_of_an_event_and_say_all_but_its_place() {
        let envelope = Envelope {
            id: "i".into(),
            time: 5,
            r#type: "t".into(),
            source: "s".into(),
            content_type: "text/plain".into(),
            headers: [("k".to_owned(), "v".to_owned())].into(),
            data: "d".into(),
        };
        let subject = || Subject::parse("a.b").expect("a subject");
        let place = Some(Place { stream: "S".into(), seq: 7 });
        let event = Event::from(Message { place, ..Message::new(subject(), envelope.clone()) });
        assert_eq!((event.subject.as_str(), event.stream.as_str(), event.seq), ("a.b", "S", 7));
        assert_eq!(Envelope::from(event), envelope);
        let ended = Message::new(subject(), envelope.clone()).ended(Some(Gone::Expired));
        let event = Event::from(ended);
        assert_eq!((event.gone.as_str(), event.id.as_str(), event.data.len()), ("expired", "i", 0));
        let nowhere = Event::from(Message::new(subject(), envelope));
        assert_eq!((nowhere.stream.as_str(), nowhere.seq), ("", 0));
    }
}
