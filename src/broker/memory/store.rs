//! A stream that this process keeps: what JetStream does for one node, in
//! memory and for as long as the process runs.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    broker::stored::{Page, Query, ReadError, Receipt, Stored, StreamState},
    clock::unix_millis,
    config::{Storage, Stream},
    event::PageSize,
    event::message::{Message, Place},
    event_log::{Bounds, EventLog, Select},
};

/// Subjects whose newest events are told at once, as nats-server does it.
const SUBJECTS: usize = 1_024;

/// Identifiers that are known at the same time, some 16 MiB of them: an event
/// that is repeated after as many others is stored again.
const IDS: usize = 65_536;

/// One stream.
#[derive(Debug)]
pub(crate) struct Store {
    name: Arc<str>,
    log: EventLog<Kept>,
    epoch: u64,
    /// Events of one subject; 0: as many as there are.
    per_subject: u64,
    max_age: Option<Duration>,
    duplicate_window: Duration,
    /// Identifiers that were stored lately, and the same in order of time.
    ids: HashMap<String, u64>,
    recent: VecDeque<(Instant, String)>,
}

#[derive(Debug)]
struct Kept {
    at: Instant,
    unix_millis: u64,
    event: Arc<Message>,
}

impl Store {
    /// An empty stream, created now.
    pub(crate) fn new(stream: &Stream) -> Self {
        let most = |limit: Option<u64>| limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        Self {
            name: stream.name.as_str().into(),
            log: EventLog::new(Bounds {
                bytes: most(stream.kept_bytes(Storage::Memory)),
                events: most(stream.max_messages),
                per_subject: most(stream.max_messages_per_subject),
            }),
            epoch: unix_millis() * 1_000_000,
            per_subject: stream.max_messages_per_subject.unwrap_or(0),
            max_age: stream.max_age.map(|age| age.duration()),
            duplicate_window: stream.duplicate_window.duration(),
            ids: HashMap::new(),
            recent: VecDeque::new(),
        }
    }

    /// Stores an event under an identifier, empty for none; what is returned
    /// beside the receipt is the event as it is stored, unless something was
    /// stored under the same one before.
    pub(crate) fn add(&mut self, message: Message, id: String) -> (Receipt, Option<Arc<Message>>) {
        let now = Instant::now();
        self.expire(now);
        if let Some(seq) = self.ids.get(&id) {
            return (Receipt { seq: *seq, duplicate: true }, None);
        }
        let seq = self.log.head() + 1;
        if !id.is_empty() {
            if self.recent.len() >= IDS {
                self.forget_oldest_id();
            }
            self.ids.insert(id.clone(), seq);
            self.recent.push_back((now, id));
        }
        let unix_millis = unix_millis();
        let mut message = message.stamped(unix_millis);
        message.place = Some(Place { stream: self.name.clone(), seq });
        let event = Arc::new(message);
        let bytes = event.cost();
        self.log.append(seq, event.subject.clone(), bytes, Kept { at: now, unix_millis, event: event.clone() });
        (Receipt { seq, duplicate: false }, Some(event))
    }

    /// The present state of the stream.
    pub(crate) fn state(&mut self) -> StreamState {
        self.expire(Instant::now());
        let last = self.log.head();
        StreamState {
            epoch: self.epoch,
            first: self.log.first().unwrap_or(last + 1),
            last,
            messages: self.log.len() as u64,
            bytes: self.log.bytes() as u64,
            begins: 1,
            per_subject: self.per_subject,
        }
    }

    /// The present state of the stream, and the sequences behind its first without an event.
    pub(crate) fn deleted(&mut self) -> (StreamState, Vec<u64>) {
        let state = self.state();
        let (mut deleted, mut next) = (Vec::new(), state.first);
        for (seq, ..) in self.log.range(state.first.saturating_sub(1), state.last) {
            deleted.extend(next..seq);
            next = seq + 1;
        }
        deleted.extend(next..=state.last);
        (state, deleted)
    }

    /// The first sequence from this one on at which something is stored.
    pub(crate) fn next(&mut self, seq: u64) -> Option<u64> {
        self.expire(Instant::now());
        self.log.range(seq.saturating_sub(1), u64::MAX).next().map(|(seq, ..)| seq)
    }

    /// Reads one page.
    pub(crate) fn read(&mut self, query: &Query, size: PageSize) -> Result<Page, ReadError> {
        self.expire(Instant::now());
        let head = self.log.head();
        Ok(match query {
            Query::From(seq) => page(self.log.range(seq.saturating_sub(1), head).map(|(_, _, kept)| kept), size),
            Query::Of(subject, seq) => {
                let pattern = [subject.clone().into()];
                let mut found: Vec<&Kept> = Vec::new();
                let mut after = seq.saturating_sub(1);
                while after < head && found.len() <= size.events {
                    let part = self.log.page(&pattern, Select::All, after, head, size.events + 1);
                    found.extend(part.events.into_iter().map(|(_, kept)| kept));
                    after = part.through;
                }
                page(found.into_iter(), size)
            }
            Query::Since(millis) => {
                let kept = self.log.range(0, head).map(|(_, _, kept)| kept);
                page(kept.skip_while(|kept| kept.unix_millis < *millis), PageSize { events: 1, ..size })
            }
            Query::Newest { patterns, upto, from } => {
                let newest = self.log.newest(patterns, *upto, SUBJECTS).ok_or(ReadError::TooManySubjects)?;
                page(newest.into_iter().filter(|(seq, _)| seq >= from).map(|(_, kept)| kept), size)
            }
        })
    }

    fn forget_oldest_id(&mut self) {
        if let Some((_, id)) = self.recent.pop_front() {
            self.ids.remove(&id);
        }
    }

    fn expire(&mut self, now: Instant) {
        while self.recent.front().is_some_and(|(at, _)| now.duration_since(*at) > self.duplicate_window) {
            self.forget_oldest_id();
        }
        let Some(age) = self.max_age else { return };
        while let Some((seq, kept)) = self.log.front()
            && now.duration_since(kept.at) > age
        {
            self.log.evict_through(seq);
        }
    }
}

/// As many as fit.
fn page<'a>(kept: impl Iterator<Item = &'a Kept>, size: PageSize) -> Page {
    let (mut page, mut room, mut kept) = (Page::default(), size.room(), kept.peekable());
    while let Some(Kept { event, .. }) = kept.next_if(|kept| room.take(kept.event.cost())) {
        page.through = event.seq();
        page.events.push(Stored::new(event.seq(), Some(event.clone())));
    }
    page.more = kept.peek().is_some();
    page
}
