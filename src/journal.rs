//! The journal of a stream, as this node knows it: the window of the newest events
//! is in memory, in the order of the stream and without holes; older events are
//! read when a client resumes there. The broker has no consumer for any client.
//!
//! One journal per stream follows the stream's tail. `docs/delivery.md` tells
//! the whole story.

mod assembler;
mod open_batch;
mod sequence_waiters;
mod comparison;
mod reader_count;
mod single_flight;
mod endings;
mod gaps;
mod held;
mod reconciler;
mod last_values;
mod lookup;
mod losses;
mod merge;
mod pages;
mod cursor;
mod read_method;
mod reader;
mod window;
mod removals;
#[cfg(test)]
mod script;
mod reorder_buffer;
mod shared_reads;
mod source;
mod last_per_subject;
#[cfg(test)]
mod tests;

use std::{mem, sync::Arc};

use tokio::time::Instant;

pub use cursor::{Cursor, Gap, Reason, Step};
pub use last_values::LastValues;
pub use reader::{Part, Reader};

use crate::{
    broker::{Broker, Feed, ReadError},
    classes::{Classes, StreamIndex},
    config::{self, Config, Delivery},
    event::PageSize,
    metrics::Metrics,
    proto::{self, Position},
    retry,
    subject::Pattern,
    sync::timeout,
    tasks::Tasks,
};
use comparison::Comparison;
use endings::Endings;
use held::Held;
use reconciler::{Lag, Reconciler};
use shared_reads::SharedReads;
use source::Source;
use window::Window;

/// One stream, as this node knows it.
#[derive(Debug)]
pub struct Journal {
    stream: StreamIndex,
    name: String,
    shared_reads: Arc<SharedReads>,
    /// Brings what is stored from now on.
    _tail: Feed,
    metrics: Arc<Metrics>,
}

impl Journal {
    /// The journals of all configured streams, each beginning to follow its stream.
    pub fn all(
        config: &Config,
        classes: &Classes,
        broker: &Arc<dyn Broker>,
        tasks: &Tasks,
        metrics: &Arc<Metrics>,
    ) -> Vec<Arc<Self>> {
        let indexed = (0..).map(StreamIndex).zip(&config.streams);
        let batch = open_batch::bounds(config.limits.batch_bytes.bytes());
        indexed
            .map(|(index, stream)| Arc::new(Self::new((index, stream), batch, classes, broker, tasks, metrics)))
            .collect()
    }

    fn new(
        (stream, settings): (StreamIndex, &config::Stream),
        batch: PageSize,
        classes: &Classes,
        broker: &Arc<dyn Broker>,
        tasks: &Tasks,
        metrics: &Arc<Metrics>,
    ) -> Self {
        let window = Arc::new(Window::new(settings, classes.delivery(stream), batch, metrics.clone()));
        let source = Source::new(broker.clone(), stream);
        let name = settings.name.clone();
        let lag = Lag::new(metrics.clone());
        let reconciler = Reconciler {
            name: name.clone(),
            window: window.clone(),
            source: source.to_follow(),
            lag,
            comparison: Comparison::new(metrics.clone()),
            metrics: metrics.clone(),
        };
        tasks.spawn_vital("journal", reconciler.run());
        let subjects = settings.subjects.iter().filter_map(|subject| Pattern::parse(subject).ok()).collect();
        let shared_reads = Arc::new(SharedReads::new(window, source, subjects, tasks.clone()));
        Self { stream, name, shared_reads, _tail: broker.tail(stream), metrics: metrics.clone() }
    }

