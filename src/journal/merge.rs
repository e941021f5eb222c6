//! A merge of the events of some subjects in the order of their stream, each
//! subject read by itself: the cheapest way where a stream holds much else.

use std::{collections::VecDeque, sync::Arc};

use futures_util::future::try_join_all;

use crate::{
    broker::{ReadError, Stored},
    event::{Message, PageSize},
    journal::{last_per_subject::LastEvent, shared_reads::SharedReads, source::AHEAD},
};

/// Reads of one reader at the same time.
const AT_ONCE: usize = 8;

/// A merge of some subjects, from one sequence to another.
#[derive(Debug)]
pub(crate) struct Merge {
    readers: Vec<SubjectReader>,
    page: PageSize,
}

/// The reader of one subject.
#[derive(Debug)]
struct SubjectReader {
    /// Its newest event that is wanted.
    newest: LastEvent,
    /// Where to read on.
    next: u64,
    /// Bytes of what is ahead.
    bytes: usize,
    ahead: VecDeque<Arc<Message>>,
    /// The sequence of its first event, where that was given back because too
    /// much was ahead.
    given_back: Option<u64>,
}

impl Merge {
    /// Everything behind `after` of the subjects that these events are the
    /// newest of.
    pub(crate) fn new(newest: Vec<LastEvent>, after: u64) -> Self {
        let reader =
            |newest| SubjectReader { newest, next: after + 1, bytes: 0, ahead: VecDeque::new(), given_back: None };
        let readers: Vec<SubjectReader> = newest.into_iter().map(reader).collect();
        let share = readers.len().max(1);
        let page = PageSize { events: (AHEAD.events / share).max(8), bytes: (AHEAD.bytes / share).max(4096) };
        Self { readers, page }
    }

    /// The next events in order; nothing when there are no more.
    pub(crate) async fn next(&mut self, shared_reads: &SharedReads) -> Result<Option<Vec<Arc<Message>>>, ReadError> {
        self.readers.retain(|reader| !reader.is_done());
        if self.readers.iter().any(|reader| reader.ahead.is_empty()) && !shared_reads.is_current().await? {
            return Err(ReadError::Lagging);
        }
        let page = self.page;
        // Of every line the first sequence has to be known, and of the first of all its event.
        while !self.readers.is_empty() {
            if self.readers.iter().any(|reader| reader.first().is_none()) {
                let unknown = self.readers.iter_mut().filter(|reader| reader.first().is_none());
                try_join_all(unknown.take(AT_ONCE).map(|reader| reader.read(shared_reads, page))).await?;
                self.give_back();
            } else if let Some(first) = self.readers.iter_mut().min_by_key(|reader| reader.first()) {
                if first.ahead.is_empty() {
                    first.read(shared_reads, page).await?;
                }
                let events = self.ordered();
                if !events.is_empty() {
                    return Ok(Some(events));
                }
            }
            self.readers.retain(|reader| !reader.is_done());
        }
        Ok(None)
    }

    /// The events in order, as long as the first sequence of every reader is
    /// known.
    fn ordered(&mut self) -> Vec<Arc<Message>> {
        let mut events = Vec::new();
        while let Some(first) = self.readers.iter_mut().min_by_key(|reader| reader.first().unwrap_or(0))
            && let Some(event) = first.ahead.pop_front()
        {
            first.bytes -= event.cost();
            events.push(event);
            if first.is_done() {
                self.readers.retain(|reader| !reader.is_done());
            }
        }
        events
    }

    /// Has no more ahead than one reader may: what comes last is read again.
    fn give_back(&mut self) {
        let mut bytes: usize = self.readers.iter().map(|reader| reader.bytes).sum();
        while bytes > 2 * AHEAD.bytes {
            let full = self.readers.iter_mut().filter(|reader| !reader.ahead.is_empty());
            let Some(last) = full.max_by_key(|reader| reader.first()).filter(|last| last.bytes < bytes) else { return };
            bytes -= last.bytes;
            last.give_back();
        }
    }
}

impl SubjectReader {
    fn is_done(&self) -> bool {
        self.ahead.is_empty() && self.next > self.newest.seq
    }

    /// The sequence of what comes next, where that is known.
    fn first(&self) -> Option<u64> {
        self.ahead.front().map(|event| event.seq()).or(self.given_back)
    }

    fn give_back(&mut self) {
        if let Some(first) = self.ahead.front().map(|event| event.seq()) {
            (self.given_back, self.next, self.bytes) = (Some(first), first, 0);
            self.ahead.clear();
        }
    }

    async fn read(&mut self, shared_reads: &SharedReads, size: PageSize) -> Result<(), ReadError> {
        let page = shared_reads.subject_page(&self.newest.subject, self.next, size).await?;
        let newest = self.newest.seq;
        let wanted = page.events.iter().filter(|stored| stored.seq >= self.next && stored.seq < newest);
        self.ahead.extend(wanted.filter_map(|Stored { event, .. }| event.clone()));
        let next = page.through.max(self.next) + 1;
        // It is known already, whatever a copy that lags has of it.
        if next > newest || !page.more {
            let here = page.events.iter().find(|stored| stored.seq == newest).and_then(|stored| stored.event.clone());
            match self.newest.event.clone().or(here) {
                Some(event) => self.ahead.push_back(event),
                // It was too large to be kept meanwhile, and has gone, or this copy lacks it.
                None => {
                    self.ahead.clear();
                    return Err(ReadError::Lagging);
                }
            }
            self.next = newest + 1;
        } else {
            self.next = next;
        }
        self.given_back = None;
        self.bytes = self.ahead.iter().map(|event| event.cost()).sum();
        Ok(())
    }
}
