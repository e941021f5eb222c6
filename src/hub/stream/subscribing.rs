//! A subscription on its way to be live: what it missed is replayed, as fast as
//! the client reads, until it is up with the others and joins them.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::{sync::oneshot, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    broker::ReadError,
    codec::ReplayOf,
    config::Delivery,
    encoded_message::EncodedMessage,
    error::{Code, Refusal},
    event::{Message, PageSize},
    hub::{
        context::Context,
        frames,
        live::topic::Topic,
        member::Member,
        stream::{
            channel::{Channel, NotYet},
            deny_filter::DenyFilter,
            subscribed,
        },
        subscribe_options::SubscribeOptions,
    },
    journal::{Cursor, Gap, Journal, LastValues, Part, Reader, Reason},
    proto::Position,
    quota::QUESTION,
    retry,
    subject::Pattern,
    sync::sleep,
};

/// A subscription that is not live yet.
pub(crate) struct Subscribing {
    pub(crate) pattern: Pattern,
    pub(crate) options: SubscribeOptions,
    pub(crate) member: Arc<Member>,
    /// The streams that it reaches.
    pub(crate) channels: Vec<Arc<Channel>>,
    /// Its live topic, and a receiver that resolves when the broker sends its events.
    pub(crate) live: Option<(Arc<Topic>, oneshot::Receiver<()>)>,
    /// Cancelled when it is given up.
    pub(crate) given_up: CancellationToken,
    /// Set when it comes to nothing.
    pub(crate) refused: Arc<AtomicBool>,
    pub(crate) context: Arc<Context>,
}

/// Reason for which a subscription does not become live.
enum Stop {
    /// The connection is gone.
    Gone,
    /// A stream cannot be read.
    Unreadable(ReadError),
}

/// One of its streams, being read.
struct Track {
    channel: Arc<Channel>,
    /// None: from now on.
    reader: Option<Reader>,
    /// The generation whose epoch the client has been told; 0: none.
    named: u32,
    /// Ends of values without a trace that had been handed out when it began.
    endings: u64,
    /// Whether the client has to be told when it has had all values, because it may know values that have ended.
    complete: bool,
}

impl Subscribing {
    /// Joins at once where nothing is to be replayed and nothing waited for;
    /// otherwise it is still to be [run](Self::run).
    pub(crate) fn at_once(self) -> Option<Self> {
        let simple = self.options.is_plain() && self.live.is_none();
        let ready = |channel: &Arc<Channel>| channel.journal().window().is_ready() && !is_latest(channel);
        if !simple || !self.channels.iter().all(ready) {
            return Some(self);
        }
        let tracks = self.channels.iter().map(|channel| Track {
            channel: channel.clone(),
            reader: None,
            named: 0,
            endings: 0,
            complete: false,
        });
        match self.join(&tracks.collect::<Vec<_>>(), false) {
            Ok(()) => None,
            Err(_) => Some(self),
        }
    }

    /// Does it all.
    pub(crate) async fn run(mut self) {
        let given_up = self.given_up.clone();
        tokio::select! {
            biased;
            () = given_up.cancelled() => {}
            done = self.subscribe() => if let Err(Stop::Unreadable(error)) = done {
                self.refuse(&error);
            }
        }
    }

    async fn subscribe(&mut self) -> Result<(), Stop> {
        let begun = Instant::now();
        if let Some((_, live)) = &mut self.live {
            // It fails when the subscription is given up.
            live.await.map_err(|_| Stop::Gone)?;
        }
        // Positions of other streams say nothing.
        let resumes = self.channels.iter().any(|channel| self.after(channel).is_some());
        let mut recovered = resumes && !self.options.snapshot;
        let mut left = self.context.replay_events;
        let mut tracks = Vec::new();
        for channel in self.channels.clone() {
            channel.journal().ready().await;
            tracks.push(self.track(channel, &mut recovered, &mut left).await?);
        }
        let mut behind = None;
        loop {
            for (index, track) in tracks.iter_mut().enumerate() {
                if behind.is_none_or(|behind| behind == index) {
                    self.read(track, &mut recovered, &mut left).await?;
                }
            }
            for track in tracks.iter_mut().filter(|track| track.complete) {
                track.complete = false;
                self.tell_complete(track).await?;
            }
            match self.join(&tracks, recovered) {
                Ok(()) => break,
                Err((index, NotYet::Behind)) => behind = Some(index),
                Err((_, NotYet::Lags | NotYet::Early)) => retry::JOIN.pause().await,
                Err((_, NotYet::GivenUp)) => return Err(Stop::Gone),
            }
        }
        for Track { channel, reader, endings, .. } in &tracks {
            // What was replayed may have ended before this one was among those who are told.
            if reader.is_some() && channel.journal().endings_told() > *endings {
                self.tell(channel, frames::ENDINGS_MISSED, channel.cursor()).await?;
            }
        }
        self.context.metrics.replay_time.record(begun.elapsed());
        Ok(())
    }

