//! All connections of a node, for what concerns each of them: heartbeats, news
//! of the broker, the end of its token, what operators ask for, and the farewell
//! before the node leaves.

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
    broker::Link,
    calendar::unix_millis,
    close::CloseReason,
    codec::Encoding,
    config::{Auth, Drain, Span},
    grants::Grants,
    hub::{Follower, Hub},
    identity::{Identity, UserFilter},
    outbox::Outbox,
    proto::{Goaway, Ping, Position, ServerFrame, TokenExpiring, server_frame::Body},
    session::{
        expiry::{Due, Expiries, When},
        heartbeat,
        listed::Listed,
    },
    socket::{Chunk, ConnectionId},
};

/// Parts of an interval at which some of the clients have their turn, so that
/// heartbeats are spread evenly and no timer exists per connection.
const TURNS: usize = 64;

/// A farewell is spread over at least so many places: a handful of clients
/// need not wait for a window that is made for thousands.
const FAREWELL_PLACES: u32 = 64;

/// How often it is looked who is due: what a token's end is precise to.
const LOOK: Duration = Duration::from_millis(200);

/// Those who are due are dealt with so many at a time, so that a multitude whose
/// tokens end together does not keep others waiting.
const TOGETHER: usize = 64;

/// All connections that have said `connect`.
#[derive(Debug)]
pub struct Roster {
    turns: [Mutex<Turn>; TURNS],
    next: AtomicUsize,
    expiries: Expiries,
}

/// Those whose turn comes together.
#[derive(Debug)]
struct Turn {
    seats: Slab<Seated>,
    /// When it last came.
    last: Option<Instant>,
}

#[derive(Clone, Debug)]
struct Seated {
    outbox: Arc<Outbox>,
    encoding: Encoding,
    follower: Follower,
    grants: Grants,
    /// When something is due about its token, if it ends.
    expiry: Option<When>,
    /// Pings left unanswered.
    missed: u8,
}

/// A connection's place; dropping it leaves the roster.
#[derive(Debug)]
pub(crate) struct Seat {
    roster: Arc<Roster>,
    turn: u32,
    key: u32,
}

/// One frame in both encodings.
struct Both([Chunk; 2]);

impl Roster {
    /// A roster without connections.
    pub fn new(auth: &Auth) -> Arc<Self> {
        Arc::new(Self {
            turns: [const { Mutex::new(Turn { seats: Slab::new(), last: None }) }; TURNS],
            next: AtomicUsize::new(0),
            expiries: Expiries::new(auth.expiry_warning.duration(), auth.leeway.duration()),
        })
    }

