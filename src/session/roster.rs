//! All connections of a node, for what concerns each of them: heartbeats, news
//! of the broker, and the farewell before the node leaves.

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
    close::CloseReason,
    codec::Encoding,
    config::{Drain, Span},
    hub::{Follower, Hub},
    outbox::Outbox,
    proto::{Goaway, Ping, Position, ServerFrame, server_frame::Body},
    session::heartbeat,
    socket::Chunk,
};

/// Parts of an interval at which some of the clients have their turn, so that
/// heartbeats are spread evenly and no timer exists per connection.
const TURNS: usize = 64;

/// A farewell is spread over at least so many places: a handful of clients
/// need not wait for a window that is made for thousands.
const FAREWELL_PLACES: u32 = 64;

/// All connections that have said `connect`.
#[derive(Debug)]
pub struct Roster {
    turns: [Mutex<Turn>; TURNS],
    next: AtomicUsize,
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
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            turns: [const { Mutex::new(Turn { seats: Slab::new(), last: None }) }; TURNS],
            next: AtomicUsize::new(0),
        })
    }

    pub(crate) fn enter(self: &Arc<Self>, outbox: Arc<Outbox>, encoding: Encoding, follower: Follower) -> Seat {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % TURNS;
        let key = self.lock(turn).seats.insert(Seated { outbox, encoding, follower, missed: 0 });
        Seat { roster: self.clone(), turn: turn as u32, key: key as u32 }
    }

    /// Pings each connection once per interval, and gives up the silent ones.
    /// Runs until it is dropped.
    pub async fn keep_alive(self: Arc<Self>, interval: Span, hub: Arc<Hub>, link: impl Fn() -> Link) {
        let mut ticks = time::interval(interval.duration() / TURNS as u32);
        // After a stall, go on at the usual pace instead of pinging all at once.
        ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        for turn in (0..TURNS).cycle() {
            ticks.tick().await;
            let mut pings = Pings::new(link());
            for (Seated { outbox, encoding, follower, .. }, lives) in self.take_turn(turn) {
                if lives {
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
        self.lock(turn).seats.iter().map(|(_, seated)| seated.clone()).collect()
    }

    fn lock(&self, turn: usize) -> MutexGuard<'_, Turn> {
        self.turns[turn].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.roster.lock(self.turn as usize).seats.remove(self.key as usize);
    }
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
