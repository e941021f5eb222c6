//! Tells a connection which of its live subscriptions miss something.

use std::sync::Arc;

use crate::{
    hub::{catch_up::send, frames, member::Member},
    journal::{Gap, Reason},
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
