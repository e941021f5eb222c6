//! The window of a stream: its newest events in memory, in order and without
//! holes. Free of I/O; the reconciler is told when there is something to read.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::{Notify, watch};

use crate::{
    broker::{Stored, StreamState},
    config::{self, Delivery},
    event::{Message, PageSize},
    event_log::{EventLog, Select},
    journal::{
        cursor::{Cursor, Gap, Reason, Step},
        endings::Endings,
        held::{Held, WindowProgress},
        lookup::Lookup,
        losses::Losses,
        read_method::{ReadMethod, ReaderFacts},
        reorder_buffer::ReorderBuffer,
        sequence_waiters::SequenceWaiters,
    },
    metrics::Metrics,
    subject::Pattern,
    sync::{Mutex, rank},
};

/// Bytes of events that may be in memory beyond the window because they are not
/// fanned out yet. Later events are read from the stream afterwards.
const BEHIND_BYTES: usize = 16 * 1024 * 1024;

/// The newest events of a stream in memory.
#[derive(Debug)]
pub(crate) struct Window {
    delivery: Delivery,
    /// The most of an atomic batch that is handed out together.
    batch: PageSize,
    metrics: Arc<Metrics>,
    bytes: usize,
    age: Duration,
    state: Mutex<State, { rank::WINDOW }>,
    /// Whether it is known what the stream is, up to a moment ago.
    ready: watch::Sender<bool>,
    /// Told when there is more to fan out.
    pub(crate) advanced: Notify,
    /// Sequences that clients ahead of this node wait for.
    awaited: SequenceWaiters,
    /// Told when there is something to be read or checked.
    pub(crate) attention: Notify,
}

#[derive(Debug)]
struct State {
    /// The state of the stream when it was asked last.
    stream: StreamState,
    generation: u32,
    reorder_buffer: ReorderBuffer,
    held: Held,
    losses: Losses,
    /// The last sequence that is fanned out; nothing before the first.
    fanned: Option<u64>,
    /// Whether the stream should be asked what it is.
    stale: bool,
}

impl Window {
    /// Nothing is known of the stream yet. Of an atomic batch at most `batch` is handed out together.
    pub(crate) fn new(stream: &config::Stream, delivery: Delivery, batch: PageSize, metrics: Arc<Metrics>) -> Self {
        let per_subject = if delivery == Delivery::Latest { 1 } else { usize::MAX };
        Self {
            delivery,
            batch,
            metrics,
            bytes: stream.window.bytes.bytes(),
            age: stream.window.age.duration(),
            state: Mutex::new(State {
                stream: StreamState::default(),
                generation: 0,
                reorder_buffer: ReorderBuffer::default(),
                held: Held::new(per_subject, batch),
                losses: Losses::default(),
                fanned: None,
                stale: true,
            }),
            ready: watch::Sender::new(false),
            advanced: Notify::new(),
            awaited: SequenceWaiters::default(),
            attention: Notify::new(),
        }
    }

    pub(crate) fn delivery(&self) -> Delivery {
        self.delivery
    }

    /// The most of an atomic batch that is handed out together.
    pub(crate) fn batch(&self) -> PageSize {
        self.batch
    }

    /// Whether an event of the same atomic batch has come behind a sequence.
    pub(crate) fn goes_on(&self, event: &Message, after: u64) -> bool {
        self.state.lock().held.goes_on(event, after)
    }

    /// How much is kept in memory.
    pub(crate) fn window(&self) -> (usize, Duration) {
        (self.bytes, self.age)
    }

