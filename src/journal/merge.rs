//! The events of some subjects in the order of their stream, each subject read
//! by itself: what costs a server least where a stream holds much else.

use std::{collections::VecDeque, sync::Arc};

use futures_util::future::try_join_all;

use crate::{
    broker::{Message, PageSize, ReadError, Stored},
    journal::shelf::Shelf,
};

/// Subjects that are read one by one. Beyond, reading all in order is cheaper.
pub(crate) const SUBJECTS: usize = 64;

/// What is read ahead by one reader, all subjects together.
const AHEAD: PageSize = PageSize { events: 512, bytes: 256 * 1024 };

/// Reads of one reader at the same time.
const AT_ONCE: usize = 8;

/// Some subjects, from one sequence to another.
#[derive(Debug)]
pub(crate) struct Merge {
    lines: Vec<Line>,
    page: PageSize,
}

/// One subject.
#[derive(Debug)]
struct Line {
    /// Its newest event that is wanted.
    newest: Arc<Message>,
    /// Where to read on.
    next: u64,
    ahead: VecDeque<Arc<Message>>,
}

impl Merge {
    /// Everything behind `after` of the subjects that these events are the
    /// newest of.
    pub(crate) fn new(newest: Vec<Arc<Message>>, after: u64) -> Self {
        let lines: Vec<Line> =
            newest.into_iter().map(|newest| Line { newest, next: after + 1, ahead: VecDeque::new() }).collect();
        let share = lines.len().max(1);
        let page = PageSize { events: (AHEAD.events / share).max(8), bytes: (AHEAD.bytes / share).max(4096) };
        Self { lines, page }
    }

    /// The next events in order; nothing when there are no more.
    pub(crate) async fn next(&mut self, shelf: &Shelf) -> Result<Option<Vec<Arc<Message>>>, ReadError> {
        self.lines.retain(|line| !line.is_done());
        if self.lines.iter().any(|line| line.ahead.is_empty()) && !shelf.is_current().await? {
            return Err(ReadError::Lagging);
        }
        let page = self.page;
        let mut empty: Vec<&mut Line> = self.lines.iter_mut().filter(|line| line.ahead.is_empty()).collect();
        for some in empty.chunks_mut(AT_ONCE) {
            try_join_all(some.iter_mut().map(|line| line.read(shelf, page))).await?;
        }
        if self.lines.is_empty() {
            return Ok(None);
        }
        let mut events = Vec::new();
        // In order as long as something of every line is at hand.
        while let Some(first) =
            self.lines.iter_mut().min_by_key(|line| line.ahead.front().map_or(0, |event| event.seq()))
            && let Some(event) = first.ahead.pop_front()
        {
            events.push(event);
            if first.is_done() {
                self.lines.retain(|line| !line.is_done());
            }
        }
        Ok(Some(events))
    }
}

impl Line {
    fn is_done(&self) -> bool {
        self.ahead.is_empty() && self.next > self.newest.seq()
    }

    async fn read(&mut self, shelf: &Shelf, size: PageSize) -> Result<(), ReadError> {
        let page = shelf.line(&self.newest.subject, self.next, size).await?;
        let newest = self.newest.seq();
        let wanted = page.events.iter().filter(|stored| stored.seq >= self.next && stored.seq < newest);
        self.ahead.extend(wanted.filter_map(|Stored { event, .. }| event.clone()));
        self.next = page.through.max(self.next) + 1;
        // It is known already, whatever a copy that lags has of it.
        if self.next > newest || !page.more {
            self.ahead.push_back(self.newest.clone());
            self.next = newest + 1;
        }
        Ok(())
    }
}
