//! Reading what is stored without subscribing: history, and the newest value of
//! each subject. The same answer over WebSocket and HTTP.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout_at};

use crate::{
    access::grants::Grants,
    broker::ReadError,
    classes::{Classes, StreamIndex},
    config::Limits,
    error::{Code, Refusal},
    event::{Message, PageSize, batch_parts::shown},
    journal::{Cursor, Journal, Part},
    proto::{BatchPlace, Event, Fetch, Fetched, Position},
    quota::{QUESTION, Quotas},
    retry,
    subject::Pattern,
};

/// For one answer.
pub const ANSWER_TIME: Duration = retry::FETCH.patience();

/// Bytes of events in one answer; one event, or one atomic batch, more than that.
const ANSWER_BYTES: usize = 1024 * 1024;

/// One event, or one atomic batch.
const ONE: PageSize = PageSize { events: 1, bytes: 0 };

/// Reads what is stored.
#[derive(Debug)]
pub struct Fetcher {
    classes: Arc<Classes>,
    /// In the order of the configuration.
    journals: Vec<Arc<Journal>>,
    most: usize,
    /// Of one event, or of one atomic batch.
    whole_bytes: usize,
    quotas: Arc<Quotas>,
}

impl Fetcher {
    /// One who hands out what the limits allow, counted for its user.
    pub fn new(classes: Arc<Classes>, journals: Vec<Arc<Journal>>, limits: &Limits, quotas: Arc<Quotas>) -> Self {
        let whole_bytes = limits.event_bytes.bytes().max(limits.batch_bytes.bytes());
        Self { classes, journals, most: limits.fetch_events, whole_bytes, quotas }
    }

    /// Bytes of data in the largest answer of at most `limit` events; 0: of as
    /// many as there may be.
    pub fn answer_bytes(&self, limit: u32) -> usize {
        let most = ANSWER_BYTES.saturating_add(self.whole_bytes);
        match usize::try_from(limit) {
            Ok(events @ 1..) => most.min(events.saturating_mul(self.whole_bytes)),
            _ => most,
        }
    }

    /// Reads one page within [`ANSWER_TIME`].
    ///
    /// # Errors
    /// The refusal to tell.
    pub async fn fetch(&self, grants: &Grants, fetch: Fetch) -> Result<Fetched, Refusal> {
        self.fetch_by(Instant::now() + ANSWER_TIME, grants, fetch).await
    }

    /// Reads one page until then: what cannot be read is tried again as long.
    ///
    /// # Errors
    /// The refusal to tell.
    pub async fn fetch_by(&self, deadline: Instant, grants: &Grants, fetch: Fetch) -> Result<Fetched, Refusal> {
        let pattern = grants.subscribe(&fetch.subject)?;
        if !fetch.after.iter().all(Position::is_plausible) {
            return Err(Refusal::bad_position(&fetch.subject));
        }
        let reach = self.classes.reach(&pattern);
        if reach.streams.is_empty() {
            let message = "nothing stores these events; only `latest` and `durable` subjects can be fetched";
            return Err(Refusal::of(Code::NotStored, &fetch.subject, message));
        }
        let account = self.quotas.account(grants.identity().user_key());
        self.quotas.question(account, &fetch.subject, reach.streams.len())?;
        let may = |event: &Message| !grants.denies(&event.subject);
        let mut reads = 0;
        let answer = timeout_at(deadline, self.answer(&pattern, &reach.streams, &fetch, &may, &mut reads)).await;
        // Also for an answer that came to nothing.
        self.quotas.charge(account, reads);
        answer.unwrap_or(Err(ReadError::Timeout)).map_err(|error| refusal(&fetch.subject, &error))
    }

    async fn answer(
        &self,
        pattern: &Pattern,
        streams: &[StreamIndex],
        fetch: &Fetch,
        may: May<'_>,
        reads: &mut u64,
    ) -> Result<Fetched, ReadError> {
        let asked = usize::try_from(fetch.limit).unwrap_or(usize::MAX);
        let limit = if asked == 0 { self.most } else { asked.min(self.most) };
        let mut room = Room { events: limit, bytes: ANSWER_BYTES, may, is_new: true, reads };
        let mut fetched = Fetched::default();
        for stream in streams {
            let journal = &self.journals[stream.0];
            journal.ready().await;
            let after = fetch.after.iter().find(|position| position.stream == journal.name());
            let from = match after {
                Some(position) => Some(patiently(|| journal.cursor(position)).await?),
                None => None,
            };
            let (end, more) = if fetch.last {
                newest(journal, pattern, from, &mut room, &mut fetched).await?
            } else {
                let from = match from {
                    Some(cursor) => cursor,
                    None => patiently(|| journal.beginning()).await?,
                };
                history(journal, pattern, from, &mut room, &mut fetched).await?
            };
            fetched.more |= more;
            fetched.positions.push(journal.position(end));
        }
        Ok(fetched)
    }
}

/// Whether an event may be told.
type May<'m> = &'m (dyn Fn(&Message) -> bool + Sync);

/// The room of an answer.
struct Room<'m> {
    events: usize,
    bytes: usize,
    may: May<'m>,
    /// Whether nothing has been put in.
    is_new: bool,
    /// The reads for it, as quotas count.
    reads: &'m mut u64,
}

