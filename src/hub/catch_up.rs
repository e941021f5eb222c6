//! A connection that had no room for an event of a stream is served from the
//! stream's journal, as fast as it reads, until it is up with the others again.
//! Of `latest` subjects it gets the newest values only: that is all there is.

use std::{sync::Arc, time::Duration};

use tokio::{task::yield_now, time::sleep};

use crate::{
    broker::PageSize,
    classes::StreamIndex,
    hub::{
        channel::Channel,
        frames,
        member::Member,
        seats::{Seat, Server},
    },
    journal::{Part, Reader, Reason},
    metrics::Metrics,
    outbox::Offer,
    socket::Chunk,
    subject::Pattern,
};

/// Events read and sent together.
pub(crate) const TOGETHER: PageSize = PageSize { events: 64, bytes: 64 * 1024 };

/// Between two attempts, while the stream cannot be read.
pub(crate) const RETRY: Duration = Duration::from_millis(250);

/// Serves it until it is up with the others, or gone.
pub(crate) async fn catch_up(channel: Arc<Channel>, member: Arc<Member>, metrics: Arc<Metrics>) {
    let stream = channel.journal().stream();
    let service = Service { member: &member, stream, server: Server::default() };
    let mut reading: Option<(Vec<Pattern>, Reader)> = None;
    // Otherwise another one serves it, or nobody has to.
    let mut serves = member.seats().take_on(stream, &service.server);
    while serves && member.outbox().room().await {
        let Some((patterns, from)) = service.with(|seat| seat.behind()) else { break };
        let (_, reader) = match &mut reading {
            Some(reading) if reading.0 == patterns => reading,
            _ => reading.insert((patterns.clone(), channel.journal().reader(patterns.clone(), from))),
        };
        let part = match reader.next(channel.cursor().seq, TOGETHER).await {
            Ok(part) => part,
            Err(_) => {
                sleep(RETRY).await;
                continue;
            }
        };
        let at = reader.cursor();
        let sent = match part {
            Part::End if channel.rejoin(&member, &service.server, at) => break,
            Part::End => {
                // Whoever hands out may need this thread to get there.
                yield_now().await;
                true
            }
            Part::Events(events) => {
                let mut sent = true;
                for together in events.chunks(TOGETHER.events) {
                    let chunk = member.encoding().events(together);
                    sent = sent && service.send(&chunk, together.len()).await;
                    if sent {
                        metrics.bytes_sent.increment(chunk.len() as u64);
                        metrics.deliveries.increment(together.len() as u64);
                        metrics.pending.decrement(together.len() as f64);
                    }
                }
                sent
            }
            Part::Lost(gap) => {
                let mut sent = true;
                for pattern in &patterns {
                    let frame = frames::gap(member.encoding(), pattern, channel.journal().name(), gap);
                    sent = sent && service.send(&frame, 0).await;
                }
                if gap.reason == Reason::Reset {
                    // Its positions are void; this is where it stands now.
                    let position = channel.position(at);
                    let frame = frames::checkpoint(member.encoding(), vec![position]);
                    sent = sent && service.send(&frame, 0).await;
                }
                sent
            }
        };
        serves = sent && service.with(|seat| seat.sent = at).is_some();
    }
    metrics.lagging.decrement(1);
}

/// A seat while it is served.
struct Service<'m> {
    member: &'m Member,
    stream: StreamIndex,
    server: Server,
}

impl Service<'_> {
    /// Does something with the seat; nothing when it has been given up.
    fn with<R>(&self, act: impl FnOnce(&mut Seat) -> R) -> Option<R> {
        self.member.seats().serve(self.stream, &self.server, act)
    }

    /// Sends a chunk with so many events as soon as there is room; false when
    /// the connection is closed, or the seat has been given up.
    async fn send(&self, chunk: &Chunk, events: usize) -> bool {
        let offer = |seat: &mut Seat| {
            let offer = self.member.outbox().offer(chunk);
            if offer == Offer::Taken {
                seat.pending -= events as i64;
            }
            offer
        };
        self.member.outbox().as_room_allows(|| self.with(offer)).await
    }
}
