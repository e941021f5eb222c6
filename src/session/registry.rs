//! The registry holds all connections of a node for heartbeats, news of the
//! broker, the ends of tokens, commands of operators, and the drain.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use slab::Slab;
use tokio::time::{self, Instant};

use crate::{
    access::{
        grants::Grants,
        identity::{Identity, UserFilter},
    },
    broker::Link,
    clock::unix_millis,
    close::CloseReason,
    codec::Encoding,
    config::{Auth, Drain, Span},
    encoded_message::EncodedMessage,
    hub::{Hub, PositionHandle},
    outbox::Outbox,
    proto::{Goaway, Ping, Position, ServerFrame, TokenExpiring, server_frame::Body},
    session::{
        connection_info::ConnectionInfo,
        expiry::{Due, Expiries, When},
        heartbeat,
        shared_frame::SharedFrame,
    },
    socket::ConnectionId,
};

/// Shards of the registry. Each is pinged once per interval, one after the other,
/// so that heartbeats are spread evenly and no timer exists per connection.
const SHARDS: usize = 64;

/// The drain uses at least this many slots of its window: a handful of clients
/// need not wait for a window that is made for thousands.
const DRAIN_SLOTS: u32 = 64;

/// Interval at which tokens are checked: their ends are precise to it.
const LOOK: Duration = Duration::from_millis(200);

/// Connections with an expired token that are handled at once, so that thousands
/// whose tokens end together do not keep others waiting.
const TOGETHER: usize = 64;

/// All connections that have said `connect`.
#[derive(Debug)]
pub struct Connections {
    shards: [Mutex<Shard>; SHARDS],
    next: AtomicUsize,
    expiries: Expiries,
}

/// Connections that are pinged together.
#[derive(Debug)]
struct Shard {
    entries: Slab<ConnectionEntry>,
    /// When it last came.
    last: Option<Instant>,
}

#[derive(Clone, Debug)]
struct ConnectionEntry {
    outbox: Arc<Outbox>,
    encoding: Encoding,
    position_handle: PositionHandle,
    grants: Grants,
    /// When something is due about its token, if it ends.
    expiry: Option<When>,
    /// Pings left unanswered.
    missed: u8,
}

/// A connection's entry in the registry; dropping it removes the entry.
#[derive(Debug)]
pub(crate) struct Registration {
    registry: Arc<Connections>,
    shard: u32,
    key: u32,
}

impl Connections {
    /// A registry without connections.
    pub fn new(auth: &Auth) -> Arc<Self> {
        Arc::new(Self {
            shards: [const { Mutex::new(Shard { entries: Slab::new(), last: None }) }; SHARDS],
            next: AtomicUsize::new(0),
            expiries: Expiries::new(auth.expiry_warning.duration(), auth.leeway.duration()),
        })
    }

    pub(crate) fn enter(
        self: &Arc<Self>,
        outbox: Arc<Outbox>,
        encoding: Encoding,
        position_handle: PositionHandle,
        grants: Grants,
    ) -> Registration {
        let shard = self.next.fetch_add(1, Ordering::Relaxed) % SHARDS;
        let mut entry = self.lock(shard);
        let key = entry.entries.vacant_key();
        let expires_at = grants.identity().expires_at;
        let expiry = expires_at.map(|end| self.expiries.add((shard as u32, key as u32), end));
        entry.entries.insert(ConnectionEntry { outbox, encoding, position_handle, grants, expiry, missed: 0 });
        Registration { registry: self.clone(), shard: shard as u32, key: key as u32 }
    }

    /// Warns clients ahead of the end of their tokens, and closes those who have
    /// brought no new one. Runs until it is dropped.
    pub async fn expire(self: Arc<Self>) {
        let mut looks = time::interval(LOOK);
        looks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            loop {
                let due = self.due(unix_millis());
                if due.is_empty() {
                    break;
                }
                for (ConnectionEntry { outbox, encoding, .. }, due) in due {
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
    fn due(&self, now: u64) -> Vec<(ConnectionEntry, Due)> {
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
                due.push((entry.clone(), what));
            }
        }
        due
    }

    /// Closes the connections that are meant; returns how many there were. Those
    /// that are being closed anyway do not count.
    pub async fn close(&self, reason: CloseReason, meant: impl Fn(&Identity, ConnectionId) -> bool) -> usize {
        let mut closed = 0;
        for shard in 0..SHARDS {
            for ConnectionEntry { outbox, .. } in self.meant(shard, |entry| meant(entry.grants.identity(), entry.id()))
            {
                closed += usize::from(outbox.closed().is_none());
                outbox.close(reason);
            }
            tokio::task::yield_now().await;
        }
        closed
    }

    /// Has a user's clients bring a new token within a time, or be closed;
    /// returns how many there are.
    pub async fn require_refresh(&self, user: UserFilter<'_>, within: Duration) -> usize {
        let (mut told, in_ms) = (0, within.as_millis() as u64);
        for shard in 0..SHARDS {
            for ConnectionEntry { outbox, encoding, .. } in
                self.cut_short(shard, user, unix_millis().saturating_add(in_ms))
            {
                told += usize::from(outbox.push(&expiring(encoding, in_ms)));
            }
            tokio::task::yield_now().await;
        }
        told
    }

    /// A user's tokens hold until then and no longer, milliseconds since 1970.
    fn cut_short(&self, number: usize, user: UserFilter<'_>, at: u64) -> Vec<ConnectionEntry> {
        let mut shard = self.lock(number);
        let theirs = shard.entries.iter_mut().filter(|(_, entry)| user.matches(entry.grants.identity()));
        theirs
            .map(|(key, entry)| {
                let before = entry.expiry.take();
                entry.expiry = Some(self.expiries.cut_short((number as u32, key as u32), before, at));
                entry.clone()
            })
            .collect()
    }

    /// How many connections there are, of a user or in all, and some of them.
    pub async fn list(&self, user: UserFilter<'_>, most: usize) -> (usize, Vec<ConnectionInfo>) {
        let (mut count, mut listed) = (0, Vec::new());
        for shard in 0..SHARDS {
            let meant = self.meant(shard, |entry| user.matches(entry.grants.identity()));
            count += meant.len();
            let room = most - listed.len();
            listed
                .extend(meant.iter().take(room).map(|entry| ConnectionInfo::new(entry.id(), entry.grants.identity())));
            tokio::task::yield_now().await;
        }
        (count, listed)
    }

    /// The grants of a connection, if it is one of this node.
    pub fn grants(&self, id: ConnectionId) -> Option<Grants> {
        (0..SHARDS).find_map(|shard| self.meant(shard, |entry| entry.id() == id).pop()).map(|entry| entry.grants)
    }

    /// A copy of those who are meant, so that no lock is held while sockets are written.
    fn meant(&self, shard: usize, meant: impl Fn(&ConnectionEntry) -> bool) -> Vec<ConnectionEntry> {
        self.lock(shard).entries.iter().filter(|(_, entry)| meant(entry)).map(|(_, entry)| entry.clone()).collect()
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
            for (ConnectionEntry { outbox, encoding, position_handle, .. }, lives) in self.check_shard(shard) {
                if lives && is_idle(&outbox) {
                    outbox.close(CloseReason::Idle);
                } else if lives {
                    // Who has no room for it has more to read than that.
                    outbox.offer(pings.at(hub.positions(&position_handle)).of(encoding));
                } else {
                    outbox.close(CloseReason::PingTimeout);
                }
            }
        }
    }

