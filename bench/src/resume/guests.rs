//! Thousands of clients, each with a pattern and a position of its own, that check what they are sent.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use notifier::{
    client::{Client, ClientError},
    codec::Encoding,
    proto::{Connect, Event, Position, Subscription, server_frame::Body},
};
use tokio::{
    runtime::{self, Runtime},
    task::JoinHandle,
    time::sleep,
};

use super::world::Node;
use crate::{
    failure::{Because as _, Failure, Outcome},
    line::Line,
    marker::Scanner,
};

/// How long all may take until they are live, or have an event.
const PATIENCE: Duration = Duration::from_secs(60);

/// How far they stand back.
const NICE: i32 = 10;

/// One client: what it knows from one connection to the next.
#[derive(Clone, Debug)]
struct Guest {
    number: usize,
    position: Option<Position>,
}

/// What all have seen, together.
#[derive(Debug, Default)]
struct Seen {
    /// The number that the next event of each client must carry.
    next: Vec<AtomicU64>,
    live: AtomicU64,
    lost: AtomicU64,
    doubled: AtomicU64,
    /// Clients who resumed and were told that they have missed something.
    unrecovered: AtomicU64,
    /// Why clients did not become live.
    failures: Mutex<Vec<String>>,
}

/// All clients.
#[derive(Debug)]
pub(super) struct Guests {
    runtime: Runtime,
    guests: Vec<Guest>,
    sessions: Vec<JoinHandle<Guest>>,
    seen: Arc<Seen>,
    /// Events stored for each.
    stored: Vec<u64>,
}

/// What went wrong.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Harm {
    pub(super) lost: u64,
    pub(super) doubled: u64,
    pub(super) unrecovered: u64,
}

impl Harm {
    pub(super) fn none(self) -> bool {
        self.lost + self.doubled + self.unrecovered == 0
    }
}

impl Guests {
    pub(super) fn new(count: usize) -> Outcome<Self> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .because(|| "cannot start the clients".into())?;
        let seen = Seen { next: (0..count).map(|_| AtomicU64::new(0)).collect(), ..Seen::default() };
        let guests = (0..count).map(|number| Guest { number, position: None }).collect();
        Ok(Self { runtime, guests, sessions: Vec::new(), seen: Arc::new(seen), stored: vec![0; count] })
    }

    /// Stores `each` events for one client of `step`.
    pub(super) fn store(&mut self, line: &mut Line, each: u64, step: usize) -> Outcome<()> {
        let stored = &self.stored;
        // In turns, so that nobody's events stand side by side.
        let places = (0..each).flat_map(|turn| (0..stored.len()).step_by(step).map(move |number| (turn, number)));
        line.store(places.map(|(turn, number)| (format!("shop.cart.u{number}.changed"), stored[number] + turn)))?;
        self.stored.iter_mut().step_by(step).for_each(|stored| *stored += each);
        Ok(())
    }

    /// All connect at once, and resume where they have a position. Returns the seconds until the last one was live.
    pub(super) fn enter(&mut self, node: &Node) -> Outcome<f64> {
        let Self { runtime, guests, sessions, seen, .. } = self;
        let url: Arc<str> = format!("ws://{}", node.listen).into();
        let count = guests.len() as u64;
        seen.live.store(0, Relaxed);
        let begun = Instant::now();
        behind(runtime, async {
            sessions.extend(guests.drain(..).map(|guest| tokio::spawn(attend(guest, url.clone(), seen.clone()))));
            while seen.live.load(Relaxed) < count {
                if let Some(failure) = seen.failure() {
                    return Err(failure);
                }
                if begun.elapsed() > PATIENCE {
                    let live = seen.live.load(Relaxed);
                    return Err(Failure::new(format!("{live} of {count} clients were live after 60 s")));
                }
                sleep(Duration::from_millis(1)).await;
            }
            Ok(begun.elapsed().as_secs_f64())
        })
    }

    /// Stores one more event for each and waits until all have it: what was lost or doubled shows by then.
    pub(super) fn fence(&mut self, line: &mut Line) -> Outcome<()> {
        self.store(line, 1, 1)?;
        let begun = Instant::now();
        let missing =
            || self.stored.iter().zip(&self.seen.next).map(|(due, next)| due - next.load(Relaxed)).sum::<u64>();
        behind(&self.runtime, async {
            while missing() > 0 && begun.elapsed() < PATIENCE {
                sleep(Duration::from_millis(5)).await;
            }
        });
        self.seen.lost.fetch_add(missing(), Relaxed);
        Ok(())
    }

    /// They notice that their node is gone, and keep what they know.
    pub(super) fn leave(&mut self) -> Outcome<()> {
        let sessions = std::mem::take(&mut self.sessions);
        self.guests = behind(&self.runtime, async {
            let mut guests = Vec::with_capacity(sessions.len());
            for session in sessions {
                guests.push(session.await.because(|| "a client has failed".into())?);
            }
            Ok::<_, Failure>(guests)
        })?;
        Ok(())
    }

    /// A position of theirs, while they are away.
    pub(super) fn position(&self) -> Option<&Position> {
        self.guests.first()?.position.as_ref()
    }

    /// What went wrong since this was asked last.
    pub(super) fn harm(&self) -> Harm {
        let Seen { lost, doubled, unrecovered, .. } = &*self.seen;
        let [lost, doubled, unrecovered] = [lost, doubled, unrecovered].map(|count| count.swap(0, Relaxed));
        Harm { lost, doubled, unrecovered }
    }
}

