//! A reader of a journal reads on from a cursor: out of the window where that
//! reaches back so far, else from the stream, in the way that costs it least.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    broker::ReadError,
    event::{Message, PageSize},
    journal::{
        assembler::Assembler,
        cursor::{Cursor, Gap, Reason},
        last_per_subject::LastEvents,
        last_values::LastValues,
        lookup::Lookup,
        merge::Merge,
        read_method::{AskedStream, ChangedSubjects, ReadMethod, ReaderFacts},
        reader_count::CountedReader,
        shared_reads::SharedReads,
        source::AHEAD,
    },
    metrics::Metrics,
    subject::Pattern,
};

/// A reader that consumes a page within this time gets the next one prefetched. A
/// slower reader does not: the page might be gone again when it is needed.
const BRISK: Duration = Duration::from_millis(250);

/// Events of one subject that are counted at most, and subjects, to know whether
/// they have taken the place of others: a page of each.
const KEPT: u64 = 64;
const LITERALS: usize = 8;

/// Reads on for some patterns.
#[derive(Debug)]
pub struct Reader {
    shared_reads: Arc<SharedReads>,
    patterns: Vec<Pattern>,
    cursor: Cursor,
    older: Option<Older>,
    /// Among those who read below what is in memory.
    counted: Option<CountedReader>,
    /// Puts atomic batches together.
    assembler: Assembler,
    /// A gap that is told next, behind what stood before it, and where that ends.
    lost: Option<(Gap, Cursor)>,
    /// Pages below what is in memory that were looked through.
    pages: u64,
    metrics: Arc<Metrics>,
}

/// The next part that a reader gets.
#[derive(Debug)]
pub enum Part {
    /// Events in the order of the stream.
    Events(Vec<Arc<Message>>),
    /// These will never come.
    Lost(Gap),
    /// Nothing up to where it was asked for.
    End,
}

/// The way in which the stream is read below the window, and up to where.
#[derive(Debug)]
enum Older {
    /// The newest of each subject, as it is of values.
    Last { values: Box<LastValues>, upto: u64 },
    /// Subject by subject.
    Merge { merge: Merge, begun: u64, upto: u64 },
    /// All in order; when the last page was handed out.
    Sequential { upto: u64, handed: Option<Instant> },
}

impl Older {
    fn in_order(upto: u64) -> Self {
        Self::Sequential { upto, handed: None }
    }
}

impl Reader {
    pub(crate) fn new(
        shared_reads: Arc<SharedReads>,
        patterns: Vec<Pattern>,
        cursor: Cursor,
        metrics: Arc<Metrics>,
    ) -> Self {
        let assembler = Assembler::new(shared_reads.window.batch());
        Self { shared_reads, patterns, cursor, older: None, counted: None, assembler, lost: None, pages: 0, metrics }
    }

    /// Everything up to here has been handed out: it never stands within an atomic batch, unless the batch is above its
    /// bounds.
    pub fn cursor(&self) -> Cursor {
        match (self.assembler.first(), self.lost) {
            (Some(first), _) => Cursor { seq: first.seq() - 1, ..self.cursor },
            (None, Some((_, before))) => before,
            (None, None) => self.cursor,
        }
    }

    /// How many pages below what is in memory were looked through since this was
    /// asked, whatever was found there.
    pub fn take_pages(&mut self) -> u64 {
        std::mem::take(&mut self.pages)
    }

    /// The next part up to a sequence, of about this size, and not without the rest of an atomic batch.
    ///
    /// # Errors
    /// When the stream cannot be read now; trying again goes on at the same place.
    pub async fn next(&mut self, upto: u64, size: PageSize) -> Result<Part, ReadError> {
        if let Some((gap, _)) = self.lost.take() {
            return Ok(Part::Lost(gap));
        }
        loop {
            let generation = self.cursor.generation;
            let events = match self.read_on(upto, size).await? {
                Part::Lost(gap) if self.is_overwritten(gap).await => continue,
                Part::Events(events) => self.assembler.add(events),
                end => {
                    let Some(last) = self.assembler.last() else { return Ok(end) };
                    let (goes_on, seq) = (self.shared_reads.window.goes_on(last, self.cursor.seq), last.seq());
                    if let Part::Lost(gap) = end {
                        self.lost = Some((gap, Cursor { generation, seq }));
                    }
                    self.assembler.flush(goes_on)
                }
            };
            if !events.is_empty() {
                return Ok(Part::Events(events));
            }
            if self.assembler.is_read(self.cursor.seq) {
                return Ok(Part::Events(self.assembler.flush(false)));
            }
        }
    }

