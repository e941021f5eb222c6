//! A broker of one stream that answers what a test says: for what real ones do only in an accident.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use bytes::Bytes;

use crate::{
    broker::{
        Acknowledgement, Broker, BrokerState, Bus, Feed, Page, PublishError, Purpose, Query, ReadError, Stored,
        StreamState,
    },
    classes::{Classes, StreamIndex},
    config::{self, Config, Delivery, SettingsFile as Text, load},
    event::{BatchMark, EVENT_BYTES, Message, PageSize, Place},
    journal::{
        comparison::Comparison,
        gaps::Gaps,
        open_batch,
        reconciler::{Lag, Reconciler},
        source::{PAGE, Source},
        window::Window,
    },
    metrics::Metrics,
    proto::Envelope,
    subject::{Pattern, Subject},
    sync::{Mutex, MutexGuard},
};

/// Bytes of each event.
const BYTES: u64 = 100;

/// No bound for a part.
pub(crate) const ALL: PageSize = PageSize { events: usize::MAX, bytes: usize::MAX };

/// The answers.
#[derive(Debug, Default)]
pub(crate) struct Script {
    pub(crate) state: StreamState,
    /// How often it still tells another last sequence, and which.
    pub(crate) wrong: (usize, u64),
    /// The last sequence that its copy has; that of the stream without it.
    pub(crate) copy: Option<u64>,
    /// Whether what the copy has cannot be read.
    pub(crate) unfit: bool,
    /// How often a read still fails, and how.
    pub(crate) fails: (usize, Option<ReadError>),
    /// Whether each event has a subject of its own, `a.1` and so on.
    pub(crate) each: bool,
    /// The first event that is young enough.
    pub(crate) since: Option<u64>,
    /// Sequences without an event; those that it has count in its state.
    pub(crate) deleted: Vec<u64>,
    /// The first and the last sequence of each atomic batch.
    pub(crate) batches: Vec<(u64, u64)>,
}

/// Answers it.
#[derive(Debug)]
pub(crate) struct Scripted {
    script: Mutex<Script>,
    /// How often the copy and the leader were read.
    pub(crate) copy: AtomicUsize,
    pub(crate) leader: AtomicUsize,
    /// How often it was asked what was deleted.
    pub(crate) listed: AtomicUsize,
}

/// A stream with all events between two sequences, of one subject, `a.b`, or of one each.
pub(crate) fn stream(epoch: u64, first: u64, last: u64) -> StreamState {
    let messages = (last + 1).saturating_sub(first);
    StreamState { epoch, first, last, messages, bytes: messages * BYTES, ..StreamState::default() }
}

/// A stream as an operator sets it.
pub(crate) fn settings() -> config::Stream {
    let text = "[[streams]]\nname = \"S\"\nsubjects = [\"a.>\"]\n".to_owned();
    let config: Config = load(Some(&Text { origin: "test".into(), text }), [], &Default::default()).expect("TOML");
    config.streams.into_iter().next().expect("a stream")
}

/// An event in it.
pub(crate) fn stored(seq: u64, subject: &str, data: Bytes) -> Stored {
    let envelope = Envelope { data, ..Envelope::default() };
    let message = Message::new(Subject::parse(subject).expect("a subject"), envelope);
    let place = Some(Place { stream: "S".into(), seq });
    Stored::new(seq, Some(Arc::new(Message { place, ..message })))
}

/// An event in it, of a batch if there is a mark: its identifier, the number of the event, and whether it is the last.
pub(crate) fn marked(seq: u64, mark: Option<(&str, u32, bool)>) -> Stored {
    let plain = stored(seq, "a.b", Bytes::new());
    mark.map_or(plain.clone(), |place| self::mark(plain, place))
}

fn mark(plain: Stored, (id, index, commits): (&str, u32, bool)) -> Stored {
    let batch = Some(Box::new(BatchMark { id: id.into(), index, commits, parted: false }));
    let event = plain.event.map(|event| Arc::new(Message { batch, ..Message::clone(&event) }));
    Stored { commits, event, ..plain }
}

/// A reconciler that has all of such a stream behind it, and `window` of its events in memory.
pub(crate) async fn followed(script: Script, window: u64) -> (Reconciler, Arc<Scripted>) {
    let (reconciler, broker) = reconciler(Script { since: Some(1), ..script }, window, Delivery::Durable);
    reconciler.reconcile(true, &mut Gaps::new(reconciler.metrics.clone())).await.expect("it can be read");
    (reconciler, broker)
}