    /// Where to begin in a stream.
    async fn track(&self, channel: Arc<Channel>, recovered: &mut bool, left: &mut u64) -> Result<Track, Stop> {
        let journal = channel.journal().clone();
        let (after, mut named) = (self.after(&channel), 0);
        if self.options.snapshot || after.is_some() || is_latest(&channel) {
            self.afford(QUESTION).await;
        }
        let endings = journal.endings_told();
        let from = match after {
            Some(position) if !self.options.snapshot => Some(find(&journal, position).await?),
            _ => None,
        };
        // It may know values that have ended, and nothing in the stream would tell so.
        let complete = from.is_some_and(|cursor| !journal.is_traced(cursor));
        let cursor = if self.options.snapshot || complete || (after.is_none() && is_latest(&channel)) {
            let mut values = journal.snapshot(self.patterns(), None).await;
            // Nothing is read until there is room: only sequences wait.
            loop {
                if !self.member.outbox().room().await {
                    return Err(Stop::Gone);
                }
                let Some(events) = next(&mut values).await? else { break };
                *left = left.saturating_sub(events.len() as u64);
                self.replay(&journal, values.cursor(), &mut named, &events, true).await?;
                let reads = events.len() as u64;
                drop(events);
                self.afford(reads).await;
            }
            // Values that have changed meanwhile come as events.
            Some(values.cursor())
        } else {
            *recovered &= from.is_some();
            from
        };
        let reader = cursor.map(|cursor| journal.reader(self.patterns(), cursor));
        Ok(Track { channel, reader, named, endings, complete })
    }

    /// The position of a stream, if the client has told one.
    fn after(&self, channel: &Channel) -> Option<&Position> {
        self.options.after.iter().find(|position| position.stream == channel.journal().name())
    }

    /// Counts what is read for its user, and waits while that is more than may
    /// be: nothing is lost by it, where a refusal would only have the client ask
    /// again.
    async fn afford(&self, reads: u64) {
        let wait = self.context.quotas.charge(self.options.account, reads);
        if !wait.is_zero() {
            sleep(wait).await;
        }
    }

    /// Replays up to what is being handed out to the others.
    async fn read(&self, track: &mut Track, recovered: &mut bool, left: &mut u64) -> Result<(), Stop> {
        let Track { channel, reader, named, .. } = track;
        let Some(reader) = reader else { return Ok(()) };
        loop {
            let upto = channel.cursor();
            if *left == 0 && upto.is_beyond(reader.cursor()) {
                let gap = Gap { from: reader.cursor().seq + 1, to: upto.seq, reason: Reason::Overflow };
                *recovered = false;
                self.tell(channel, gap, upto).await?;
                *reader = channel.journal().reader(self.patterns(), upto);
                *left = self.context.replay_events;
            }
            // Nothing is read until there is room: only a position waits.
            if upto.is_beyond(reader.cursor()) && !self.member.outbox().room().await {
                return Err(Stop::Gone);
            }
            let part = read(reader, upto).await?;
            let mut reads = QUESTION * reader.take_pages();
            match part {
                Part::End => {
                    self.context.quotas.charge(self.options.account, reads);
                    return Ok(());
                }
                Part::Lost(gap) => {
                    *recovered = false;
                    self.tell(channel, gap, reader.cursor()).await?;
                }
                Part::Events(events) => {
                    *left = left.saturating_sub(events.len() as u64);
                    self.replay(channel.journal(), reader.cursor(), named, &events, false).await?;
                    reads += events.len() as u64;
                }
            }
            // Afterwards: who waits holds nothing.
            self.afford(reads).await;
        }
    }

    /// Sends events that end at a cursor. The first frame of a generation names its epoch, so that a client that
    /// is cut off can resume from them.
    async fn replay(
        &self,
        journal: &Journal,
        at: Cursor,
        named: &mut u32,
        events: &[Arc<Message>],
        snapshot: bool,
    ) -> Result<(), Stop> {
        for together in PageSize::BATCH.split(events) {
            let epoch = (*named != at.generation).then(|| journal.epoch(at)).flatten();
            let sent = self.replay_part(together, snapshot, epoch.as_deref().unwrap_or_default()).await?;
            if sent > 0 && epoch.is_some() {
                *named = at.generation;
            }
            self.context.metrics.replayed.increment(sent as u64);
        }
        Ok(())
    }

    /// Sends events as soon as there is room, but for those that are denied. Returns how many that were.
    async fn replay_part(&self, together: &[Arc<Message>], snapshot: bool, epoch: &str) -> Result<usize, Stop> {
        let replay = ReplayOf { reply_to: self.options.reply_to, subject: self.pattern.as_str(), snapshot, epoch };
        loop {
            let allowed = DenyFilter::of(&self.member, together);
            if allowed.events.is_empty() {
                return Ok(0);
            }
            let frame = self.member.encoding().replay(&replay, &allowed.events);
            if !self.member.outbox().room().await {
                return Err(Stop::Gone);
            }
            if self.offer(&frame, || allowed.holds(&self.member)).await {
                return Ok(allowed.events.len());
            }
            // Unless its grants are others by now, it is gone.
            if allowed.holds(&self.member) {
                return Err(Stop::Gone);
            }
        }
    }