    async fn read_on(&mut self, upto: u64, size: PageSize) -> Result<Part, ReadError> {
        loop {
            if let Some(gap) = self.taken_meanwhile().await? {
                return Ok(Part::Lost(gap));
            }
            match self.shared_reads.window.look(self.cursor, &self.patterns, upto, size) {
                Lookup::Events(events, cursor) => {
                    self.counted = None;
                    if self.older.take().is_none() {
                        self.metrics.window_hits.increment(1);
                    }
                    self.cursor = cursor;
                    if !events.is_empty() {
                        return Ok(Part::Events(events));
                    }
                }
                Lookup::Lost(gap, cursor) => {
                    (self.cursor, self.older) = (cursor, None);
                    return Ok(Part::Lost(gap));
                }
                Lookup::End => return Ok(Part::End),
                Lookup::Older(floor) => {
                    if let Some(part) = self.older(floor, size).await? {
                        return Ok(part);
                    }
                }
            }
        }
    }

    /// The events up to a sequence that retention took while this was reading
    /// there. [`next`](Self::next) would tell them later: this is for readers
    /// that stop.
    ///
    /// # Errors
    /// When the stream cannot be asked now.
    pub async fn lost(&self, upto: u64) -> Result<Option<Gap>, ReadError> {
        let Some(Older::Merge { begun, .. }) = &self.older else { return Ok(None) };
        let lost = gap(*begun, self.shared_reads.state_now().await?.first.min(upto + 1));
        Ok(match lost {
            Some(gap) if self.is_overwritten(gap).await => None,
            lost => lost,
        })
    }

    /// Whether whatever was wanted of what is gone has been overwritten, which is
    /// told to nobody, here as inside a stream: each subject has as many newer
    /// events as the stream keeps of one. Where that cannot be known it says no:
    /// of a wildcard nobody knows which subjects there were.
    async fn is_overwritten(&self, gap: Gap) -> bool {
        let kept = self.shared_reads.window.stream().0.per_subject;
        let counts = gap.reason == Reason::Expired && (1..=KEPT).contains(&kept);
        let subjects: Option<Vec<_>> = self.patterns.iter().map(Pattern::literal).collect();
        let Some(subjects) = subjects.filter(|subjects| counts && subjects.len() <= LITERALS) else { return false };
        let size = PageSize { events: kept as usize, ..AHEAD };
        for subject in subjects {
            match self.shared_reads.subject_page(&subject, gap.to + 1, size).await {
                Ok(page) if page.events.len() as u64 >= kept => {}
                // The gap is told: it could not be told later.
                _ => return false,
            }
        }
        true
    }

    /// The events that retention took while this was reading subject by
    /// subject, once that is done: some of them may have been wanted.
    async fn taken_meanwhile(&mut self) -> Result<Option<Gap>, ReadError> {
        let Some(Older::Merge { begun, upto, .. }) = self.older else { return Ok(None) };
        if self.cursor.seq < upto {
            return Ok(None);
        }
        let first = self.shared_reads.state_now().await?.first.min(upto + 1);
        self.older = None;
        Ok(gap(begun, first))
    }

