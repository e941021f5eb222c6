//! The drain: every connection is told to go, and closed once it had the time to
//! move.

use tokio::time::{self, Instant};

use crate::{
    close::CloseReason,
    config::Drain,
    proto::{Goaway, server_frame::Body},
    session::{
        registry::{ConnectionHandle, Connections, SHARDS},
        shared_frame::SharedFrame,
    },
};

/// The drain uses at least this many slots of its window: a handful of clients
/// need not wait for a window that is made for thousands.
const DRAIN_SLOTS: u32 = 64;

impl Connections {
    /// Tells every connection to go, one after the other over the window, and
    /// closes each of them once it has had the time to move.
    pub async fn drain(&self, drain: &Drain) {
        let goaway = SharedFrame::new(Body::Goaway(Goaway {
            reconnect_after_ms: 0,
            window_ms: drain.move_time.millis(),
            reason: CloseReason::Draining.label().into(),
        }));
        let all: Vec<ConnectionHandle> = (0..SHARDS).flat_map(|shard| self.handles(shard)).collect();
        let slots = u32::try_from(all.len()).unwrap_or(u32::MAX).max(DRAIN_SLOTS);
        let step = drain.window.duration() / slots;
        let start = Instant::now();
        let told = async {
            for (slot, ConnectionHandle { outbox, encoding, .. }) in (0..).zip(&all) {
                time::sleep_until(start + step * slot).await;
                outbox.push(goaway.of(*encoding));
            }
        };
        let closed = async {
            for (slot, ConnectionHandle { outbox, .. }) in (0..).zip(&all) {
                time::sleep_until(start + drain.move_time.duration() + step * slot).await;
                outbox.close(CloseReason::Draining);
            }
        };
        tokio::join!(told, closed);
    }
}
