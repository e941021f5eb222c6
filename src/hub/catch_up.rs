//! A connection that had no room for an event of a stream is served from the
//! stream's journal, as fast as it reads, until it is up with the others again.
//! Of `latest` subjects it gets the newest values only: that is all there is.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use crate::{
    broker::PageSize,
    hub::{channel::Channel, frames, member::Member},
    journal::{Cursor, Part, Reader, Reason},
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
    let mut reading: Option<(Vec<Pattern>, Reader)> = None;
    while member.outbox().room().await {
        let Some((patterns, from)) = member.seats().behind(stream) else { break };
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
            Part::End if channel.rejoin(&member, at) => break,
            Part::End => true,
            Part::Events(events) => {
                let mut sent = true;
                for together in events.chunks(TOGETHER.events) {
                    let chunk = member.encoding().events(together);
                    sent = sent && send(&member, &chunk).await;
                    if sent {
                        metrics.bytes_sent.increment(chunk.len() as u64);
                        metrics.deliveries.increment(together.len() as u64);
                        metrics.pending.decrement(together.len() as f64);
                        member.seats().with(stream, |seat| seat.pending -= together.len() as i64);
                    }
                }
                sent
            }
            Part::Lost(gap) => {
                let mut sent = true;
                for pattern in &patterns {
                    let frame = frames::gap(member.encoding(), pattern, channel.journal().name(), gap);
                    sent = sent && send(&member, &frame).await;
                }
                if gap.reason == Reason::Reset {
                    // Its positions are void; this is where it stands now.
                    let position = channel.position(at);
                    sent = sent && send(&member, &frames::checkpoint(member.encoding(), vec![position])).await;
                }
                sent
            }
        };
        if !sent {
            break;
        }
        note(&member, &channel, at);
    }
    metrics.lagging.decrement(1);
}

/// Everything up to here has been sent.
fn note(member: &Member, channel: &Channel, at: Cursor) {
    member.seats().with(channel.journal().stream(), |seat| seat.sent = at);
}

/// Sends a chunk as soon as there is room; false when the connection is closed.
pub(crate) async fn send(member: &Member, chunk: &Chunk) -> bool {
    loop {
        match member.outbox().offer(chunk) {
            Offer::Taken => return true,
            Offer::Closed => return false,
            Offer::Full => drop(member.outbox().room().await),
        }
    }
}
