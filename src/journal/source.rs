//! The source of a journal: reads its stream in order at the broker, whichever of
//! the broker's servers answers.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    broker::{Broker, Page, Purpose, Query, ReadError, Stored, StreamState},
    classes::StreamIndex,
    event::PageSize,
    retry,
    sync::Mutex,
};

/// A page of a sequential read. JetStream sends it without flow control.
pub(crate) const PAGE: PageSize = PageSize { events: 1_000, bytes: 1024 * 1024 };

/// Events and bytes that a reader of single subjects reads ahead.
pub(crate) const AHEAD: PageSize = PageSize { events: 512, bytes: 256 * 1024 };

/// How often a copy is asked before the leader is.
const PATIENT: usize = 4;

/// Time for which a copy that does not advance is not asked.
const DISTRUST: Duration = Duration::from_secs(10);

/// One stream at the broker.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    broker: Arc<dyn Broker>,
    stream: StreamIndex,
    purpose: Purpose,
    /// Since when the copy that answers here is passed by.
    distrusted: Arc<Mutex<Option<Instant>>>,
}

/// A range of a stream from one sequence on.
#[derive(Debug)]
pub(crate) struct SequenceRange {
    pub(crate) events: Vec<Stored>,
    /// Nothing else is stored up to here.
    pub(crate) through: u64,
}

/// The pages of a read of `sequences` sequences, if each event has the average
/// size.
pub(crate) fn pages(state: &StreamState, sequences: u64) -> u64 {
    let each = (state.bytes / state.messages.max(1)).max(1);
    sequences.div_ceil((PAGE.bytes as u64 / each).clamp(1, PAGE.events as u64))
}

impl Source {
    /// A stream that is read for clients.
    pub(crate) fn new(broker: Arc<dyn Broker>, stream: StreamIndex) -> Self {
        Self { broker, stream, purpose: Purpose::Serve, distrusted: Arc::default() }
    }

    /// The same, read to follow it: whatever clients read does not delay that.
    pub(crate) fn to_follow(&self) -> Self {
        Self { purpose: Purpose::Follow, ..self.clone() }
    }

    /// The present state of the stream.
    pub(crate) async fn state(&self) -> Result<StreamState, ReadError> {
        self.broker.stream_state(self.stream).await
    }

    /// The present state of the stream, and its sequences without an event.
    pub(crate) async fn deleted(&self) -> Result<(StreamState, Vec<u64>), ReadError> {
        self.broker.deleted(self.stream).await
    }

    /// Reads one page of an answer.
    pub(crate) async fn read(&self, query: &Query, size: PageSize) -> Result<Page, ReadError> {
        self.broker.read(self.stream, query, size, self.purpose).await
    }

    /// Reads on from a sequence, at most to `last`, up to which events are or
    /// were stored. It always gets ahead.
    pub(crate) async fn range(&self, from: u64, last: u64) -> Result<SequenceRange, ReadError> {
        for attempt in 0..retry::COPY.attempts() {
            if attempt == PATIENT {
                // It may be one that NATS does not bring up.
                self.distrust();
            }
            let page = if self.trusts_copy() {
                match self.read(&Query::From(from), PAGE).await {
                    Err(ReadError::Unavailable) => return Err(ReadError::Unavailable),
                    Err(_) => {
                        self.distrust();
                        continue;
                    }
                    Ok(page) => page,
                }
            } else {
                self.broker.read_leader(self.stream, from).await?
            };
            if let Some(newest) = page.events.last() {
                // Copies are in order: what is missing before an event is not stored.
                let through = page.through.max(newest.seq);
                return Ok(SequenceRange { events: page.events, through });
            }
            if page.through >= from {
                // All of the page was too large to be read.
                return Ok(SequenceRange { events: Vec::new(), through: page.through });
            }
            // Only the leader knows whether there is nothing, or nothing yet.
            match self.broker.deleted_through(self.stream, from, last).await? {
                Some(through) => return Ok(SequenceRange { events: Vec::new(), through }),
                None => retry::COPY.pause().await,
            }
        }
        Err(ReadError::Timeout)
    }

    /// The copy that answers here does not: its leader is asked for a while.
    fn distrust(&self) {
        *self.distrusted.lock() = Some(Instant::now());
    }

    fn trusts_copy(&self) -> bool {
        let distrusted = *self.distrusted.lock();
        distrusted.is_none_or(|since| since.elapsed() > DISTRUST)
    }

    /// Whether the copy that answers here has an event: then it has all that is
    /// older.
    pub(crate) async fn has(&self, seq: u64) -> Result<bool, ReadError> {
        let page = self.read(&Query::From(seq), PageSize { events: 1, bytes: 1 }).await?;
        Ok(page.through >= seq || page.events.first().is_some_and(|event| event.seq >= seq))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::journal::script::{Script, Scripted, stream};

    fn source(script: Script) -> (Arc<Scripted>, Source) {
        let broker = Scripted::new(script);
        (broker.clone(), Source::new(broker as Arc<dyn Broker>, StreamIndex(0)))
    }

    /// How often the copy and the leader were read.
    fn reads(broker: &Scripted) -> (usize, usize) {
        (broker.copy.load(Ordering::Relaxed), broker.leader.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn a_copy_that_does_not_answer_is_passed_by_for_a_while() {
        let fails = (1, Some(ReadError::Timeout));
        let (broker, source) = source(Script { state: stream(1, 1, 10), fails, ..Script::default() });
        for expected in [(1, 1), (1, 2)] {
            let range = source.range(1, 10).await.expect("a stretch");
            assert_eq!((range.events.len(), range.through, reads(&broker)), (10, 10, expected));
        }
        *source.distrusted.lock() = Instant::now().checked_sub(DISTRUST);
        assert_eq!(source.range(1, 10).await.expect("a stretch").through, 10);
        assert_eq!(reads(&broker), (2, 2));
    }

    #[tokio::test]
    async fn a_copy_that_does_not_get_on_is_passed_by() {
        let (broker, source) = source(Script { state: stream(1, 1, 10), copy: Some(5), ..Script::default() });
        assert_eq!(source.range(6, 10).await.expect("a stretch").through, 10);
        assert_eq!(reads(&broker), (PATIENT, 1));
    }

    #[tokio::test]
    async fn a_copy_has_an_event_when_it_has_passed_by_there() {
        for unfit in [false, true] {
            let (_, source) = source(Script { state: stream(1, 3, 10), copy: Some(8), unfit, ..Script::default() });
            for (seq, has) in [(2, true), (8, true), (9, false), (10, false)] {
                assert_eq!(source.has(seq).await, Ok(has), "{seq} {unfit}");
            }
        }
    }

    #[test]
    fn the_pages_of_a_read_are_those_of_events_of_average_size() {
        let state = |messages, bytes| StreamState { messages, bytes, ..StreamState::default() };
        let rows = [
            (state(0, 0), 1_001, 2),
            (state(10, 10 * 128), 1_000, 1),
            (state(10, 10 * 128), 3_001, 4),
            (state(10, 10 * 64 * 1024), 33, 3),
            (state(1, 8 * 1024 * 1024), 5, 5),
        ];
        for (state, sequences, expected) in rows {
            assert_eq!(pages(&state, sequences), expected, "{state:?} {sequences}");
        }
    }
}
