//! What any broker yields and takes: an event, where it was published, when it
//! arrived here, and where it is stored.

use std::{sync::Arc, time::Instant};

use crate::{proto::Envelope, subject::Subject};

/// The last time that an event can have, milliseconds since the Unix epoch: the
/// end of the year 9999, after which RFC 3339 has no way to write one.
pub const LAST_TIME: u64 = 253_402_300_799_999;

/// One event on its way through this node.
#[derive(Clone, Debug)]
pub struct Message {
    /// Where it was published.
    pub subject: Subject,
    /// What its publisher says of it, and its data.
    pub envelope: Envelope,
    /// When this node got it; latency is measured from here.
    pub arrived: Instant,
    /// Where it is stored, if it is.
    pub place: Option<Place>,
}

/// A place in a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Name of the stream.
    pub stream: Arc<str>,
    /// Sequence of the event, from 1.
    pub seq: u64,
}

impl Message {
    /// An event that is here now and stored nowhere.
    pub fn new(subject: Subject, envelope: Envelope) -> Self {
        Self { subject, envelope, arrived: Instant::now(), place: None }
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

    /// Its sequence in its stream; 0 where it is stored nowhere.
    pub fn seq(&self) -> u64 {
        self.place.as_ref().map_or(0, |place| place.seq)
    }
}