/// Runs the clients on a thread that gives way to nats-server and to the bystanders, which share its core: what those
/// wait for is to be the node.
fn behind<T: Send>(runtime: &Runtime, work: impl Future<Output = T> + Send) -> T {
    let done = thread::scope(|scope| {
        let run = || {
            // Everybody may lower what is theirs.
            let _ = rustix::process::setpriority_process(None, NICE);
            runtime.block_on(work)
        };
        scope.spawn(run).join()
    });
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

impl Seen {
    /// Why not all are live, where that is known.
    fn failure(&self) -> Option<Failure> {
        let failures = self.failures();
        let first = failures.first()?;
        Some(Failure::new(format!("{} clients did not come in: {first}", failures.len())))
    }

    fn failures(&self) -> MutexGuard<'_, Vec<String>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection, from the beginning to the end of its node.
async fn attend(mut guest: Guest, url: Arc<str>, seen: Arc<Seen>) -> Guest {
    let mut live = false;
    if let Err(error) = session(&mut guest, &url, &seen, &mut live).await
        && !live
    {
        seen.failures().push(error.to_string());
    }
    guest
}

async fn session(guest: &mut Guest, url: &str, seen: &Seen, live: &mut bool) -> Result<(), ClientError> {
    let scanner = Scanner::default();
    let resumes = guest.position.is_some();
    let subject = format!("shop.cart.u{}.>", guest.number);
    let subscription = Subscription { subject, after: guest.position.iter().cloned().collect(), snapshot: false };
    let connect = Connect { subscriptions: vec![subscription], ..Connect::default() };
    let (mut client, _) = Client::connect(url, Encoding::Proto, connect).await?;
    loop {
        match client.next().await?.body {
            Some(Body::Event(event)) => take(guest, &scanner, seen, &event),
            Some(Body::Replay(replay)) => replay.events.iter().for_each(|event| take(guest, &scanner, seen, event)),
            Some(Body::Subscribed(subscribed)) => {
                guest.position = subscribed.positions.into_iter().next();
                *live = true;
                seen.live.fetch_add(1, Relaxed);
                seen.unrecovered.fetch_add(u64::from(resumes && !subscribed.recovered), Relaxed);
            }
            Some(Body::Ping(ping)) if !ping.positions.is_empty() => guest.position = ping.positions.into_iter().next(),
            Some(Body::Error(error)) => {
                return Err(ClientError::Refused { code: error.code, message: error.message });
            }
            _ => {}
        }
    }
}

fn take(guest: &mut Guest, scanner: &Scanner, seen: &Seen, event: &Event) {
    let next = &seen.next[guest.number];
    scanner.scan(&event.data, |marker| {
        let due = next.load(Relaxed);
        if marker.sequence < due {
            seen.doubled.fetch_add(1, Relaxed);
        } else {
            seen.lost.fetch_add(marker.sequence - due, Relaxed);
            next.store(marker.sequence + 1, Relaxed);
        }
    });
    if let Some(position) = &mut guest.position {
        position.seq = position.seq.max(event.seq);
    }
}