    /// Takes in what the tail brought. True when there is more to fan out.
    pub(crate) fn take(&self, arrived: impl IntoIterator<Item = Stored>) -> bool {
        let mut state = self.state.lock();
        let before = state.whole();
        for stored in arrived {
            if stored.ends_older {
                // The stream has removed something just now.
                state.stale = true;
                self.attention.notify_one();
            }
            if stored.seq <= state.reorder_buffer.head() {
                // It was read meanwhile; or the stream has begun anew.
                state.stale = true;
                self.attention.notify_one();
            } else if self.is_full(&state) {
                state.reorder_buffer.know(stored.seq);
            } else {
                let State { reorder_buffer, held, .. } = &mut *state;
                reorder_buffer.take(stored, |stored| held.add(stored));
            }
        }
        self.evict(&mut state);
        self.told(&mut state);
        if state.reorder_buffer.hole().is_some() {
            self.attention.notify_one();
        }
        state.whole() > before && *self.ready.borrow()
    }

    /// Tells those who wait for it up to where all has come.
    fn told(&self, state: &mut State) {
        self.awaited.reach(state.whole());
        let parted = state.held.open.take_parted();
        if parted > 0 {
            self.metrics.batches_parted.increment(parted);
        }
    }

    /// Marks the window as stale: an event may have been lost.
    pub(crate) fn mark_stale(&self) {
        self.state.lock().stale = true;
        self.attention.notify_one();
    }

    /// Whether the window was stale; clears the mark.
    pub(crate) fn take_stale(&self) -> bool {
        std::mem::take(&mut self.state.lock().stale)
    }

    /// Whether the window is stale and needs a check.
    pub(crate) fn needs_check(&self) -> bool {
        self.state.lock().stale
    }

    /// The stream is this one now: what was known before is void. Events from
    /// `next` on are to be read.
    pub(crate) fn begin(&self, stream: StreamState, next: u64) {
        let mut state = self.state.lock();
        state.generation += 1;
        if state.generation > 1 {
            // Events that came meanwhile may be of either stream.
            state.reorder_buffer = ReorderBuffer::default();
        }
        state.stream = stream;
        state.held.begin(stream, next);
        state.losses = Losses::default();
        state.fanned = None;
        let State { reorder_buffer, held, .. } = &mut *state;
        reorder_buffer.begin(next, |stored| held.add(stored));
        reorder_buffer.know(stream.last);
        self.awaited.reset();
    }

    /// Takes the state of the same stream as before. Events before its first
    /// one leave memory too, once they are fanned out.
    pub(crate) fn confirm(&self, stream: StreamState) {
        let mut state = self.state.lock();
        state.stream = stream;
        let handed = state.handed();
        state.held.expire(stream, handed);
        self.tell_endings(&state.held);
        let is_all = stream.last <= state.reorder_buffer.head();
        if is_all && state.held.open.settle(Instant::now()) {
            self.told(&mut state);
            self.advanced.notify_one();
        }
    }

    /// Does something with what is in memory, unless the stream has begun anew.
    pub(crate) fn held<R>(&self, generation: u32, act: impl FnOnce(&mut Held, WindowProgress) -> R) -> Option<R> {
        let mut state = self.state.lock();
        let reach = WindowProgress { head: state.reorder_buffer.head(), handed: state.handed() };
        let acted = (state.generation == generation).then(|| act(&mut state.held, reach));
        self.tell_endings(&state.held);
        acted
    }

    /// Has values that have ended without a trace handed out.
    fn tell_endings(&self, held: &Held) {
        if held.endings.as_ref().is_some_and(Endings::are_waiting) {
            self.advanced.notify_one();
        }
    }

    /// Another one says that what was read of the stream before may have been
    /// removed since.
    pub(crate) fn version(&self) -> u32 {
        self.state.lock().held.version()
    }

    /// The state of the stream when it was asked last, and the cursor up to
    /// which every event has come and may be handed out.
    pub(crate) fn stream(&self) -> (StreamState, Cursor) {
        let state = self.state.lock();
        (state.stream, Cursor { generation: state.generation, seq: state.whole() })
    }

    /// The sequence up to which every event has come, those of a batch that is not complete too.
    pub(crate) fn came(&self) -> u64 {
        self.state.lock().reorder_buffer.head()
    }

    /// Notes that events are stored up to here.
    pub(crate) fn know(&self, last: u64) {
        self.state.lock().reorder_buffer.know(last);
    }

