//! The ends of tokens: clients are warned ahead, and closed where they bring no new
//! token.

use std::{sync::Arc, time::Duration};

use tokio::time;

use crate::{
    access::identity::UserFilter,
    clock::unix_millis,
    close::CloseReason,
    codec::Encoding,
    encoded_message::EncodedMessage,
    proto::{ServerFrame, TokenExpiring, server_frame::Body},
    session::{
        expiry::Due,
        registry::{ConnectionHandle, Connections, SHARDS},
    },
};

/// Interval at which tokens are checked: their ends are precise to it.
const CHECK_INTERVAL: Duration = Duration::from_millis(200);

/// Connections with an expired token that are handled at once, so that thousands
/// whose tokens end together do not keep others waiting.
const TOGETHER: usize = 64;

impl Connections {
    /// Warns clients ahead of the end of their tokens, and closes those who have
    /// brought no new one. Runs until it is dropped.
    pub async fn expire(self: Arc<Self>) {
        let mut looks = time::interval(CHECK_INTERVAL);
        looks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            loop {
                let due = self.due(unix_millis());
                if due.is_empty() {
                    break;
                }
                for (ConnectionHandle { outbox, encoding, .. }, due) in due {
                    match due {
                        Due::Warning(in_ms) => drop(outbox.push(&expiring(encoding, in_ms))),
                        Due::End => outbox.close(CloseReason::TokenExpired),
                    }
                }
                tokio::task::yield_now().await;
            }
        }
    }

    /// Some of those who are due now.
    fn due(&self, now: u64) -> Vec<(ConnectionHandle, Due)> {
        let mut due = Vec::new();
        while due.len() < TOGETHER
            && let Some(entry) = self.expiries.first(now)
        {
            let (shard, key) = entry.1;
            // While its shard is locked nothing else moves it.
            let mut shard = self.lock(shard as usize);
            let Some((what, next)) = self.expiries.take(entry, now) else { continue };
            if let Some(entry) = shard.entries.get_mut(key as usize) {
                entry.expiry = next;
                due.push((entry.handle.clone(), what));
            }
        }
        due
    }

    /// Has a user's clients bring a new token within a time, or be closed;
    /// returns how many there are.
    pub async fn require_refresh(&self, user: UserFilter<'_>, within: Duration) -> usize {
        let (mut told, in_ms) = (0, within.as_millis() as u64);
        for shard in 0..SHARDS {
            for ConnectionHandle { outbox, encoding, .. } in
                self.cut_short(shard, user, unix_millis().saturating_add(in_ms))
            {
                told += usize::from(outbox.push(&expiring(encoding, in_ms)));
            }
            tokio::task::yield_now().await;
        }
        told
    }

    /// A user's tokens hold until then and no longer, milliseconds since 1970.
    fn cut_short(&self, number: usize, user: UserFilter<'_>, at: u64) -> Vec<ConnectionHandle> {
        let mut shard = self.lock(number);
        let theirs = shard.entries.iter_mut().filter(|(_, entry)| user.matches(entry.handle.grants.identity()));
        theirs
            .map(|(key, entry)| {
                let before = entry.expiry.take();
                entry.expiry = Some(self.expiries.cut_short((number as u32, key as u32), before, at));
                entry.handle.clone()
            })
            .collect()
    }
}

fn expiring(encoding: Encoding, in_ms: u64) -> EncodedMessage {
    encoding.frame(&ServerFrame { reply_to: 0, body: Some(Body::TokenExpiring(TokenExpiring { in_ms })) })
}
