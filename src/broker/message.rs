//! What any broker yields and takes: an event, where it was published, and
//! when it arrived here.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

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
}

impl Message {
    /// An event that is here now.
    pub fn new(subject: Subject, envelope: Envelope) -> Self {
        Self { subject, envelope, arrived: Instant::now() }
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
}

/// This node's clock, milliseconds since the Unix epoch.
pub fn unix_millis() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
