//! The reads that readers of one stream share: the window, cached pages, and
//! answers of the stream that several of them need.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    broker::{Page, Query, ReadError, StreamState},
    config::Delivery,
    event::PageSize,
    journal::{
        last_per_subject::{LastEvents, LastPerSubject},
        pages::{CachedPage, Pages, SHARED},
        reader_count::ReaderCount,
        single_flight::SingleFlight,
        source::{self, AHEAD, Source},
        window::Window,
    },
    subject::{Pattern, Subject},
    sync::Mutex,
    tasks::Tasks,
};

/// Age up to which a known state of the stream is used.
const FRESH: Duration = Duration::from_millis(200);

/// The reads that readers of one stream share.
#[derive(Debug)]
pub(crate) struct SharedReads {
    pub(crate) window: Arc<Window>,
    pub(crate) source: Source,
    /// The subjects that the stream stores: a pattern that covers all of them is read in order.
    subjects: Vec<Pattern>,
    last_per_subject: Arc<LastPerSubject>,
    pub(crate) reader_count: Arc<ReaderCount>,
    pages: Pages,
    subject_pages: SingleFlight<(Subject, u64), Arc<Page>>,
    newest: SingleFlight<(Vec<Pattern>, u64, u64), Arc<Page>>,
    states: SingleFlight<(), StreamState>,
    state: Mutex<Option<(Instant, StreamState)>>,
    currents: SingleFlight<(), bool>,
    current: Mutex<Option<Instant>>,
    tasks: Tasks,
}

impl SharedReads {
    pub(crate) fn new(window: Arc<Window>, source: Source, subjects: Vec<Pattern>, tasks: Tasks) -> Self {
        Self {
            window,
            pages: Pages::new(source.clone()),
            source,
            subjects,
            last_per_subject: Arc::default(),
            reader_count: Arc::default(),
            subject_pages: SingleFlight::default(),
            newest: SingleFlight::default(),
            states: SingleFlight::default(),
            state: Mutex::default(),
            currents: SingleFlight::default(),
            current: Mutex::default(),
            tasks,
        }
    }

    pub(crate) fn is_latest(&self) -> bool {
        self.window.delivery() == Delivery::Latest
    }

    /// Whether the patterns match all that the stream stores.
    pub(crate) fn is_whole(&self, patterns: &[Pattern]) -> bool {
        self.subjects.iter().all(|stored| patterns.iter().any(|pattern| pattern.covers(stored)))
    }

    /// The state of the stream, as of a moment ago.
    pub(crate) async fn state(&self) -> Result<StreamState, ReadError> {
        let last = || *self.state.lock();
        if let Some((at, state)) = last()
            && at.elapsed() < FRESH
        {
            return Ok(state);
        }
        self.ask().await
    }

    /// The state of the stream, asked now and not before: so it shows what
    /// retention took while somebody read.
    pub(crate) async fn state_now(&self) -> Result<StreamState, ReadError> {
        // As below, the first answer may be to an earlier question.
        self.ask().await?;
        self.ask().await
    }

    /// Whether the stream has ever stored something at a sequence.
    pub(crate) async fn has_reached(&self, seq: u64) -> Result<bool, ReadError> {
        // The first question may have been asked by somebody else before this
        // one was; the second was not.
        Ok(self.ask().await?.last >= seq || self.ask().await?.last >= seq)
    }

    /// Asks, together with all who ask now.
    async fn ask(&self) -> Result<StreamState, ReadError> {
        self.states
            .join((), async {
                let state = self.source.state().await?;
                *self.state.lock() = Some((Instant::now(), state));
                Ok(state)
            })
            .await
    }

    /// Whether the copy that answers here has all that is older than what is in
    /// memory, as of a moment ago. Reads by subject cannot see that it has not.
    pub(crate) async fn is_current(&self) -> Result<bool, ReadError> {
        let seen = || *self.current.lock();
        if seen().is_some_and(|at| at.elapsed() < FRESH) {
            return Ok(true);
        }
        self.currents
            .join((), async {
                let Some(seq) = self.window.oldest_certain() else { return Ok(true) };
                let current = self.source.has(seq).await?;
                if current {
                    *self.current.lock() = Some(Instant::now());
                }
                Ok(current)
            })
            .await
    }

    /// The newest event of each subject below what is in memory.
    pub(crate) async fn last_per_subject(&self, patterns: &[Pattern]) -> Result<LastEvents, ReadError> {
        if !self.is_current().await? {
            return Err(ReadError::Lagging);
        }
        self.last_per_subject.ask(patterns, &self.source, &self.window, &self.tasks).await
    }

    /// The next page of that for one who has had some of it: from one sequence on,
    /// as it was at another.
    pub(crate) async fn newest_page(&self, patterns: &[Pattern], from: u64, upto: u64) -> Result<Arc<Page>, ReadError> {
        if !self.is_current().await? {
            return Err(ReadError::Lagging);
        }
        let query = Query::Newest { patterns: patterns.to_vec(), upto, from };
        let read = async { self.source.read(&query, AHEAD).await.map(Arc::new) };
        self.newest.join((patterns.to_vec(), from, upto), read).await
    }

    /// Whether those who read below what is in memory had better read in order
    /// from one sequence to another: each page once, for all of them.
    pub(crate) fn pays_in_order(&self, state: &StreamState, from: u64, to: u64) -> bool {
        let pages = source::pages(state, to.saturating_sub(from));
        pages <= SHARED && self.reader_count.justifies_reading_in_order(pages)
    }

    /// Reads a page that will be wanted next, meanwhile.
    pub(crate) fn read_ahead(self: &Arc<Self>, seq: u64, last: u64) {
        let shared_reads = self.clone();
        // A reader that wants the page then is told the error.
        self.tasks.spawn(async move { drop(shared_reads.cached_page(seq, last, false).await) });
    }

    /// A page of the stream that has a sequence, for who reads on or begins there.
    pub(crate) async fn cached_page(&self, seq: u64, last: u64, begins: bool) -> Result<Arc<CachedPage>, ReadError> {
        // Pages of before something was removed may still have it.
        let (pages, generation) = (&self.pages, self.window.version());
        if begins { pages.first_page(generation, seq, last).await } else { pages.page(generation, seq, last).await }
    }

    /// Events of one subject from a sequence on.
    pub(crate) async fn subject_page(
        &self,
        subject: &Subject,
        from: u64,
        size: PageSize,
    ) -> Result<Arc<Page>, ReadError> {
        let query = Query::Of(subject.clone(), from);
        let read = async { self.source.read(&query, size).await.map(Arc::new) };
        self.subject_pages.join((subject.clone(), from), read).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::script::{Script, followed, stream};

    /// Somebody else may have asked before the event was stored.
    #[tokio::test]
    async fn an_answer_to_an_earlier_question_is_not_believed_alone() {
        let (reconciler, broker) = followed(Script { state: stream(1, 1, 20), ..Script::default() }, 10).await;
        let shared_reads =
            SharedReads::new(reconciler.window, reconciler.source, Vec::new(), Tasks::new(reconciler.metrics));
        broker.script().wrong = (1, 19);
        assert_eq!(shared_reads.has_reached(20).await, Ok(true));
        assert_eq!(broker.script().wrong.0, 0);
        assert_eq!(shared_reads.has_reached(21).await, Ok(false));
    }
}
