//! Tells a connection which of its live subscriptions miss something.

use std::sync::Arc;

use crate::{
    hub::{frames, member::Member},
    journal::{Gap, Reason},
    outbox::Offer,
    socket::Chunk,
};

/// Tells a connection what it misses, once it has room.
pub(crate) async fn tell(member: Arc<Member>) {
    if !member.outbox().room().await {
        return;
    }
    while let Some(pattern) = member.overflow().next() {
        let gap = Gap { from: 0, to: 0, reason: Reason::Overflow };
        if !send(&member, &frames::gap(member.encoding(), &pattern, "", gap)).await {
            return;
        }
    }
}

/// Sends a chunk as soon as there is room; false when the connection is closed.
async fn send(member: &Member, chunk: &Chunk) -> bool {
    loop {
        match member.outbox().offer(chunk) {
            Offer::Taken => return true,
            Offer::Closed => return false,
            Offer::Full => drop(member.outbox().room().await),
        }
    }
}