    /// The first range that is missing, unless there is no room for it now.
    pub(crate) fn hole(&self) -> Option<(u64, u64)> {
        let state = self.state.lock();
        if self.is_full(&state) { None } else { state.reorder_buffer.hole() }
    }

    /// Takes in what was read: `events`, and nothing else up to `through`.
    pub(crate) fn fill(&self, generation: u32, events: Vec<Stored>, through: u64) {
        let mut state = self.state.lock();
        if state.generation != generation {
            return;
        }
        let State { reorder_buffer, held, .. } = &mut *state;
        for stored in events {
            reorder_buffer.fill(stored, |stored| held.add(stored));
        }
        reorder_buffer.pass(through, |stored| held.add(stored));
        self.evict(&mut state);
        self.told(&mut state);
    }

    /// Retention has dropped these before they were here.
    pub(crate) fn lose(&self, from: u64, to: u64) {
        let mut state = self.state.lock();
        let floor = state.held.log.floor();
        state.losses.add(from, to, floor);
    }

    /// It is known what the stream is: whoever waits may go on.
    pub(crate) fn set_ready(&self) {
        self.ready.send_replace(true);
        self.advanced.notify_one();
    }

    /// It is not known any more.
    pub(crate) fn clear_ready(&self) {
        self.ready.send_replace(false);
    }

    pub(crate) fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    /// Whether it was ever ready.
    pub(crate) fn has_begun(&self) -> bool {
        self.is_ready() || self.generation() > 1
    }

    /// Waits until it is known what the stream is.
    pub(crate) async fn until_ready(&self) {
        // It fails only without a sender, which is ours.
        let _ = self.ready.subscribe().wait_for(|ready| *ready).await;
    }

    pub(crate) fn generation(&self) -> u32 {
        self.state.lock().generation
    }

    /// Waits until everything up to a sequence has come, or the stream of this
    /// generation is another one.
    pub(crate) async fn until_come(&self, generation: u32, seq: u64) {
        let mut waiter = self.awaited.enter(seq);
        // The waiter is told of every event after this look.
        let head = self.head();
        if head.generation == generation && head.seq < seq {
            waiter.reached().await;
        }
    }

    /// Everything up to here has come and may be handed out.
    pub(crate) fn head(&self) -> Cursor {
        self.stream().1
    }

    /// Below and at this sequence nothing is in memory.
    pub(crate) fn floor(&self) -> u64 {
        self.state.lock().held.log.floor()
    }

    /// The oldest event in memory that the stream certainly still has: who has
    /// it has all that is older.
    pub(crate) fn oldest_certain(&self) -> Option<u64> {
        self.state.lock().held.log.first()
    }

    /// The step after a cursor for the fan-out, at most `size`, or one atomic batch. Events
    /// that were not asked for yet stay in memory.
    pub(crate) fn step(&self, cursor: Cursor, size: PageSize) -> Option<Step> {
        if !self.is_ready() {
            return None;
        }
        let mut state = self.state.lock();
        let (generation, head, whole) = (state.generation, state.reorder_buffer.head(), state.whole());
        if cursor.generation != generation {
            // Before the first one nobody was there to miss anything.
            let seq = if cursor.generation == 0 { whole } else { state.held.log.floor().min(whole) };
            state.fanned = Some(seq);
            return Some(Step::Lost(Cursor { generation, seq }));
        }
        state.fanned = Some(cursor.seq);
        let Held { log, endings, .. } = &mut state.held;
        let ended = endings.as_mut().map(|endings| endings.take(log, head, cursor.seq, size.events));
        if let Some(ended) = ended.filter(|ended| !ended.is_empty()) {
            return Some(Step::Events(ended, cursor));
        }
        let (upto, lost) = state.losses.after(cursor.seq, whole);
        if let Some(gap) = lost {
            return Some(Step::Lost(Cursor { generation, seq: gap.to }));
        }
        if cursor.seq >= upto {
            if state.reorder_buffer.hole().is_some() {
                // There may be room again for what was not taken in.
                self.evict(&mut state);
                self.attention.notify_one();
            }
            return None;
        }
        let (events, seq) = state.held.message(cursor.seq, upto, size);
        Some(Step::Events(events, Cursor { generation, seq }))
    }

