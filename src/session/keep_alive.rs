//! Heartbeats: each connection is pinged once per interval, and closed when its
//! peer answers no longer.

use std::{sync::Arc, time::Duration};

use tokio::time::{self, Instant};

use crate::{
    broker::Link,
    clock::unix_millis,
    close::CloseReason,
    config::Span,
    hub::Hub,
    outbox::Outbox,
    proto::{Ping, Position, server_frame::Body},
    session::{
        heartbeat,
        registry::{ConnectionEntry, ConnectionHandle, Connections, SHARDS},
        shared_frame::SharedFrame,
    },
};

/// Interval of checkpoints on event streams, whose readers a proxy may give up after 30 s
/// of silence.
const CHECKPOINT_INTERVAL: Span = Span::seconds(15);

/// Heartbeats for which a peer may acknowledge nothing that it is sent: as many as one
/// that answers pings may leave unanswered.
const ACKNOWLEDGE_HEARTBEATS: u32 = 2;

/// The interval of checkpoints where WebSockets are pinged once per `heartbeat`.
pub(crate) fn checkpoint_interval(heartbeat: Span) -> Span {
    if heartbeat.duration() < CHECKPOINT_INTERVAL.duration() { heartbeat } else { CHECKPOINT_INTERVAL }
}

impl Connections {
    /// Sends each event stream a checkpoint once per interval: a `ping` with the `id` to
    /// resume from. Its reader answers nothing, so the kernel ends the connection where
    /// nobody acknowledges it. Runs until it is dropped.
    pub async fn send_checkpoints(self: Arc<Self>, heartbeat: Span, hub: Arc<Hub>, link: impl Fn() -> Link) {
        let mut ticks = time::interval(checkpoint_interval(heartbeat).duration() / SHARDS as u32);
        ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        let acknowledge_time = ACKNOWLEDGE_HEARTBEATS * heartbeat.duration();
        for shard in (0..SHARDS).cycle() {
            ticks.tick().await;
            let mut pings = Pings::new(link());
            for ConnectionHandle { outbox, encoding, position_handle, .. } in
                self.meant(shard, |handle| !handle.encoding.framing().answers_pings())
            {
                outbox.expect_acknowledgements(acknowledge_time);
                hub.tell_positions(&position_handle, |at| outbox.offer(pings.at(at).of(encoding)));
            }
        }
    }

    /// Pings each connection once per interval, and gives up the silent ones,
    /// and those that have wanted nothing for the idle time, if there is one.
    /// Runs until it is dropped.
    pub async fn keep_alive(self: Arc<Self>, interval: Span, idle_time: Span, hub: Arc<Hub>, link: impl Fn() -> Link) {
        let is_idle = |outbox: &Outbox| !idle_time.is_zero() && outbox.idle() >= idle_time.duration();
        let mut ticks = time::interval(interval.duration() / SHARDS as u32);
        // After a stall, go on at the usual pace instead of pinging all at once.
        ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        for shard in (0..SHARDS).cycle() {
            ticks.tick().await;
            let mut pings = Pings::new(link());
            for (ConnectionHandle { outbox, encoding, position_handle, .. }, lives) in self.check_shard(shard) {
                if lives && is_idle(&outbox) {
                    outbox.close(CloseReason::Idle);
                } else if lives {
                    // A full outbox has more than a ping for its client to read.
                    hub.tell_positions(&position_handle, |at| outbox.offer(pings.at(at).of(encoding)));
                } else {
                    outbox.close(CloseReason::PingTimeout);
                }
            }
        }
    }

    /// Those whose turn it is, each with whether it shows life.
    fn check_shard(&self, shard: usize) -> Vec<(ConnectionHandle, bool)> {
        let mut shard = self.lock(shard);
        let now = Instant::now();
        let since = shard.last.replace(now).map_or(Duration::MAX, |last| now - last);
        let judge = |(_, entry): (usize, &mut ConnectionEntry)| {
            let handle = entry.handle.clone();
            if handle.outbox.is_waiting() {
                // Its answer waits behind what it has to read; how long it may
                // read nothing at all is for the outbox to say.
                entry.missed = 0;
                return (handle, true);
            }
            let missed = heartbeat::missed(handle.outbox.wire().silence(), since, entry.missed);
            entry.missed = missed.unwrap_or(entry.missed);
            (handle, missed.is_some())
        };
        let answers = |entry: &ConnectionEntry| entry.handle.encoding.framing().answers_pings();
        shard.entries.iter_mut().filter(|(_, entry)| answers(entry)).map(judge).collect()
    }

    /// Tells every connection at once whether the broker is there.
    pub async fn tell(&self, link: Link) {
        let ping = ping(link, Vec::new());
        for shard in 0..SHARDS {
            for ConnectionHandle { outbox, encoding, .. } in self.handles(shard) {
                outbox.push(ping.of(encoding));
            }
            tokio::task::yield_now().await;
        }
    }
}

/// Pings of one round: connections at the same positions, as nearly all are,
/// share one encoded ping.
struct Pings {
    link: Link,
    last: Option<(Vec<Position>, SharedFrame)>,
}

impl Pings {
    fn new(link: Link) -> Self {
        Self { link, last: None }
    }

    fn at(&mut self, positions: Vec<Position>) -> &SharedFrame {
        let last = self.last.take().filter(|(last, _)| *last == positions);
        let (_, frame) = self.last.insert(last.unwrap_or_else(|| {
            let frame = ping(self.link, positions.clone());
            (positions, frame)
        }));
        frame
    }
}

fn ping(link: Link, positions: Vec<Position>) -> SharedFrame {
    SharedFrame::new(Body::Ping(Ping {
        positions,
        broker: link.label().into(),
        time: unix_millis(),
        ..Ping::default()
    }))
}
