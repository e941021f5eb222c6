//! Tells a connection which of its live subscriptions miss something.

use std::sync::Arc;

use crate::{
    hub::{frames, member::Member},
    journal::{Gap, Reason},
};

/// Tells a connection what it misses, once it has room.
pub(crate) async fn tell(member: Arc<Member>) {
    if !member.outbox().room().await {
        return;
    }
    while let Some(pattern) = member.overflow().next() {
        let gap = Gap { from: 0, to: 0, reason: Reason::Overflow };
        let frame = frames::gap(member.encoding(), &pattern, "", gap);
        if !member.outbox().as_room_allows(|| Some(member.outbox().offer(&frame))).await {
            return;
        }
    }
}