    /// The events after a cursor for patterns, up to a sequence and a size.
    pub(crate) fn look(&self, cursor: Cursor, patterns: &[Pattern], upto: u64, size: PageSize) -> Lookup {
        let state = self.state.lock();
        let (generation, head) = (state.generation, state.whole());
        if cursor.generation != generation {
            return Lookup::Lost(reset(cursor), Cursor { generation, seq: state.stream.first.saturating_sub(1) });
        }
        let upto = upto.min(head);
        if cursor.seq >= upto {
            return Lookup::End;
        }
        let (floor, first) = (state.held.log.floor(), state.stream.first);
        let latest = self.delivery == Delivery::Latest;
        match ReadMethod::of(ReaderFacts { after: cursor.seq, floor, first, latest, asked: None }) {
            ReadMethod::Window => {}
            ReadMethod::Expired => {
                let to = (first - 1).min(head);
                let gap = Gap { from: cursor.seq + 1, to, reason: Reason::Expired };
                return Lookup::Lost(gap, Cursor { generation, seq: to });
            }
            _ => return Lookup::Older(floor),
        }
        let (upto, lost) = state.losses.after(cursor.seq, upto);
        if let Some(gap) = lost {
            return Lookup::Lost(gap, Cursor { generation, seq: gap.to });
        }
        let page = state.held.log.page(patterns, Select::All, cursor.seq, upto, size.events);
        let (mut events, mut room, mut through) = (Vec::new(), size.room(), page.through);
        for (seq, event) in page.events {
            if !room.take(event.cost()) {
                through = seq - 1;
                break;
            }
            events.push(event.clone());
        }
        Lookup::Events(events, Cursor { generation, seq: through })
    }

    /// Looks at what is in memory, and at the sequence at and below which there
    /// is more in the stream, 0 where there is not; nothing when the stream of
    /// this generation is another one by now.
    pub(crate) fn view<R>(&self, generation: u32, look: impl FnOnce(&EventLog<Arc<Message>>, u64) -> R) -> Option<R> {
        let state = self.state.lock();
        let floor = state.held.log.floor();
        let floor = if floor < state.stream.first { 0 } else { floor };
        (state.generation == generation).then(|| look(&state.held.log, floor))
    }

    /// Drops what has become too old.
    pub(crate) fn expire(&self) {
        self.evict(&mut self.state.lock());
    }

    /// Whether the events that wait for the fan-out leave no room for more.
    fn is_full(&self, state: &State) -> bool {
        state.fanned.is_some() && state.held.log.bytes() > self.bytes + BEHIND_BYTES
    }

    /// Drops what is beyond the window and fanned out.
    fn evict(&self, state: &mut State) {
        let oldest = if self.delivery == Delivery::Latest { None } else { Instant::now().checked_sub(self.age) };
        while let Some((seq, event)) = state.held.log.front() {
            let old = oldest.is_some_and(|oldest| event.arrived < oldest);
            let beyond = old || state.held.log.bytes() > self.bytes;
            if !beyond || state.fanned.is_some_and(|fanned| seq > fanned) {
                break;
            }
            state.held.log.evict_through(seq);
        }
    }
}

impl State {
    /// Everything up to here has come and may be handed out: of an atomic batch nothing before all of it has.
    fn whole(&self) -> u64 {
        self.held.open.whole(self.reorder_buffer.head())
    }

    /// Everything up to here is handed out, or nobody hands out.
    fn handed(&self) -> u64 {
        self.fanned.unwrap_or(u64::MAX)
    }
}

fn reset(cursor: Cursor) -> Gap {
    Gap { from: cursor.seq.saturating_add(1), to: 0, reason: Reason::Reset }
}

#[cfg(test)]
mod tests;