    /// Those whose turn it is, each with whether it shows life.
    fn check_shard(&self, shard: usize) -> Vec<(ConnectionEntry, bool)> {
        let mut shard = self.lock(shard);
        let now = Instant::now();
        let since = shard.last.replace(now).map_or(Duration::MAX, |last| now - last);
        let judge = |(_, entry): (usize, &mut ConnectionEntry)| {
            if entry.outbox.is_waiting() || !entry.encoding.framing().answers_pings() {
                // Its answer waits behind what it has to read; how long it may
                // read nothing at all is for the outbox to say.
                entry.missed = 0;
                return (entry.clone(), true);
            }
            let missed = heartbeat::missed(entry.outbox.wire().silence(), since, entry.missed);
            entry.missed = missed.unwrap_or(entry.missed);
            (entry.clone(), missed.is_some())
        };
        shard.entries.iter_mut().map(judge).collect()
    }

    /// Tells every connection at once whether the broker is there.
    pub async fn tell(&self, link: Link) {
        let ping = ping(link, Vec::new());
        for shard in 0..SHARDS {
            for ConnectionEntry { outbox, encoding, .. } in self.entries(shard) {
                outbox.push(ping.of(encoding));
            }
            tokio::task::yield_now().await;
        }
    }

    /// Tells every connection to go, one after the other over the window, and
    /// closes each of them once it has had the time to move.
    pub async fn drain(&self, drain: &Drain) {
        let goaway = SharedFrame::new(Body::Goaway(Goaway {
            reconnect_after_ms: 0,
            window_ms: drain.move_time.millis(),
            reason: CloseReason::Draining.label().into(),
        }));
        let all: Vec<ConnectionEntry> = (0..SHARDS).flat_map(|shard| self.entries(shard)).collect();
        let slots = u32::try_from(all.len()).unwrap_or(u32::MAX).max(DRAIN_SLOTS);
        let step = drain.window.duration() / slots;
        let start = Instant::now();
        let told = async {
            for (slot, ConnectionEntry { outbox, encoding, .. }) in (0..).zip(&all) {
                time::sleep_until(start + step * slot).await;
                outbox.push(goaway.of(*encoding));
            }
        };
        let closed = async {
            for (slot, ConnectionEntry { outbox, .. }) in (0..).zip(&all) {
                time::sleep_until(start + drain.move_time.duration() + step * slot).await;
                outbox.close(CloseReason::Draining);
            }
        };
        tokio::join!(told, closed);
    }

    /// A copy, so that no lock is held while sockets are written.
    fn entries(&self, shard: usize) -> Vec<ConnectionEntry> {
        self.meant(shard, |_| true)
    }

    fn lock(&self, shard: usize) -> MutexGuard<'_, Shard> {
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnectionEntry {
    fn id(&self) -> ConnectionId {
        self.outbox.wire().id()
    }
}

impl Registration {
    /// The client has brought a new token.
    pub(crate) fn renew(&self, grants: Grants) {
        let Self { registry, shard, key } = self;
        let mut entry = registry.lock(*shard as usize);
        let Some(entry) = entry.entries.get_mut(*key as usize) else { return };
        entry.expiry.into_iter().for_each(|at| registry.expiries.remove((*shard, *key), at));
        entry.expiry = grants.identity().expires_at.map(|end| registry.expiries.add((*shard, *key), end));
        entry.grants = grants;
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut shard = self.registry.lock(self.shard as usize);
        let entry = shard.entries.remove(self.key as usize);
        entry.expiry.into_iter().for_each(|at| self.registry.expiries.remove((self.shard, self.key), at));
    }
}

fn expiring(encoding: Encoding, in_ms: u64) -> EncodedMessage {
    encoding.frame(&ServerFrame { reply_to: 0, body: Some(Body::TokenExpiring(TokenExpiring { in_ms })) })
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
    SharedFrame::new(Body::Ping(Ping { positions, broker: link.label().into() }))
}