    /// Which stream it is.
    pub fn stream(&self) -> StreamIndex {
        self.stream
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The delivery that its subjects promise.
    pub fn delivery(&self) -> Delivery {
        self.shared_reads.window.delivery()
    }

    /// The most of an atomic batch that is handed out together.
    pub fn batch(&self) -> PageSize {
        self.shared_reads.window.batch()
    }

    /// The newest events of the stream, in memory.
    pub(crate) fn window(&self) -> &Window {
        &self.shared_reads.window
    }

    /// Whether the events behind a cursor of this stream tell all values that have
    /// ended since; so they do where all events count.
    pub(crate) fn is_traced(&self, cursor: Cursor) -> bool {
        let traced = |endings: &Endings| endings.are_traced_from(cursor.seq);
        self.window().held(cursor.generation, |held, _| held.endings.as_ref().is_none_or(traced)).unwrap_or(true)
    }

    /// How many ends of values were handed out of which the stream keeps no trace.
    pub(crate) fn endings_told(&self) -> u64 {
        let told = |held: &mut Held, _| held.endings.as_ref().map_or(0, Endings::told);
        self.window().held(self.window().generation(), told).unwrap_or_default()
    }

    /// Waits until it is known what the stream is.
    pub async fn ready(&self) {
        self.shared_reads.window.until_ready().await;
    }

    /// Everything up to here has come and may be handed out.
    pub fn head(&self) -> Cursor {
        self.shared_reads.window.head()
    }

    /// Where a cursor stands, as clients are told: before all events of a stream that has
    /// begun anew since.
    pub fn position(&self, cursor: Cursor) -> Position {
        let (stream, head) = self.shared_reads.window.stream();
        let (stream, epoch) = (self.name.clone(), stream.epoch.to_string());
        let seq = if cursor.generation == head.generation { cursor.seq } else { 0 };
        Position { stream, epoch, seq, ..Position::default() }
    }

    /// The epoch that a cursor stands in; none when the stream has begun anew since.
    pub fn epoch(&self, cursor: Cursor) -> Option<String> {
        let (stream, head) = self.shared_reads.window.stream();
        (cursor.generation == head.generation).then(|| stream.epoch.to_string())
    }

    /// A gap of this stream, as clients are told it for a pattern of theirs. `at` is
    /// the cursor behind the gap.
    pub fn gap(&self, gap: Gap, pattern: &Pattern, at: Cursor) -> proto::Gap {
        let epoch = (gap.reason == Reason::Reset).then(|| self.epoch(at)).flatten();
        gap.to_frame(pattern, &self.name, epoch.unwrap_or_default())
    }

    /// Where a cursor stands; none when the stream has begun anew since.
    pub fn current(&self, cursor: Cursor) -> Option<Position> {
        let epoch = self.epoch(cursor)?;
        Some(Position { stream: self.name.clone(), epoch, seq: cursor.seq, ..Position::default() })
    }

    /// The cursor of a client that says where it was. One that does not stand in
    /// this stream is void: its reader begins with a loss.
    ///
    /// # Errors
    /// When the stream cannot be asked now.
    pub async fn cursor(&self, position: &Position) -> Result<Cursor, ReadError> {
        self.ready().await;
        let void = Cursor { generation: 0, seq: position.seq };
        let latest = Instant::now() + retry::POSITION_AT_MOST;
        let (mut deadline, mut furthest) = (Instant::now() + retry::POSITION.patience(), 0);
        let mut asked = false;
        loop {
            let (stream, head) = self.shared_reads.window.stream();
            if head.seq > furthest {
                (furthest, deadline) = (head.seq, latest.min(Instant::now() + retry::POSITION.patience()));
            }
            if position.epoch != stream.epoch.to_string() {
                return Ok(void);
            }
            if position.seq <= head.seq {
                // Of the moment at which the epochs were compared. Before its
                // beginning the stream never had anything.
                let seq = position.seq.max(stream.begins.saturating_sub(1).min(head.seq));
                return Ok(Cursor { seq, ..head });
            }
            if !mem::replace(&mut asked, true) {
                self.shared_reads.window.mark_stale();
            }
            // Another node may have been faster, and a leader that was just
            // elected has not yet read all that it has: time tells.
            if Instant::now() > deadline {
                let reached = self.shared_reads.has_reached(position.seq).await?;
                return if reached { Err(ReadError::Timeout) } else { Ok(void) };
            }
            // Late is on time: the next round looks at everything.
            let _ =
                timeout(retry::POSITION.interval(), self.shared_reads.window.until_come(head.generation, position.seq))
                    .await;
        }
    }

    /// The cursor before the oldest event that the stream has.
    ///
    /// # Errors
    /// When the stream cannot be asked now.
    pub async fn beginning(&self) -> Result<Cursor, ReadError> {
        self.ready().await;
        let generation = self.shared_reads.window.generation();
        let first = self.shared_reads.state().await?.first;
        Ok(Cursor { generation, seq: first.saturating_sub(1).min(self.head().seq) })
    }

    /// One who reads on from a cursor.
    pub fn reader(&self, patterns: Vec<Pattern>, cursor: Cursor) -> Reader {
        Reader::new(self.shared_reads.clone(), patterns, cursor, self.metrics.clone())
    }

    /// The newest event of each subject, in the order of the stream, as it is now;
    /// behind a cursor of this stream, if there is one. Subjects whose value is gone are left out.
    pub async fn snapshot(&self, patterns: Vec<Pattern>, after: Option<Cursor>) -> LastValues {
        self.ready().await;
        let head = self.head();
        let after = after.filter(|after| after.generation == head.generation).map_or(0, |after| after.seq);
        LastValues::new(self.shared_reads.clone(), patterns, Cursor { seq: after, ..head }, head.seq).values_only()
    }
}