/// A reconciler that follows such a stream, with room in its window for `window` of its events.
pub(crate) fn reconciler(script: Script, window: u64, delivery: Delivery) -> (Reconciler, Arc<Scripted>) {
    let mut stream = settings();
    stream.window.bytes = (window * (BYTES + EVENT_BYTES as u64 + 8)).into();
    let metrics = Arc::new(Metrics::new().expect("metrics"));
    let broker = Scripted::new(script);
    let reconciler = Reconciler {
        name: "S".into(),
        window: Arc::new(Window::new(&stream, delivery, open_batch::bounds(1024 * 1024), metrics.clone())),
        source: Source::new(broker.clone(), StreamIndex(0)),
        lag: Lag::new(metrics.clone()),
        comparison: Comparison::new(metrics.clone()),
        metrics,
    };
    (reconciler, broker)
}

impl Scripted {
    pub(crate) fn new(script: Script) -> Arc<Self> {
        Arc::new(Self {
            script: Mutex::new(script),
            copy: AtomicUsize::new(0),
            leader: AtomicUsize::new(0),
            listed: AtomicUsize::new(0),
        })
    }

    pub(crate) fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock()
    }

    fn page(&self, from: u64, last: u64, size: PageSize) -> Page {
        let (state, each, unfit, deleted, batches) = {
            let script = self.script();
            (script.state, script.each, script.unfit, script.deleted.clone(), script.batches.clone())
        };
        let event = |seq| {
            let subject = if each { format!("a.{seq}") } else { "a.b".to_owned() };
            let plain = stored(seq, &subject, vec![0; BYTES as usize].into());
            match batches.iter().find(|(from, to)| (*from..=*to).contains(&seq)) {
                Some((from, to)) => mark(plain, (&from.to_string(), (seq + 1 - from) as u32, seq == *to)),
                None => plain,
            }
        };
        let events: Vec<_> =
            (from.max(state.first)..=last).filter(|seq| !deleted.contains(seq)).map(event).take(size.events).collect();
        let through = events.last().map_or(0, |event| event.seq);
        Page { events, through, more: through < last, passed_over: unfit }
    }
}

#[async_trait]
impl Broker for Scripted {
    fn classes(&self) -> &Arc<Classes> {
        unreachable!("nobody asks")
    }

    fn state(&self) -> &BrokerState {
        unreachable!("nobody asks")
    }

    fn bus(&self) -> &Arc<dyn Bus> {
        unreachable!("nobody asks")
    }

    fn open(&self, _: &Pattern) -> Feed {
        unreachable!("nobody asks")
    }

    fn tail(&self, _: StreamIndex) -> Feed {
        unreachable!("nobody asks")
    }

    async fn publish(&self, _: Message) -> Result<(), PublishError> {
        unreachable!("nobody asks")
    }

    async fn submit(&self, _: StreamIndex, _: Message) -> Result<Acknowledgement, PublishError> {
        unreachable!("nobody asks")
    }

    async fn read(&self, _: StreamIndex, query: &Query, size: PageSize, _: Purpose) -> Result<Page, ReadError> {
        self.copy.fetch_add(1, Ordering::Relaxed);
        let (from, last) = {
            let mut script = self.script();
            if let (times @ 1.., Some(error)) = (script.fails.0, script.fails.1.clone()) {
                script.fails.0 = times - 1;
                return Err(error);
            }
            let last = script.copy.unwrap_or(script.state.last);
            match query {
                Query::From(from) if script.unfit => {
                    return Ok(Page {
                        through: if *from <= last { last } else { 0 },
                        passed_over: true,
                        ..Page::default()
                    });
                }
                Query::From(from) | Query::Of(_, from) => (*from, last),
                Query::Newest { upto, from, .. } if script.each => (*from, *upto.min(&last)),
                Query::Newest { upto, .. } => (*upto.min(&last), *upto.min(&last)),
                Query::Since(_) => (script.since.unwrap_or(last + 1), last),
            }
        };
        Ok(self.page(from, last, size))
    }

    async fn read_leader(&self, _: StreamIndex, from: u64) -> Result<Page, ReadError> {
        self.leader.fetch_add(1, Ordering::Relaxed);
        let last = self.script().state.last;
        Ok(self.page(from, last, PAGE))
    }

    async fn stream_state(&self, _: StreamIndex) -> Result<StreamState, ReadError> {
        let mut script = self.script();
        if let (times @ 1.., last) = script.wrong {
            script.wrong.0 = times - 1;
            return Ok(StreamState { last, ..script.state });
        }
        Ok(script.state)
    }

    async fn deleted(&self, _: StreamIndex) -> Result<(StreamState, Vec<u64>), ReadError> {
        self.listed.fetch_add(1, Ordering::Relaxed);
        let script = self.script();
        Ok((script.state, script.deleted.iter().copied().filter(|seq| *seq >= script.state.first).collect()))
    }

    async fn deleted_through(&self, _: StreamIndex, from: u64, to: u64) -> Result<Option<u64>, ReadError> {
        let state = self.script().state;
        Ok((from < state.first).then_some((state.first - 1).min(to)))
    }
}
