//! A connection that had no room for an event of a stream is served from the
//! stream's journal, as fast as it reads, until it is up with the others again.
//! Of `latest` subjects it gets the newest values only: that is all there is.

use std::{mem, sync::Arc};

use crate::{
    classes::StreamIndex,
    encoded_message::EncodedMessage,
    event::{Message, PageSize},
    hub::{
        context::Context,
        frames,
        member::Member,
        member_progress::{CatchUpOwner, OtherStreams, StreamProgress},
        stream::{
            channel::Channel,
            deny_filter::DenyFilter,
            stream_id::{offer_with_id, write_id},
        },
    },
    journal::{Cursor, Gap, Part, Reader, Reason},
    metrics::{Metrics, Undelivered},
    outbox::Offer,
    retry,
    subject::Pattern,
    sync::yield_now,
};

/// Catches a member up until it is level with the others, or gone.
pub(crate) async fn catch_up(channel: Arc<Channel>, member: Arc<Member>, context: Arc<Context>) {
    let (stream, metrics) = (channel.journal().stream(), &context.metrics);
    let service = CatchUp { member: &member, channel: &channel, owner: CatchUpOwner::default() };
    let mut reading: Option<(Vec<Pattern>, Reader)> = None;
    // Otherwise another one serves it, or nobody has to.
    let mut serves = member.progress().claim(stream, &service.owner);
    while serves && member.outbox().room().await {
        let Some((patterns, from)) = service.with(|progress| progress.behind()) else { break };
        let (_, reader) = match &mut reading {
            Some(reading) if reading.0 == patterns => reading,
            _ => reading.insert((patterns.clone(), channel.journal().reader(patterns.clone(), from))),
        };
        let part = match reader.next(channel.cursor().seq, PageSize::BATCH).await {
            Ok(part) => part,
            Err(_) => {
                retry::CATCH_UP.pause().await;
                continue;
            }
        };
        let at = reader.cursor();
        let sent = match part {
            Part::End if channel.rejoin(&member, &service.owner, at) => break,
            Part::End if service.with(|progress| mem::take(&mut progress.endings_missed)) == Some(true) => {
                // Nobody knows any more which values those were.
                service.tell(&patterns, &channel, frames::ENDINGS_MISSED, at).await
            }
            Part::End => {
                // The fan-out may need this thread to get there.
                yield_now().await;
                true
            }
            Part::Events(events) => {
                let mut sent = CatchUpStep::All;
                for together in PageSize::BATCH.split_whole(channel.journal().batch(), &events) {
                    if sent == CatchUpStep::All {
                        sent = service.send_events(together, &patterns, at, metrics).await;
                    }
                }
                if sent == CatchUpStep::Void {
                    // It reads again from where it is.
                    reading = None;
                    continue;
                }
                sent == CatchUpStep::All
            }
            Part::Lost(gap) => {
                let mut sent = service.tell(&patterns, &channel, gap, at).await;
                if gap.reason == Reason::Reset {
                    // Its positions are void; this is where it stands now.
                    sent = sent && service.send_checkpoint(at).await;
                }
                sent
            }
        };
        serves = sent && service.with(|progress| progress.sent = at).is_some();
    }
    metrics.lagging.decrement(1);
}

/// The catch-up of one member in one stream.
struct CatchUp<'m> {
    member: &'m Member,
    channel: &'m Channel,
    owner: CatchUpOwner,
}

/// The result of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CatchUpStep {
    /// Those that may be are sent.
    All,
    /// The connection's patterns or denials are others by now.
    Void,
    /// The connection is closed, or the stream has been given up.
    Gone,
}

impl CatchUp<'_> {
    /// Changes the progress; nothing when the stream has been given up.
    fn with<R>(&self, act: impl FnOnce(&mut StreamProgress) -> R) -> Option<R> {
        self.member.progress().serve(self.stream(), &self.owner, act)
    }

    fn stream(&self) -> StreamIndex {
        self.channel.journal().stream()
    }

    /// Sends events as soon as there is room, but for those that are denied.
    async fn send_events(
        &self,
        together: &[Arc<Message>],
        patterns: &[Pattern],
        at: Cursor,
        metrics: &Metrics,
    ) -> CatchUpStep {
        let Some(last) = together.last() else { return CatchUpStep::All };
        let allowed = DenyFilter::of(self.member, together);
        let (encoding, reached) = (self.member.encoding(), Cursor { seq: last.seq(), ..at });
        let (journals, at) = (self.channel.journals(), (self.stream(), reached));
        let id = |upto: Option<u64>, out: &mut Vec<u8>| {
            write_id(journals, [(at.0, Cursor { seq: upto.unwrap_or(reached.seq), ..reached })], out);
        };
        let message = (!allowed.events.is_empty()).then(|| encoding.stored(&allowed.events, id));
        let mut void = false;
        let mut offer = |progress: &mut StreamProgress, peers: OtherStreams<'_>| {
            void = !progress.is_for(patterns) || !allowed.holds(self.member);
            if void {
                return None;
            }
            let mut own = Vec::new();
            let send = |message| offer_with_id(self.member, message, journals, at, peers, &mut own);
            let offer = message.as_ref().map_or(Offer::Taken, send);
            if offer == Offer::Taken {
                progress.pending -= together.len() as i64;
                progress.sent = reached;
            }
            Some(offer)
        };
        let mut serve = || self.member.progress().serve_with_peers(self.stream(), &self.owner, &mut offer)?;
        if !self.member.outbox().as_room_allows(&mut serve).await {
            return if void { CatchUpStep::Void } else { CatchUpStep::Gone };
        }
        metrics.bytes_sent.increment(message.map_or(0, |message| message.len() as u64));
        metrics.deliveries.increment(allowed.events.len() as u64);
        metrics.undelivered.of(Undelivered::Denied).increment(allowed.denied as u64);
        metrics.pending.decrement(together.len() as f64);
        CatchUpStep::All
    }

    /// Tells of events that will not come; false as below.
    async fn tell(&self, patterns: &[Pattern], channel: &Channel, gap: Gap, at: Cursor) -> bool {
        let mut sent = true;
        for pattern in patterns {
            let told = channel.journal().gap(gap, pattern, at);
            let frame = |progress: &StreamProgress| {
                let request = progress.request(pattern)?;
                Some(frames::gap(self.member.encoding(), request, told.clone()))
            };
            sent = sent && self.send(frame).await;
        }
        sent
    }

    /// Tells where the connection stands in the stream from now on.
    async fn send_checkpoint(&self, at: Cursor) -> bool {
        let frame = frames::checkpoint(self.member.encoding(), vec![self.channel.position(at)]);
        let offer = |_: &mut StreamProgress, peers: OtherStreams<'_>| {
            let mut id = Vec::new();
            write_id(self.channel.journals(), peers.and(self.stream(), at), &mut id);
            self.member.outbox().offer_led(&frame, self.member.encoding().has_ids().then_some(&*id))
        };
        let serve = || self.member.progress().serve_with_peers(self.stream(), &self.owner, offer);
        self.member.outbox().as_room_allows(serve).await
    }

    /// Sends a message without events, if there is one by then, as soon as there is
    /// room; false when the connection is closed, or the stream has been given up.
    async fn send(&self, message: impl Fn(&StreamProgress) -> Option<EncodedMessage>) -> bool {
        let offer = |progress: &mut StreamProgress| {
            message(progress).map_or(Offer::Taken, |message| self.member.outbox().offer(&message))
        };
        self.member.outbox().as_room_allows(|| self.with(offer)).await
    }
}
