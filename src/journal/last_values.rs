//! The newest event of each subject, page by page: whoever takes them slowly
//! has the next page at hand and, of what is in memory, sequences. Values are
//! looked up when there is room for them; one that was superseded meanwhile
//! comes later, as an event behind all of these.

use std::{collections::VecDeque, sync::Arc};

use crate::{
    broker::ReadError,
    event::{Message, PageSize},
    event_log::{EventLog, Select},
    journal::{cursor::Cursor, shared_reads::SharedReads},
    subject::Pattern,
};

/// Sequences that are looked up at once, 8 KiB of them.
const LISTED: usize = 1_024;

/// The newest event of each subject between two sequences, in order.
#[derive(Debug)]
pub struct LastValues {
    shared_reads: Arc<SharedReads>,
    patterns: Vec<Pattern>,
    begun: u64,
    /// Everything up to here is handed out.
    cursor: Cursor,
    upto: u64,
    ahead: Ahead,
    /// Whether it was asked, together with others, what is below memory.
    surveyed: bool,
    /// Nothing more comes this way: who goes on reads on from the cursor.
    ended: bool,
    /// Whether subjects whose value is gone are left out.
    values_only: bool,
}

/// Values that come next, and the sequence up to which they are complete.
#[derive(Debug)]
enum Ahead {
    Unknown,
    /// In memory.
    Listed(VecDeque<u64>, u64),
    /// Read from the stream.
    AtHand(VecDeque<Arc<Message>>, u64),
}

impl LastValues {
    /// Those behind a cursor, as they were at a sequence of the same stream.
    pub(crate) fn new(shared_reads: Arc<SharedReads>, patterns: Vec<Pattern>, after: Cursor, upto: u64) -> Self {
        Self {
            shared_reads,
            patterns,
            begun: after.seq,
            cursor: after,
            upto,
            ahead: Ahead::Unknown,
            surveyed: false,
            ended: false,
            values_only: false,
        }
    }

    /// The same without subjects whose value is gone.
    #[must_use]
    pub(crate) fn values_only(self) -> Self {
        Self { values_only: true, ..self }
    }

    /// Up to where everything has been handed out: who has had all reads on here.
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// Whether that is all there was to be had.
    pub fn is_complete(&self) -> bool {
        self.cursor.seq >= self.upto
    }

    /// The next of them, about `size`; none when all were read, when the stream
    /// is another one, or when reading on in order has become less work.
    ///
    /// # Errors
    /// [`ReadError::TooManySubjects`] before the first of them, or when the stream
    /// cannot be read now; trying again goes on at the same place.
    pub async fn next(&mut self, size: PageSize) -> Result<Option<Vec<Arc<Message>>>, ReadError> {
        while !self.ended && !self.is_complete() {
            if matches!(self.ahead, Ahead::Unknown) {
                self.look_ahead().await?;
            }
            let events = self.take(size);
            if !events.is_empty() {
                return Ok(Some(events));
            }
        }
        Ok(None)
    }

    /// Takes what fits of what comes next.
    fn take(&mut self, size: PageSize) -> Vec<Arc<Message>> {
        let Self { shared_reads, cursor, ahead, values_only, .. } = self;
        let generation = cursor.generation;
        let (mut page, mut room) = (Vec::new(), size.room());
        let mut fits = |event: &Arc<Message>| {
            if *values_only && event.gone.is_some() {
                return true;
            }
            let fits = room.take(event.cost());
            if fits {
                page.push(event.clone());
            }
            fits
        };
        let taken = shared_reads.window.view(generation, |log, floor| match ahead {
            Ahead::Unknown => None,
            Ahead::Listed(seqs, through) => {
                while let Some(seq) = seqs.front().copied() {
                    if seq <= floor {
                        // It has left memory: what follows is read from the stream.
                        return None;
                    }
                    // A value that is superseded by now comes later in its
                    // newer form.
                    if log.get(seq).is_some_and(|event| !fits(event)) {
                        return Some(false);
                    }
                    cursor.seq = seq;
                    seqs.pop_front();
                }
                cursor.seq = *through;
                None
            }
            Ahead::AtHand(events, through) => {
                while let Some(event) = events.front() {
                    let superseded = log.newest_of(&event.subject).is_some_and(|(newest, _)| newest > event.seq());
                    if !superseded && !fits(event) {
                        return Some(false);
                    }
                    cursor.seq = event.seq();
                    events.pop_front();
                }
                cursor.seq = *through;
                None
            }
        });
        match taken {
            None => self.ended = true,
            Some(None) => self.ahead = Ahead::Unknown,
            Some(Some(_)) => {}
        }
        page
    }

    async fn look_ahead(&mut self) -> Result<(), ReadError> {
        let Self { shared_reads, patterns, cursor, upto, .. } = self;
        let look = |log: &EventLog<Arc<Message>>, floor: u64| {
            if cursor.seq < floor { Err(floor) } else { Ok(list(log, patterns, cursor.seq, *upto)) }
        };
        match shared_reads.window.view(cursor.generation, look) {
            None => self.ended = true,
            Some(Ok((seqs, through))) => self.ahead = Ahead::Listed(seqs, through),
            Some(Err(floor)) => match self.read(floor.min(self.upto)).await {
                Ok((events, through)) => self.ahead = Ahead::AtHand(events, through),
                // More has left memory than can be told by subject.
                Err(ReadError::TooManySubjects) if self.cursor.seq > self.begun => self.ended = true,
                Err(error) => return Err(error),
            },
        }
        Ok(())
    }

    /// Reads on below what is in memory.
    async fn read(&mut self, upto: u64) -> Result<(VecDeque<Arc<Message>>, u64), ReadError> {
        let after = self.cursor.seq;
        if !self.surveyed {
            let newest = self.shared_reads.last_per_subject(&self.patterns).await?;
            self.surveyed = true;
            let found = newest.found.into_iter().filter(|found| found.seq > after && found.seq <= self.upto);
            let (mut events, mut through) = (VecDeque::new(), newest.upto.min(self.upto));
            for found in found {
                let Some(event) = found.event else {
                    through = events.back().map_or(after, |event: &Arc<Message>| event.seq());
                    break;
                };
                events.push_back(event);
            }
            return Ok((events, through));
        }
        let page = self.shared_reads.newest_page(&self.patterns, after + 1, upto).await?;
        let more = page.more && page.through > after;
        let events = page.events.iter().filter_map(|stored| stored.event.clone()).collect();
        Ok((events, if more { page.through } else { upto }))
    }
}

/// Sequences of the newest events in memory behind a sequence, as they were at
/// another, and up to where these are all.
fn list(log: &EventLog<Arc<Message>>, patterns: &[Pattern], after: u64, upto: u64) -> (VecDeque<u64>, u64) {
    let page = log.page(patterns, Select::Newest, after, upto, LISTED);
    (page.events.into_iter().map(|(seq, _)| seq).collect(), page.through)
}
