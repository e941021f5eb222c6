//! The reconciler keeps a window true: it fills the window at the start, closes
//! holes, and compares it with the stream, because a lost last event has no
//! successor to betray it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    broker::{Query, ReadError, StreamState},
    clock::unix_millis,
    config::Delivery,
    event::{EVENT_BYTES, PageSize},
    journal::{
        comparison::Comparison,
        gaps::Gaps,
        source::{SequenceRange, Source},
        window::Window,
    },
    metrics::Metrics,
    retry,
    sync::{sleep, timeout},
};

/// Interval at which the stream is asked for its last sequence.
const TAIL_CHECK: Duration = Duration::from_secs(2);

/// Shortest interval between checks of a stale window: a publisher of rollups must
/// not make a node ask for each.
const DOUBT_PAUSE: Duration = Duration::from_millis(100);

/// How long an event may be on its way before it counts as missing.
const ON_ITS_WAY: Duration = Duration::from_millis(250);

/// How long a leader that another one has replaced may still answer: it steps
/// down after ten seconds without the others (nats-server, `lostQuorumInterval`).
const WRONG_LEADER: Duration = Duration::from_secs(12);

/// Keeps one window true.
#[derive(Debug)]
pub(crate) struct Reconciler {
    pub(crate) name: String,
    pub(crate) window: Arc<Window>,
    pub(crate) source: Source,
    pub(crate) lag: Lag,
    pub(crate) comparison: Comparison,
    pub(crate) metrics: Arc<Metrics>,
}

/// How many events this node is behind the stream; the series is the sum over
/// all streams.
#[derive(Debug)]
pub(crate) struct Lag {
    told: AtomicU64,
    metrics: Arc<Metrics>,
}

impl Lag {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self { told: AtomicU64::new(0), metrics }
    }

    fn set(&self, lag: u64) {
        let told = self.told.swap(lag, Ordering::Relaxed);
        self.metrics.stream_lag.increment(lag as f64 - told as f64);
    }
}

impl Reconciler {
    /// Keeps it for ever.
    pub(crate) async fn run(self) {
        let mut gaps = Gaps::new(self.metrics.clone());
        let mut checked = Instant::now();
        loop {
            let rested = checked.elapsed() >= DOUBT_PAUSE;
            let due = (rested && self.window.take_stale()) || checked.elapsed() >= TAIL_CHECK;
            if due {
                checked = Instant::now();
            }
            match self.reconcile(due, &mut gaps).await {
                Ok(()) => {
                    self.window.expire();
                    let more = self.comparison.is_reading() || self.window.needs_check();
                    let pause = if more { DOUBT_PAUSE } else { TAIL_CHECK };
                    // Late is on time: the next round looks at everything.
                    let _ = timeout(pause, self.window.attention.notified()).await;
                }
                // The broker tells why.
                Err(_) => {
                    self.window.mark_stale();
                    retry::RECONCILE.pause().await;
                }
            }
        }
    }

    /// One round of that, with a look at the stream if one is due.
    pub(crate) async fn reconcile(&self, due: bool, gaps: &mut Gaps) -> Result<(), ReadError> {
        let stream = if due || !self.window.is_ready() { self.check().await? } else { None };
        if !self.window.is_ready() {
            // The stream has begun anew, which clients are told.
            gaps.report();
            gaps.closed();
        }
        self.close_holes(gaps).await?;
        if !self.window.is_ready() {
            tracing::info!(stream = self.name, "the stream is followed");
            self.window.set_ready();
        }
        // Only where all has come up to the stream's end can they be compared.
        if let Some(stream) = stream.filter(|stream| self.window.came() >= stream.last) {
            self.comparison.compare(stream, &self.window, &self.source).await?;
        }
        self.comparison.read_on(&self.window, &self.source).await
    }

