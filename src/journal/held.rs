//! The events that a window holds, and the removals that the stream has told.
//! Free of I/O.

use std::{ops::ControlFlow, sync::Arc};

use crate::{
    broker::{Stored, StreamState},
    event::{Gone, Message, Packer, PageSize, batch_parts::part},
    event_log::{Appended, Bounds, EventLog},
    journal::{endings::Endings, open_batch::OpenBatch, removals::Removals, reorder_buffer::size},
};

/// The events of one stream that are in memory.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) log: EventLog<Arc<Message>>,
    removals: Removals,
    /// Values that have ended without a trace, where only newest values matter.
    pub(crate) endings: Option<Endings>,
    /// The atomic batch at the end, while it is not complete.
    pub(crate) open: OpenBatch,
    /// Grows whenever the stream may have removed something.
    version: u32,
}

/// The progress of a window: read, and handed out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WindowProgress {
    /// Everything up to here is in memory.
    pub(crate) head: u64,
    /// Everything up to here is handed out.
    pub(crate) handed: u64,
}

impl Held {
    /// Empty, with at most `per_subject` events of one subject. Of an atomic batch at most `batch` is handed out together.
    pub(crate) fn new(per_subject: usize, batch: PageSize) -> Self {
        let log = EventLog::new(Bounds { per_subject, ..Bounds::NONE });
        let endings = (per_subject == 1).then(Endings::default);
        Self { log, removals: Removals::default(), endings, open: OpenBatch::new(batch), version: 0 }
    }

    /// Begins with a stream, and with a sequence of it.
    pub(crate) fn begin(&mut self, stream: StreamState, next: u64) {
        self.log.clear();
        self.log.set_floor(next - 1);
        self.open.clear();
        self.removals = Removals::default();
        self.removals.confirm(stream);
        if let Some(endings) = &mut self.endings {
            endings.begin(stream.last);
        }
        self.version += 1;
    }

    /// Adds an event.
    pub(crate) fn add(&mut self, stored: Stored) {
        let seq = stored.seq;
        self.open.take(&stored);
        if let Some(appended) = keep(&mut self.log, stored) {
            self.removals.came(seq, appended);
        }
    }

    /// The events behind a sequence and up to another that are handed out as one message, and up to where they are all.
    pub(crate) fn message(&self, after: u64, upto: u64, size: PageSize) -> (Vec<Arc<Message>>, u64) {
        let (mut events, mut packer) = (Vec::new(), Packer::new(size, self.open.bounds()));
        let (mut through, mut parted) = (upto, false);
        for (seq, _, event) in self.log.range(after, upto) {
            if let ControlFlow::Break(cut) = packer.take(events.last(), event) {
                through = events.get(cut.events).map_or(seq, |event: &Arc<Message>| event.seq()) - 1;
                events.truncate(cut.events);
                parted = cut.parted;
                break;
            }
            events.push(event.clone());
        }
        if parted || events.last().is_some_and(|last| self.goes_on(last, through)) {
            part(&mut events);
        }
        (events, through)
    }

    /// Whether an event of the same atomic batch has come behind a sequence, handed out or held back.
    pub(crate) fn goes_on(&self, event: &Message, after: u64) -> bool {
        let next = || self.log.range(after, self.log.head()).next().is_some_and(|(.., next)| event.goes_on(next));
        event.batch.is_some() && (self.open.goes_on(event) || next())
    }

    /// Drops what lies before the first event of a stream, as far as it is handed out.
    pub(crate) fn expire(&mut self, stream: StreamState, handed: u64) {
        let (through, floor) = (stream.first.saturating_sub(1).min(handed), self.log.floor());
        if let Some(endings) = &mut self.endings {
            endings.settle(stream.last);
            self.log.range(0, through).for_each(|(_, _, event)| endings.add(event.clone(), stream.last, Gone::Expired));
        }
        let expired = if through > floor { self.log.evict_through(through) } else { 0 };
        self.removals.expired(expired, through.min(floor));
    }

    /// The stream is going to be asked what it is.
    pub(crate) fn ask(&mut self) {
        self.removals.ask();
    }

    /// Whether all that a stream has removed has gone from here too. If so, that
    /// is what later removals are compared with.
    pub(crate) fn adds_up(&mut self, stream: &StreamState) -> bool {
        let adds_up = self.removals.add_up(stream);
        if adds_up {
            self.removals.confirm(*stream);
        } else {
            self.version += 1;
        }
        adds_up
    }

    /// From now on later removals are compared with this.
    pub(crate) fn confirm(&mut self, stream: StreamState) {
        self.removals.confirm(stream);
    }

    /// Drops events that the stream has listed as deleted. An event that is not
    /// fanned out yet stays until it is. Returns how many there were.
    pub(crate) fn drop_deleted(&mut self, stream: StreamState, deleted: &[u64], reach: WindowProgress) -> usize {
        let before = self.log.len();
        let mut all = reach.head >= stream.last;
        for seq in &deleted[deleted.partition_point(|seq| *seq <= self.log.floor())..] {
            if *seq <= reach.handed {
                let removed = self.log.remove(*seq);
                end(&mut self.endings, removed, stream.last);
            } else {
                all &= self.log.get(*seq).is_none();
            }
        }
        if all {
            self.removals.confirm(stream);
        }
        before - self.log.len()
    }

    /// Drops the events of a range that are not among those that the stream has
    /// there. Returns up to where that is done, as what is not handed out stays,
    /// and how many there were.
    pub(crate) fn keep_only(&mut self, from: u64, through: u64, stored: &[u64], reach: WindowProgress) -> (u64, usize) {
        let through = through.min(reach.handed);
        let deleted_through = |seq: &u64| stored.binary_search(seq).is_err();
        let deleted_through: Vec<u64> =
            self.log.range(from.saturating_sub(1), through).map(|(seq, ..)| seq).filter(deleted_through).collect();
        for seq in &deleted_through {
            let removed = self.log.remove(*seq);
            // What may take its place is known with the next state of the stream.
            end(&mut self.endings, removed, u64::MAX);
        }
        (through, deleted_through.len())
    }

    /// Another one says that what was read of the stream before may have been
    /// removed since.
    pub(crate) fn version(&self) -> u32 {
        self.version
    }
}

/// Notes the end of what was removed from the middle of a stream, which reached to `last` then.
fn end(endings: &mut Option<Endings>, removed: Option<Arc<Message>>, last: u64) {
    if let (Some(endings), Some(removed)) = (endings, removed) {
        endings.add(removed, last, Gone::Purged);
    }
}

/// Adds what is in order to a log.
pub(crate) fn keep(log: &mut EventLog<Arc<Message>>, stored: Stored) -> Option<Appended> {
    let bytes = size(&stored);
    let event = stored.event?;
    Some(log.append(stored.seq, event.subject.clone(), bytes, event))
}
