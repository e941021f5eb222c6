//! Drops from memory the events that a stream has removed from its middle: of
//! purged subjects, deleted ones, and those whose own time has ended. The
//! stream lists them where the list is short; otherwise the events in memory
//! are read again.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    broker::{ReadError, StreamState},
    journal::{source::Source, window::Window},
    metrics::Metrics,
    sync::Mutex,
};

/// Deleted sequences that a stream is asked to list: half a megabyte of JSON.
const LISTED: u64 = 65_536;

/// How long a list may not be asked for again, for each sequence on it: a stream
/// that removes something all the time is asked every 13 s at most for the longest.
const PAUSE_PER_SEQUENCE: Duration = Duration::from_micros(200);

/// How long what is in memory is not read again after it was: as long as a
/// window of a minute takes to be new.
const PAUSE_OF_READING: Duration = Duration::from_secs(60);

/// Pages that are read again before holes are looked after.
const TOGETHER: usize = 8;

/// The comparison of one window with its stream.
#[derive(Debug)]
pub(crate) struct Comparison {
    state: Mutex<State>,
    metrics: Arc<Metrics>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// When the stream may be asked again at the earliest.
    earliest: Option<Instant>,
    reading: Option<Reading>,
}

/// The events in memory are being read again.
#[derive(Clone, Copy, Debug)]
struct Reading {
    /// The stream's last sequence when that began.
    last: u64,
    generation: u32,
    next: u64,
}

impl Comparison {
    /// Nothing was compared yet.
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self { state: Mutex::default(), metrics }
    }

    /// Drops what a stream does not have any more that was like this a moment
    /// ago, if something may be gone.
    pub(crate) async fn compare(&self, stream: StreamState, window: &Window, source: &Source) -> Result<(), ReadError> {
        let generation = window.generation();
        if window.held(generation, |held, _| held.adds_up(&stream)).unwrap_or(true) {
            return Ok(());
        }
        let State { earliest, reading } = self.state();
        if reading.is_some() || earliest.is_some_and(|earliest| Instant::now() < earliest) {
            return Ok(());
        }
        let count = stream.deleted();
        if count <= LISTED {
            window.held(generation, |held, _| held.ask());
            let (stream, deleted) = source.deleted().await?;
            let dropped = window.held(generation, |held, reach| held.drop_deleted(stream, &deleted, reach));
            self.count(dropped.unwrap_or_default());
            let pause = PAUSE_PER_SEQUENCE * u32::try_from(deleted.len()).unwrap_or(u32::MAX);
            self.set(State { earliest: Some(Instant::now() + pause), reading: None });
        } else {
            // Removals until all is read again are for the next time.
            window.held(generation, |held, _| held.confirm(stream));
            let reading = Reading { last: stream.last, generation, next: window.floor() + 1 };
            self.set(State { earliest: Some(Instant::now() + PAUSE_OF_READING), reading: Some(reading) });
        }
        Ok(())
    }

    /// Whether something is being read again.
    pub(crate) fn is_reading(&self) -> bool {
        self.state().reading.is_some()
    }

    /// Goes on to read again what is in memory.
    pub(crate) async fn read_on(&self, window: &Window, source: &Source) -> Result<(), ReadError> {
        for _ in 0..TOGETHER {
            let state = self.state();
            let Some(mut reading) = state.reading else { return Ok(()) };
            let from = reading.next.max(window.floor() + 1);
            if reading.generation != window.generation() || from > reading.last {
                self.set(State { reading: None, ..state });
                return Ok(());
            }
            let range = source.range(from, reading.last).await?;
            let through = range.through.min(reading.last);
            let stored: Vec<u64> = range.events.iter().map(|stored| stored.seq).collect();
            let done = window.held(reading.generation, |held, reach| held.keep_only(from, through, &stored, reach));
            let (done, dropped) = done.unwrap_or((through, 0));
            self.count(dropped);
            reading.next = done + 1;
            self.set(State { reading: Some(reading), ..state });
            if reading.next <= from {
                // The rest is not handed out yet.
                return Ok(());
            }
        }
        Ok(())
    }

    fn count(&self, dropped: usize) {
        self.metrics.window_removed.increment(dropped as u64);
    }

    fn state(&self) -> State {
        *self.state.lock()
    }

    fn set(&self, state: State) {
        *self.state.lock() = state;
    }
}
