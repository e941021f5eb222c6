//! A subscription on its way to be live: what it missed is replayed, as fast as
//! the client reads, until it is up with the others and joins them. An event stream
//! subscribes its patterns together: they are replayed once, in the order of each
//! stream, and become live at the same moment.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    broker::ReadError,
    classes::StreamIndex,
    codec::ReplayOf,
    config::Delivery,
    encoded_message::EncodedMessage,
    error::{Code, Refusal},
    event::{Message, PageSize},
    hub::{
        context::Context,
        frames,
        member::Member,
        stream::{
            channel::{Channel, NotYet},
            deny_filter::DenyFilter,
            patient_reads::PatientReads,
            stream_id::write_id,
            subscribed,
            subscribing_pattern::SubscribingPattern,
            track::{Track, moved, reached},
        },
    },
    journal::{Cursor, Gap, Journal, Part, Reader, Reason},
    proto::{Position, ServerFrame, server_frame::Body},
    quota::{Account, QUESTION},
    retry,
    subject::Pattern,
    sync::{sleep, yield_now},
};

/// A subscription that is not live yet.
pub(crate) struct Subscribing {
    /// Its patterns; a WebSocket has one.
    pub(crate) parts: Vec<SubscribingPattern>,
    /// The client has everything up to these positions, whatever its patterns ask for.
    pub(crate) resume: Vec<Position>,
    pub(crate) member: Arc<Member>,
    /// The streams that it reaches, in the order of the configuration.
    pub(crate) channels: Vec<Arc<Channel>>,
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

impl Subscribing {
    /// Joins at once where nothing is to be replayed and nothing waited for;
    /// otherwise it is still to be [run](Self::run).
    pub(crate) fn at_once(self) -> Option<Self> {
        let is_simple = |part: &SubscribingPattern| part.options.is_plain() && part.live.is_none();
        let simple = self.resume.is_empty() && self.parts.iter().all(is_simple);
        let ready = |channel: &Arc<Channel>| channel.journal().window().is_ready() && !is_latest(channel);
        if !simple || !self.channels.iter().all(ready) {
            return Some(self);
        }
        let tracks = self.channels.iter().map(|channel| Track::from_now(channel.clone()));
        match self.join(&tracks.collect::<Vec<_>>()) {
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
        for part in &mut self.parts {
            if let Some((_, live)) = &mut part.live {
                // It fails when the subscription is given up.
                live.await.map_err(|_| Stop::Gone)?;
            }
            // Positions of other streams say nothing.
            part.recovered = part.resumes(&self.resume);
        }
        let mut left = self.context.replay_events;
        let mut tracks = Vec::new();
        for channel in self.channels.clone() {
            channel.journal().ready().await;
            tracks.push(self.track(channel, &mut left).await?);
        }
        let mut behind = None;
        loop {
            for index in 0..tracks.len() {
                if behind.is_none_or(|behind| behind == index) {
                    self.read(&mut tracks, index, &mut left).await?;
                }
            }
            for track in tracks.iter_mut().filter(|track| track.complete) {
                track.complete = false;
                self.tell_complete(track).await?;
            }
            match self.join(&tracks) {
                Ok(()) => break,
                Err((index, NotYet::Behind)) => {
                    behind = Some(index);
                    // The fan-out may need this thread to get there.
                    yield_now().await;
                }
                Err((_, NotYet::Lags | NotYet::Early)) => retry::JOIN.pause().await,
                Err((_, NotYet::GivenUp)) => return Err(Stop::Gone),
            }
        }
        for Track { channel, reader, endings, .. } in &tracks {
            // What was replayed may have ended before this one was among those who are told.
            if reader.is_some() && channel.journal().endings_told() > *endings {
                self.tell(channel, frames::ENDINGS_MISSED, channel.cursor(), &[]).await?;
            }
        }
        self.context.metrics.replay_time.record(begun.elapsed());
        Ok(())
    }

    /// Where to begin in a stream.
    async fn track(&mut self, channel: Arc<Channel>, left: &mut u64) -> Result<Track, Stop> {
        let journal = channel.journal().clone();
        let of_it = |positions: &[Position]| positions.iter().find(|at| at.stream == journal.name()).cloned();
        let resume = of_it(&self.resume);
        let (mut resuming, mut fresh, mut after) = (Vec::new(), Vec::new(), Vec::new());
        for part in self.parts.iter_mut().filter(|part| part.reaches(&channel)) {
            let options = &part.options;
            let own = || of_it(&options.after).filter(|_| !options.snapshot);
            if let Some(position) = resume.clone().or_else(own) {
                resuming.push(part.pattern.clone());
                after.push(position);
                continue;
            }
            if options.snapshot || is_latest(&channel) {
                fresh.push(part.pattern.clone());
            } else {
                part.recovered = false;
            }
        }
        if !(resuming.is_empty() && fresh.is_empty()) {
            self.afford(QUESTION).await;
        }
        let endings = journal.endings_told();
        // The earliest; of another epoch that of before, which is void.
        let first = after.into_iter().min_by_key(|at| (at.epoch.parse::<u64>().unwrap_or(0), at.seq));
        let mut begin = match first {
            Some(position) => Some(self.reads().find(&journal, &position).await?),
            None => None,
        };
        let mut track = Track { endings, ..Track::from_now(channel) };
        // It may know values that have ended, and nothing in the stream would tell so.
        track.complete = begin.is_some_and(|cursor| !journal.is_traced(cursor));
        if track.complete {
            begin = None;
            fresh.append(&mut resuming);
        }
        if !fresh.is_empty() {
            let until = self.snapshot(&mut track, &fresh, left).await?;
            // Values that have changed meanwhile come as events.
            track.later = Some((until, [&resuming[..], &fresh[..]].concat()));
            track.patterns = fresh;
            track.reader = Some(journal.reader(track.patterns.clone(), until));
        }
        if let Some(cursor) = begin {
            track.patterns = resuming;
            track.reader = Some(journal.reader(track.patterns.clone(), cursor));
        }
        Ok(track)
    }

    /// Sends the newest values of some patterns; up to where they are.
    async fn snapshot(&self, track: &mut Track, patterns: &[Pattern], left: &mut u64) -> Result<Cursor, Stop> {
        let Track { channel, named, .. } = track;
        let mut values = channel.journal().snapshot(patterns.to_vec(), None).await;
        // Nothing is read until there is room: only sequences wait.
        loop {
            if !self.member.outbox().room().await {
                return Err(Stop::Gone);
            }
            let Some(events) = self.reads().values(&mut values).await? else { break };
            *left = left.saturating_sub(events.len() as u64);
            // Not before all values have come could the client resume from here.
            self.replay(&events, (channel, values.cursor(), named), None).await?;
            let reads = events.len() as u64;
            drop(events);
            self.afford(reads).await;
        }
        Ok(values.cursor())
    }

    /// Counts what is read for its user, and waits while that is more than may
    /// be: nothing is lost by it, where a refusal would only have the client ask
    /// again.
    async fn afford(&self, reads: u64) {
        let wait = self.context.quotas.charge(self.account(), reads);
        if !wait.is_zero() {
            sleep(wait).await;
        }
    }

    /// Replays one of the streams up to what is being handed out to the others.
    async fn read(&mut self, tracks: &mut [Track], index: usize, left: &mut u64) -> Result<(), Stop> {
        loop {
            tracks[index].widen();
            let at = reached(tracks);
            let Track { channel, reader: Some(reader), patterns, later, .. } = &mut tracks[index] else {
                return Ok(());
            };
            let upto = channel.cursor();
            if *left == 0 && upto.is_beyond(reader.cursor()) {
                let gap = Gap { from: reader.cursor().seq + 1, to: upto.seq, reason: Reason::Overflow };
                *reader = channel.journal().reader(patterns.clone(), upto);
                *left = self.context.replay_events;
                let channel = channel.clone();
                self.tell(&channel, gap, upto, &reached(tracks)).await?;
                continue;
            }
            // Nothing is read until there is room: only a position waits.
            if upto.is_beyond(reader.cursor()) && !self.member.outbox().room().await {
                return Err(Stop::Gone);
            }
            let until = later.as_ref().map_or(upto.seq, |(until, _)| until.seq.min(upto.seq));
            let part = self.reads().part(reader, until).await?;
            let mut reads = QUESTION * reader.take_pages();
            let (stream, cursor, channel) = (channel.journal().stream(), reader.cursor(), channel.clone());
            match part {
                Part::End if later.is_some() && upto.is_beyond(cursor) => tracks[index].widen_now(),
                Part::End => {
                    self.context.quotas.charge(self.account(), reads);
                    return Ok(());
                }
                Part::Lost(gap) => self.tell(&channel, gap, cursor, &reached(tracks)).await?,
                Part::Events(events) => {
                    *left = left.saturating_sub(events.len() as u64);
                    let at = moved(&at, stream, cursor);
                    self.replay(&events, (&channel, cursor, &mut tracks[index].named), Some(&at)).await?;
                    reads += events.len() as u64;
                }
            }
            // Afterwards: who waits holds nothing.
            self.afford(reads).await;
        }
    }

    /// Replays events that end at a cursor. The first frame of a generation names its epoch, so that a client
    /// that is cut off can resume from them. `at` is how far the client is then in each stream, this one last; none
    /// for newest values, in the midst of which it cannot resume.
    async fn replay(
        &self,
        events: &[Arc<Message>],
        (channel, end, named): (&Channel, Cursor, &mut u32),
        at: Option<&[(StreamIndex, Cursor)]>,
    ) -> Result<(), Stop> {
        for together in PageSize::BATCH.split_whole(channel.journal().batch(), events) {
            let epoch = (*named != end.generation).then(|| channel.journal().epoch(end)).flatten();
            let sent = self.replay_part(together, epoch.as_deref().unwrap_or_default(), at).await?;
            if sent > 0 && epoch.is_some() {
                *named = end.generation;
            }
            self.context.metrics.replayed.increment(sent as u64);
        }
        Ok(())
    }

    /// Sends events as soon as there is room, but for those that are denied. Returns how many that were.
    async fn replay_part(
        &self,
        together: &[Arc<Message>],
        epoch: &str,
        at: Option<&[(StreamIndex, Cursor)]>,
    ) -> Result<usize, Stop> {
        let (reply_to, subject) = self.request();
        let replay = ReplayOf { reply_to, subject, snapshot: at.is_none(), epoch };
        let id = |upto: Option<u64>, out: &mut Vec<u8>| {
            let Some(((stream, cursor), others)) = at.and_then(<[_]>::split_last) else { return };
            let seq = upto.or(together.last().map(|event| event.seq())).unwrap_or(cursor.seq);
            write_id(self.journals(), others.iter().copied().chain([(*stream, Cursor { seq, ..*cursor })]), out);
        };
        loop {
            let allowed = DenyFilter::of(&self.member, together);
            if allowed.events.is_empty() {
                return Ok(0);
            }
            let frame = self.member.encoding().replay(&replay, &allowed.events, id);
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
        let (reply_to, subject) = self.request();
        let replay = ReplayOf { reply_to, subject, snapshot: true, epoch: &epoch };
        self.send(&self.member.encoding().complete(&replay, journal.name())).await
    }

    /// Tells of a gap that ends at a cursor; `at` is how far the client is behind it in each stream.
    async fn tell(
        &mut self,
        channel: &Channel,
        gap: Gap,
        end: Cursor,
        at: &[(StreamIndex, Cursor)],
    ) -> Result<(), Stop> {
        let mut told = Vec::new();
        for part in self.parts.iter_mut().filter(|part| part.reaches(channel)) {
            part.recovered = false;
            let gap = channel.journal().gap(gap, &part.pattern, end);
            told.push(ServerFrame { reply_to: part.options.reply_to, body: Some(Body::Gap(gap)) });
        }
        let id = |out: &mut Vec<u8>| {
            if !at.is_empty() {
                write_id(self.journals(), at.iter().copied(), out);
            }
        };
        let frame = self.member.encoding().frames(&told, id);
        self.send(&frame).await
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

    fn join(&self, tracks: &[Track]) -> Result<(), (usize, NotYet)> {
        let joining: Vec<(Arc<Channel>, Option<Cursor>)> =
            tracks.iter().map(|track| (track.channel.clone(), track.joins_at())).collect();
        let stream = |channel: &Arc<Channel>| channel.journal().stream();
        let patterns: Vec<(_, _, Vec<_>)> = self
            .parts
            .iter()
            .map(|part| (part.pattern.clone(), part.options.reply_to, part.channels.iter().map(stream).collect()))
            .collect();
        let live = |cursors: &[Cursor]| {
            let at = || joining.iter().zip(cursors).map(|((channel, _), cursor)| (channel, *cursor));
            let frames: Vec<_> = self
                .parts
                .iter()
                .map(|part| {
                    let reached = at().filter(|(channel, _)| part.reaches(channel));
                    let positions = reached.map(|(channel, cursor)| channel.position(cursor)).collect();
                    let SubscribingPattern { pattern, options, channels, recovered, .. } = part;
                    subscribed::frame(options.reply_to, pattern, channels, positions, *recovered)
                })
                .collect();
            let id = |out: &mut Vec<u8>| {
                write_id(self.journals(), at().map(|(channel, cursor)| (stream(channel), cursor)), out);
            };
            self.member.outbox().push(&self.member.encoding().frames(&frames, id));
        };
        Channel::join_all(&joining, &patterns, &self.member, || self.given_up.is_cancelled(), live)
    }

    fn refuse(&self, error: &ReadError) {
        let message = match error {
            ReadError::TooManySubjects => {
                "a snapshot of so many subjects cannot be read at once; ask for narrower patterns".to_owned()
            }
            error => format!("what it missed cannot be read now ({error}); the subscription has ended, try again"),
        };
        let code = if *error == ReadError::TooManySubjects { Code::BadRequest } else { Code::BrokerUnavailable };
        self.refused.store(true, Ordering::Relaxed);
        for SubscribingPattern { pattern, options, live, .. } in &self.parts {
            if let Some((topic, _)) = live {
                topic.leave(&self.member);
            }
            self.context.metrics.errors.of(code).increment(1);
            let refusal = Refusal::of(code, pattern.as_str(), message.clone());
            let refused = frames::refused(self.member.encoding(), options.reply_to, refusal.into());
            self.member.outbox().push(&refused);
        }
    }

    /// The request and the pattern that a replay names; none of several.
    fn request(&self) -> (u64, &str) {
        match &self.parts[..] {
            [part] => (part.options.reply_to, part.pattern.as_str()),
            _ => (0, ""),
        }
    }

    fn account(&self) -> Account {
        self.parts.first().map_or_else(Account::default, |part| part.options.account)
    }

    fn journals(&self) -> &[Arc<Journal>] {
        self.channels.first().map_or(&[], |channel| channel.journals())
    }

    /// The reads of its streams. An event stream cannot subscribe again on the same
    /// connection, so it waits for as long as that lasts.
    fn reads(&self) -> PatientReads {
        PatientReads(if self.member.encoding().has_ids() { retry::CATCH_UP } else { retry::SUBSCRIBE })
    }
}

/// Whether its newest values are sent at once.
fn is_latest(channel: &Channel) -> bool {
    channel.journal().delivery() == Delivery::Latest
}

impl From<ReadError> for Stop {
    fn from(error: ReadError) -> Self {
        Self::Unreadable(error)
    }
}