    /// Tells that all values of a stream have been told.
    async fn tell_complete(&self, Track { channel, reader, named, .. }: &Track) -> Result<(), Stop> {
        let journal = channel.journal();
        let at = reader.as_ref().map(Reader::cursor).filter(|at| *named != at.generation);
        let epoch = at.and_then(|at| journal.epoch(at)).unwrap_or_default();
        let (reply_to, subject) = (self.options.reply_to, self.pattern.as_str());
        let replay = ReplayOf { reply_to, subject, snapshot: true, epoch: &epoch };
        self.send(&self.member.encoding().complete(&replay, journal.name())).await
    }

    async fn tell(&self, channel: &Channel, gap: Gap, at: Cursor) -> Result<(), Stop> {
        let gap = channel.journal().gap(gap, &self.pattern, at);
        self.send(&frames::gap(self.member.encoding(), self.options.reply_to, gap)).await
    }

    async fn send(&self, message: &EncodedMessage) -> Result<(), Stop> {
        if self.offer(message, || true).await { Ok(()) } else { Err(Stop::Gone) }
    }

    /// Sends a message as soon as there is room, if it may still be sent then.
    /// Nothing leaves any more once the subscription is given up: another one of
    /// the same pattern may follow.
    async fn offer(&self, message: &EncodedMessage, may: impl Fn() -> bool) -> bool {
        let offer = || (!self.given_up.is_cancelled() && may()).then(|| self.member.outbox().offer(message));
        self.member.outbox().as_room_allows(|| self.member.progress().exclusively(offer)).await
    }

    fn join(&self, tracks: &[Track], recovered: bool) -> Result<(), (usize, NotYet)> {
        let joining: Vec<(Arc<Channel>, Option<Cursor>)> =
            tracks.iter().map(|track| (track.channel.clone(), track.reader.as_ref().map(Reader::cursor))).collect();
        let live = |cursors: &[Cursor]| {
            let positions =
                joining.iter().zip(cursors).map(|((channel, _), cursor)| channel.position(*cursor)).collect();
            let frame = subscribed::frame(
                self.member.encoding(),
                self.options.reply_to,
                &self.pattern,
                &self.channels,
                positions,
                recovered,
            );
            self.member.outbox().push(&frame);
        };
        let asked = (&self.pattern, self.options.reply_to);
        Channel::join_all(&joining, asked, &self.member, || self.given_up.is_cancelled(), live)
    }

    fn refuse(&self, error: &ReadError) {
        let message = match error {
            ReadError::TooManySubjects => {
                "a snapshot of so many subjects cannot be read at once; ask for narrower patterns".to_owned()
            }
            error => format!("what it missed cannot be read now ({error}); the subscription has ended, try again"),
        };
        self.refused.store(true, Ordering::Relaxed);
        if let Some((topic, _)) = &self.live {
            topic.leave(&self.member);
        }
        let code = if *error == ReadError::TooManySubjects { Code::BadRequest } else { Code::BrokerUnavailable };
        self.context.metrics.errors.of(code).increment(1);
        let refusal = Refusal::of(code, self.pattern.as_str(), message);
        self.member.outbox().push(&frames::refused(self.member.encoding(), self.options.reply_to, refusal.into()));
    }

    fn patterns(&self) -> Vec<Pattern> {
        vec![self.pattern.clone()]
    }
}

/// Whether its newest values are sent at once.
fn is_latest(channel: &Channel) -> bool {
    channel.journal().delivery() == Delivery::Latest
}

async fn find(journal: &Journal, position: &Position) -> Result<Cursor, Stop> {
    let mut patience = retry::SUBSCRIBE.begin();
    loop {
        if let Some(cursor) = patience.attempt(journal.cursor(position), is_final).await? {
            return Ok(cursor);
        }
    }
}

async fn next(values: &mut LastValues) -> Result<Option<Vec<Arc<Message>>>, Stop> {
    let mut patience = retry::SUBSCRIBE.begin();
    loop {
        if let Some(events) = patience.attempt(values.next(PageSize::BATCH), is_final).await? {
            return Ok(events);
        }
    }
}

async fn read(reader: &mut Reader, upto: Cursor) -> Result<Part, Stop> {
    let mut patience = retry::SUBSCRIBE.begin();
    loop {
        if let Some(part) = patience.attempt(reader.next(upto.seq, PageSize::BATCH), is_final).await? {
            return Ok(part);
        }
    }
}

fn is_final(error: &ReadError) -> bool {
    *error == ReadError::TooManySubjects
}

impl From<ReadError> for Stop {
    fn from(error: ReadError) -> Self {
        Self::Unreadable(error)
    }
}
