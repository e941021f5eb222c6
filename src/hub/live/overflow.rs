//! Tells a connection which of its live subscriptions miss something.

use std::sync::Arc;

use crate::{
    hub::{frames, member::Member},
    journal::{Gap, Reason},
    outbox::Offer,
    subject::Pattern,
};

/// Tells a connection what it misses, once it has room.
pub(crate) async fn tell(member: Arc<Member>) {
    if !member.outbox().room().await {
        return;
    }
    while let Some(pattern) = member.overflow().next() {
        let gap = Gap { from: 0, to: 0, reason: Reason::Overflow };
        let offer = |pattern: &Pattern, request| {
            let gap = gap.to_frame(pattern, "", String::new());
            member.outbox().offer(&frames::gap(member.encoding(), request, gap))
        };
        // Of a pattern that has been given up meanwhile there is nothing to tell.
        let told = || Some(member.with_request(&pattern, offer).unwrap_or(Offer::Taken));
        if !member.outbox().as_room_allows(told).await {
            return;
        }
    }
}
