//! The load: which subjects, how large, how fast.

use std::ops::Range;

use crate::{
    clock::{self, SECOND},
    feed::Feed,
};

/// How fast events are published.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// So many a second, whatever happens. Latency counts from the instant at which an event is due.
    Every(f64),
    /// As many as keep so many on their way.
    Window(u64),
}

/// A part of the load.
#[derive(Clone, Debug)]
pub struct Drive {
    /// Subjects, in turn.
    pub subjects: Range<u32>,
    /// Clients that get each event.
    pub members: u64,
    /// Bytes of each event.
    pub payload: usize,
    /// How fast.
    pub pace: Pace,
    /// The clients' group.
    pub group: usize,
}

/// A drive that runs.
#[derive(Debug)]
pub(crate) struct Pump {
    drive: Drive,
    /// Deliveries of its group when it began.
    start: u64,
    published: u64,
    cursor: u32,
    due: f64,
}

impl Pump {
    pub(crate) fn new(drive: &Drive, start: [u64; 2]) -> Self {
        let cursor = drive.subjects.start;
        Self { drive: drive.clone(), start: start[drive.group], published: 0, cursor, due: clock::now() as f64 }
    }

    /// Deliveries that are still to come.
    pub(crate) fn outstanding(&self, deliveries: [u64; 2]) -> u64 {
        (self.published * self.drive.members).saturating_sub(deliveries[self.drive.group] - self.start)
    }

    /// Whether as much has been delivered as the window holds.
    pub(crate) fn ramped(&self, deliveries: [u64; 2]) -> bool {
        match self.drive.pace {
            Pace::Every(_) => true,
            Pace::Window(window) => deliveries[self.drive.group] - self.start >= window * self.drive.members,
        }
    }

    /// Publishes what is due. Returns when there will be more to do.
    pub(crate) fn publish(&mut self, feed: &mut Feed, deliveries: [u64; 2], end: u64) -> u64 {
        match self.drive.pace {
            Pace::Every(rate) => {
                let now = clock::now().min(end) as f64;
                while self.due <= now {
                    self.next(feed, self.due as u64);
                    self.due += SECOND as f64 / rate;
                }
                self.due as u64
            }
            Pace::Window(window) => {
                let done = (deliveries[self.drive.group] - self.start) / self.drive.members;
                while self.published < done + window {
                    self.next(feed, clock::now());
                }
                u64::MAX
            }
        }
    }

    fn next(&mut self, feed: &mut Feed, time: u64) {
        feed.publish(self.cursor, time, self.drive.payload);
        self.published += 1;
        self.cursor += 1;
        if self.cursor == self.drive.subjects.end {
            self.cursor = self.drive.subjects.start;
        }
    }
}