    /// Goes on below what is in memory.
    async fn older(&mut self, floor: u64, size: PageSize) -> Result<Option<Part>, ReadError> {
        self.pages += 1;
        match &mut self.older {
            None => self.begin_older(floor).await,
            Some(Older::Last { values, upto }) => {
                let upto = *upto;
                let next = values.next(size).await;
                self.cursor.seq = values.cursor().seq;
                match next {
                    Ok(Some(events)) => Ok(Some(Part::Events(events))),
                    Ok(None) => {
                        // Where it has not come so far it goes on in order.
                        self.older = (!values.is_complete()).then(|| Older::in_order(upto));
                        Ok(None)
                    }
                    Err(error) if error == ReadError::TooManySubjects || error.is_of_the_copy() => {
                        self.older = Some(Older::in_order(upto));
                        Ok(None)
                    }
                    Err(error) => Err(error),
                }
            }
            Some(Older::Merge { merge, upto, .. }) => {
                let upto = *upto;
                match merge.next(&self.shared_reads).await {
                    Ok(None) => {
                        self.cursor.seq = upto;
                        Ok(None)
                    }
                    Ok(Some(events)) => {
                        let last = events.last().map_or(self.cursor.seq, |event| event.seq());
                        self.cursor.seq = self.cursor.seq.max(last);
                        Ok(Some(Part::Events(events)))
                    }
                    // It has come so far in order, so it can go on in order.
                    Err(error) if error.is_of_the_copy() => {
                        self.older = Some(Older::in_order(upto));
                        Ok(None)
                    }
                    Err(error) => Err(error),
                }
            }
            Some(Older::Sequential { upto, handed }) => {
                let upto = *upto;
                let brisk = handed.is_some_and(|at| at.elapsed() < BRISK);
                let seq = self.cursor.seq + 1;
                let cached = self.shared_reads.cached_page(seq, upto, handed.is_none()).await?;
                *handed = Some(Instant::now());
                if brisk && cached.through < upto {
                    self.shared_reads.read_ahead(cached.through + 1, upto);
                }
                let begins = cached.first().unwrap_or(cached.through + 1);
                if begins > seq {
                    let first = self.shared_reads.source.state().await?.first;
                    if first > seq {
                        let gap = expired(self.cursor.seq, first.min(upto + 1));
                        self.cursor.seq = (first - 1).min(upto);
                        return Ok(Some(gap));
                    }
                }
                let through = cached.through.min(upto);
                let events = if self.shared_reads.is_whole(&self.patterns) {
                    cached.all(self.cursor.seq, through)
                } else {
                    cached.matching(&self.patterns, self.cursor.seq, through)
                };
                self.cursor.seq = through;
                if self.cursor.seq >= upto {
                    self.older = None;
                }
                Ok((!events.is_empty()).then_some(Part::Events(events)))
            }
        }
    }

    /// Decides how to read below what is in memory.
    async fn begin_older(&mut self, floor: u64) -> Result<Option<Part>, ReadError> {
        self.metrics.window_misses.increment(1);
        self.counted.get_or_insert_with(|| self.shared_reads.reader_count.enter());
        let (latest, begun) = (self.shared_reads.is_latest(), self.cursor.seq);
        let state = self.shared_reads.state().await?;
        let mut asked = AskedStream {
            whole: self.shared_reads.is_whole(&self.patterns),
            crowded: self.shared_reads.pays_in_order(&state, begun, floor),
            changed: ChangedSubjects::Unknown,
        };
        let facts = |asked| ReaderFacts { after: begun, floor, first: state.first, latest, asked: Some(asked) };
        let (mut changed, mut upto) = (Vec::new(), floor);
        let mut method = ReadMethod::of(facts(asked));
        if method == ReadMethod::AskSubjects {
            asked.changed = ChangedSubjects::Untold;
            if let Some(newest) = self.changed_subjects().await? {
                (changed, upto) = (newest.found, newest.upto);
                changed.retain(|found| found.seq > begun);
                asked.changed = ChangedSubjects::Known(changed.len());
            }
            method = ReadMethod::of(facts(asked));
        }
        self.older = match method {
            ReadMethod::Expired => {
                let gap = expired(begun, state.first.min(floor + 1));
                self.cursor.seq = (state.first - 1).min(floor);
                // Of values only the newest matters.
                return Ok((!latest).then_some(gap));
            }
            ReadMethod::Nothing => {
                // Unless retention took it just now.
                let first = self.shared_reads.state_now().await?.first;
                self.cursor.seq = upto.max(begun);
                return Ok(gap(begun, first.min(upto + 1)).map(Part::Lost));
            }
            ReadMethod::LastValues => {
                let values = LastValues::new(self.shared_reads.clone(), self.patterns.clone(), self.cursor, floor);
                Some(Older::Last { values: Box::new(values), upto: floor })
            }
            ReadMethod::BySubject => Some(Older::Merge { merge: Merge::new(changed, begun), begun, upto }),
            _ => Some(Older::in_order(upto)),
        };
        Ok(None)
    }

    /// The newest event of each subject below what is in memory; nothing where the stream cannot tell all of them.
    async fn changed_subjects(&self) -> Result<Option<LastEvents>, ReadError> {
        match self.shared_reads.last_per_subject(&self.patterns).await {
            // A mark that hides the newest event of a subject hides all of
            // them.
            Ok(newest) => Ok((!newest.incomplete).then_some(newest)),
            Err(error) if error == ReadError::TooManySubjects || error.is_of_the_copy() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn expired(after: u64, first: u64) -> Part {
    Part::Lost(Gap { from: after + 1, to: first - 1, reason: Reason::Expired })
}

/// The gap that retention has left between two sequences, if there is one.
fn gap(after: u64, first: u64) -> Option<Gap> {
    (first > after + 1).then(|| Gap { from: after + 1, to: first - 1, reason: Reason::Expired })
}

#[cfg(test)]
mod tests;