    /// Compares what is known with what the stream is, and returns that where it
    /// is the same stream as before.
    async fn check(&self) -> Result<Option<StreamState>, ReadError> {
        let (known, came) = (self.window.stream().0, self.window.came());
        self.window.held(self.window.generation(), |held, _| held.ask());
        let state = self.source.state().await?;
        self.lag.set(state.last.saturating_sub(self.window.came()));
        if known.epoch != state.epoch {
            self.begin(state).await?;
            return Ok(None);
        }
        // Events that were here before the question cannot be news to the
        // stream.
        if state.last < came && self.has_lost(came).await? {
            tracing::error!(
                stream = self.name,
                had = came,
                has = state.last,
                "the stream has lost events that it had acknowledged; clients are told to reload"
            );
            self.begin(state).await?;
            return Ok(None);
        }
        self.window.confirm(state);
        if state.last > self.window.came() {
            sleep(ON_ITS_WAY).await;
            self.window.know(state.last);
        }
        Ok(Some(state))
    }

    /// Whether the stream has lost what it had: it says so for longer than a
    /// leader can be wrong about being one.
    async fn has_lost(&self, head: u64) -> Result<bool, ReadError> {
        let begun = Instant::now();
        while begun.elapsed() < WRONG_LEADER {
            retry::RECONCILE.pause().await;
            if self.source.state().await?.last >= head {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Begins with a stream that is new to this node.
    async fn begin(&self, state: StreamState) -> Result<(), ReadError> {
        if self.window.generation() > 0 {
            tracing::warn!(stream = self.name, "the stream has begun anew; clients are told to reload");
        }
        self.window.clear_ready();
        let next = self.window_begin(&state).await?;
        self.window.begin(state, next);
        Ok(())
    }

    /// Where the window begins: as far back as it may, by bytes and by age.
    async fn window_begin(&self, state: &StreamState) -> Result<u64, ReadError> {
        let (bytes, age) = self.window.window();
        let end = state.last + 1;
        let first = state.first.clamp(1, end);
        if state.messages == 0 {
            return Ok(end);
        }
        let each = (state.bytes / state.messages).max(1) as usize + EVENT_BYTES;
        let by_bytes = end.saturating_sub((bytes / each) as u64).max(first);
        if self.window.delivery() == Delivery::Latest {
            return Ok(by_bytes);
        }
        let since = unix_millis().saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        let page = self.source.read(&Query::Since(since), PageSize { events: 1, bytes: 1 }).await?;
        let by_age = page.events.first().map_or(end, |event| event.seq);
        Ok(by_bytes.max(by_age))
    }

    async fn close_holes(&self, gaps: &mut Gaps) -> Result<(), ReadError> {
        while let Some((from, to)) = self.window.hole() {
            // At the start it is the window that is filled.
            if self.window.is_ready() {
                gaps.found();
            }
            self.close(from, to, gaps).await?;
            gaps.closed();
        }
        // The tail may have brought what could not be read.
        gaps.closed();
        Ok(())
    }

    /// Reads what is missing.
    async fn close(&self, from: u64, to: u64, gaps: &mut Gaps) -> Result<(), ReadError> {
        let ready = self.window.is_ready();
        let mut next = from;
        while next <= to {
            let generation = self.window.generation();
            let SequenceRange { events, through } = self.source.range(next, to).await?;
            let through = through.min(to);
            let stored = events.iter().filter(|stored| stored.seq <= through).count() as u64;
            // Noted before anybody can pass by there.
            if ready && next + stored <= through && self.explain(next, through).await? {
                gaps.report();
            }
            self.window.fill(generation, events, through);
            self.window.advanced.notify_one();
            next = through + 1;
        }
        Ok(())
    }

    /// Explains sequences that are not stored: those deleted one by one are
    /// passed over, those that retention took are a loss. Returns whether there
    /// is a loss.
    async fn explain(&self, from: u64, through: u64) -> Result<bool, ReadError> {
        let state = self.source.state().await?;
        let lost = state.first > from && self.window.delivery() != Delivery::Latest;
        if lost {
            self.window.lose(from, through.min(state.first - 1));
        }
        Ok(lost)
    }
}

#[cfg(test)]
mod tests;