    pub(crate) fn enter(
        self: &Arc<Self>,
        outbox: Arc<Outbox>,
        encoding: Encoding,
        follower: Follower,
        grants: Grants,
    ) -> Seat {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % TURNS;
        let mut seated = self.lock(turn);
        let key = seated.seats.vacant_key();
        let expires_at = grants.identity().expires_at;
        let expiry = expires_at.map(|end| self.expiries.add((turn as u32, key as u32), end));
        seated.seats.insert(Seated { outbox, encoding, follower, grants, expiry, missed: 0 });
        Seat { roster: self.clone(), turn: turn as u32, key: key as u32 }
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
                for (Seated { outbox, encoding, .. }, due) in due {
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
    fn due(&self, now: u64) -> Vec<(Seated, Due)> {
        let mut due = Vec::new();
        while due.len() < TOGETHER
            && let Some(entry) = self.expiries.first(now)
        {
            let (turn, key) = entry.1;
            // While its seat is ours nobody else moves it.
            let mut turn = self.lock(turn as usize);
            let Some((what, next)) = self.expiries.take(entry, now) else { continue };
            if let Some(seated) = turn.seats.get_mut(key as usize) {
                seated.expiry = next;
                due.push((seated.clone(), what));
            }
        }
        due
    }

    /// Closes the connections that are meant; returns how many there were. Those
    /// that are being closed anyway do not count.
    pub async fn close(&self, reason: CloseReason, meant: impl Fn(&Identity, ConnectionId) -> bool) -> usize {
        let mut closed = 0;
        for turn in 0..TURNS {
            for Seated { outbox, .. } in self.meant(turn, |seated| meant(seated.grants.identity(), seated.id())) {
                closed += usize::from(outbox.closed().is_none());
                outbox.close(reason);
            }
            tokio::task::yield_now().await;
        }
        closed
    }

    /// Has a user's clients bring a new token within a time, or be closed;
    /// returns how many there are.
    pub async fn hurry(&self, user: UserFilter<'_>, within: Duration) -> usize {
        let (mut told, in_ms) = (0, within.as_millis() as u64);
        for turn in 0..TURNS {
            for Seated { outbox, encoding, .. } in self.cut_short(turn, user, unix_millis().saturating_add(in_ms)) {
                told += usize::from(outbox.push(&expiring(encoding, in_ms)));
            }
            tokio::task::yield_now().await;
        }
        told
    }

    /// A user's tokens hold until then and no longer, milliseconds since 1970.
    fn cut_short(&self, number: usize, user: UserFilter<'_>, at: u64) -> Vec<Seated> {
        let mut turn = self.lock(number);
        let theirs = turn.seats.iter_mut().filter(|(_, seated)| user.matches(seated.grants.identity()));
        theirs
            .map(|(key, seated)| {
                let before = seated.expiry.take();
                seated.expiry = Some(self.expiries.cut_short((number as u32, key as u32), before, at));
                seated.clone()
            })
            .collect()
    }

    /// How many connections there are, of a user or in all, and some of them.
    pub async fn list(&self, user: UserFilter<'_>, most: usize) -> (usize, Vec<Listed>) {
        let (mut count, mut listed) = (0, Vec::new());
        for turn in 0..TURNS {
            let meant = self.meant(turn, |seated| user.matches(seated.grants.identity()));
            count += meant.len();
            let room = most - listed.len();
            listed.extend(meant.iter().take(room).map(|seated| Listed::new(seated.id(), seated.grants.identity())));
            tokio::task::yield_now().await;
        }
        (count, listed)
    }

    /// What a connection may do, if it is one of this node.
    pub fn grants(&self, id: ConnectionId) -> Option<Grants> {
        (0..TURNS).find_map(|turn| self.meant(turn, |seated| seated.id() == id).pop()).map(|seated| seated.grants)
    }

    /// A copy of those who are meant, so that no lock is held while sockets are written.
    fn meant(&self, turn: usize, meant: impl Fn(&Seated) -> bool) -> Vec<Seated> {
        self.lock(turn).seats.iter().filter(|(_, seated)| meant(seated)).map(|(_, seated)| seated.clone()).collect()
    }

    /// Pings each connection once per interval, and gives up the silent ones,
    /// and those that have wanted nothing for the idle time, if there is one.
    /// Runs until it is dropped.
    pub async fn keep_alive(self: Arc<Self>, interval: Span, idle_time: Span, hub: Arc<Hub>, link: impl Fn() -> Link) {
        let is_idle = |outbox: &Outbox| !idle_time.is_zero() && outbox.idle() >= idle_time.duration();
        let mut ticks = time::interval(interval.duration() / TURNS as u32);
        // After a stall, go on at the usual pace instead of pinging all at once.
        ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        for turn in (0..TURNS).cycle() {
            ticks.tick().await;
            let mut pings = Pings::new(link());
            for (Seated { outbox, encoding, follower, .. }, lives) in self.take_turn(turn) {
                if lives && is_idle(&outbox) {
                    outbox.close(CloseReason::Idle);
                } else if lives {
                    // Who has no room for it has more to read than that.
                    outbox.offer(pings.at(hub.positions(&follower)).of(encoding));
                } else {
                    outbox.close(CloseReason::PingTimeout);
                }
            }
        }
    }

    /// Those whose turn it is, each with whether it shows life.
    fn take_turn(&self, turn: usize) -> Vec<(Seated, bool)> {
        let mut turn = self.lock(turn);
        let now = Instant::now();
        let since = turn.last.replace(now).map_or(Duration::MAX, |last| now - last);
        let judge = |(_, seated): (usize, &mut Seated)| {
            if seated.outbox.is_waiting() {
                // Its answer waits behind what it has to read; how long it may
                // read nothing at all is for the outbox to say.
                seated.missed = 0;
                return (seated.clone(), true);
            }
            let missed = heartbeat::missed(seated.outbox.wire().silence(), since, seated.missed);
            seated.missed = missed.unwrap_or(seated.missed);
            (seated.clone(), missed.is_some())
        };
        turn.seats.iter_mut().map(judge).collect()
    }

    /// Tells every connection at once whether the broker is there.
    pub async fn tell(&self, link: Link) {
        let ping = ping(link, Vec::new());
        for turn in 0..TURNS {
            for Seated { outbox, encoding, .. } in self.seated(turn) {
                outbox.push(ping.of(encoding));
            }
            tokio::task::yield_now().await;
        }
    }

    /// Tells every connection to go, one after the other over the window, and
    /// closes each of them once it has had the time to move.
    pub async fn farewell(&self, drain: &Drain) {
        let goaway = Both::new(&Body::Goaway(Goaway {
            reconnect_after_ms: 0,
            window_ms: drain.move_time.millis(),
            reason: CloseReason::Draining.label().into(),
        }));
        let all: Vec<Seated> = (0..TURNS).flat_map(|turn| self.seated(turn)).collect();
        let places = u32::try_from(all.len()).unwrap_or(u32::MAX).max(FAREWELL_PLACES);
        let step = drain.window.duration() / places;
        let start = Instant::now();
        let told = async {
            for (place, Seated { outbox, encoding, .. }) in (0..).zip(&all) {
                time::sleep_until(start + step * place).await;
                outbox.push(goaway.of(*encoding));
            }
        };
        let closed = async {
            for (place, Seated { outbox, .. }) in (0..).zip(&all) {
                time::sleep_until(start + drain.move_time.duration() + step * place).await;
                outbox.close(CloseReason::Draining);
            }
        };
        tokio::join!(told, closed);
    }

    /// A copy, so that no lock is held while sockets are written.
    fn seated(&self, turn: usize) -> Vec<Seated> {
        self.meant(turn, |_| true)
    }

    fn lock(&self, turn: usize) -> MutexGuard<'_, Turn> {
        self.turns[turn].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seated {
    fn id(&self) -> ConnectionId {
        self.outbox.wire().id()
    }
}

impl Seat {
    /// The client has brought a new token.
    pub(crate) fn renew(&self, grants: Grants) {
        let Self { roster, turn, key } = self;
        let mut seated = roster.lock(*turn as usize);
        let Some(seated) = seated.seats.get_mut(*key as usize) else { return };
        seated.expiry.into_iter().for_each(|at| roster.expiries.remove((*turn, *key), at));
        seated.expiry = grants.identity().expires_at.map(|end| roster.expiries.add((*turn, *key), end));
        seated.grants = grants;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut turn = self.roster.lock(self.turn as usize);
        let seated = turn.seats.remove(self.key as usize);
        seated.expiry.into_iter().for_each(|at| self.roster.expiries.remove((self.turn, self.key), at));
    }
}

fn expiring(encoding: Encoding, in_ms: u64) -> Chunk {
    encoding.frame(&ServerFrame { reply_to: 0, body: Some(Body::TokenExpiring(TokenExpiring { in_ms })) })
}

/// One ping for all who are at the same positions, as nearly all are.
struct Pings {
    link: Link,
    last: Option<(Vec<Position>, Both)>,
}

impl Pings {
    fn new(link: Link) -> Self {
        Self { link, last: None }
    }

    fn at(&mut self, positions: Vec<Position>) -> &Both {
        let last = self.last.take().filter(|(last, _)| *last == positions);
        let (_, both) = self.last.insert(last.unwrap_or_else(|| {
            let both = ping(self.link, positions.clone());
            (positions, both)
        }));
        both
    }
}

/// Our frame, which a browser's code can see, and a WebSocket Ping, which
/// every peer answers by itself: together they work for any client.
fn ping(link: Link, positions: Vec<Position>) -> Both {
    let frame = Body::Ping(Ping { positions, broker: link.label().into() });
    Both(Both::new(&frame).0.map(|chunk| Chunk::sequence(&[chunk, Chunk::ping()])))
}

impl Both {
    fn new(body: &Body) -> Self {
        let frame = ServerFrame { reply_to: 0, body: Some(body.clone()) };
        Self([Encoding::Json, Encoding::Proto].map(|encoding| encoding.frame(&frame)))
    }

    fn of(&self, encoding: Encoding) -> &Chunk {
        &self.0[encoding as usize]
    }
}