impl Room<'_> {
    fn is_left(&self) -> bool {
        self.events > 0 && self.bytes > 0
    }

    fn put(&mut self, event: &Message) -> bool {
        self.events = self.events.saturating_sub(1);
        *self.reads += 1;
        self.bytes = self.bytes.saturating_sub(event.cost());
        // A denied event takes its room too, and so does the end of a value: one answer reads no more than it
        // may hold.
        (self.may)(event) && event.gone.is_none()
    }

    /// Puts in an event, or the events of an atomic batch, which stay together: an answer that has nothing else may have
    /// more of them than was asked for. False where they are left for the next answer.
    fn put_whole(&mut self, whole: &[Arc<Message>], fetched: &mut Fetched) -> bool {
        if !self.is_left() || (whole.len() > self.events && !self.is_new) {
            return false;
        }
        self.is_new = false;
        let told: Vec<_> = whole.iter().filter(|event| self.put(event)).cloned().collect();
        fetched.events.extend((0..told.len()).map(|at| {
            let batch = shown(&told, at).map(|(mark, last)| BatchPlace { last, ..mark.into() });
            Event { batch, ..Message::clone(&told[at]).into() }
        }));
        true
    }

    /// Puts in a newest value: which of them were published together says nothing.
    fn put_value(&mut self, event: &Message, fetched: &mut Fetched) {
        if self.put(event) {
            fetched.events.push(Event { batch: None, ..event.clone().into() });
        }
    }
}

/// The result of a read; none where another attempt may succeed, which may
/// begin when this returns. The caller decides for how long to try.
async fn attempt<T>(read: impl Future<Output = Result<T, ReadError>>) -> Result<Option<T>, ReadError> {
    match read.await {
        Err(error @ (ReadError::TooManySubjects | ReadError::Refused(_))) => Err(error),
        Err(_) => {
            retry::FETCH.pause().await;
            Ok(None)
        }
        Ok(done) => Ok(Some(done)),
    }
}

/// Tries until it can be read.
async fn patiently<T, F>(mut read: impl FnMut() -> F) -> Result<T, ReadError>
where
    F: Future<Output = Result<T, ReadError>>,
{
    loop {
        if let Some(done) = attempt(read()).await? {
            return Ok(done);
        }
    }
}

/// Events from a cursor on; where they end, and whether there is more.
async fn history(
    journal: &Journal,
    pattern: &Pattern,
    from: Cursor,
    room: &mut Room<'_>,
    fetched: &mut Fetched,
) -> Result<(Cursor, bool), ReadError> {
    let upto = journal.head().seq;
    let mut reader = journal.reader(vec![pattern.clone()], from);
    let mut end = from;
    // A void position is told at once: its page may have no room for events.
    'page: while room.is_left() || end.generation != journal.head().generation {
        let size = PageSize { events: room.events, bytes: room.bytes };
        // The reader continues where it was.
        let part = attempt(reader.next(upto, size)).await;
        *room.reads += QUESTION * reader.take_pages();
        let Some(part) = part? else { continue };
        match part {
            Part::End => return Ok((reader.cursor(), false)),
            Part::Lost(gap) => fetched.gaps.push(journal.gap(gap, pattern, reader.cursor())),
            Part::Events(events) => {
                for whole in ONE.split_whole(journal.batch(), &events) {
                    if !room.put_whole(whole, fetched) {
                        break 'page;
                    }
                    let seq = whole.last().map_or(end.seq, |event| event.seq());
                    end = Cursor { seq, ..reader.cursor() };
                }
            }
        }
        end = reader.cursor();
    }
    if let Some(gap) = patiently(|| reader.lost(end.seq)).await? {
        fetched.gaps.push(journal.gap(gap, pattern, end));
    }
    Ok((end, end.seq < upto))
}

/// The newest event of each subject that has changed since a cursor; where they
/// end, and whether there is more.
async fn newest(
    journal: &Journal,
    pattern: &Pattern,
    from: Option<Cursor>,
    room: &mut Room<'_>,
    fetched: &mut Fetched,
) -> Result<(Cursor, bool), ReadError> {
    let mut values = journal.snapshot(vec![pattern.clone()], from).await;
    let mut reached = values.cursor();
    loop {
        let size = PageSize { events: room.events.max(1), bytes: room.bytes.max(1) };
        let Some(page) = attempt(values.next(size)).await? else { continue };
        let Some(events) = page else { return Ok((values.cursor(), !values.is_complete())) };
        for event in &events {
            if !room.is_left() {
                return Ok((reached, true));
            }
            room.put_value(event, fetched);
            reached.seq = event.seq();
        }
    }
}

fn refusal(subject: &str, error: &ReadError) -> Refusal {
    match error {
        ReadError::TooManySubjects => {
            Refusal::of(Code::BadRequest, subject, "so many subjects cannot be read at once; ask for narrower patterns")
        }
        error => Refusal::of(
            Code::BrokerUnavailable,
            subject,
            format!("what is stored cannot be read now: {error}; try again"),
        ),
    }
}
