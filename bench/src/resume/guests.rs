//! Thousands of clients, each with a pattern and a position of its own, that check what they are sent.

use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use notifier::{
    client::{Client, ClientError, resume::Relevance},
    codec::Encoding,
    proto::{Connect, Position, server_frame::Body},
    subject::{BadSubject, Pattern},
};
use notifier_verify::{
    numbers::{Numbers, Step},
    subscription::CheckedSubscription,
    verdict::{DUPLICATED, FOREIGN, LOST, Verdict},
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
    subscription: CheckedSubscription,
}

/// Observations of all clients.
#[derive(Debug, Default)]
struct Seen {
    live: AtomicU64,
    account: Mutex<Account>,
    /// Why clients did not become live.
    failures: Mutex<Vec<String>>,
}

/// The account of all clients.
#[derive(Debug, Default)]
struct Account {
    /// Of each client.
    numbers: Vec<Numbers>,
    verdict: Verdict,
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

impl Guests {
    pub(super) fn new(count: usize) -> Outcome<Self> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .because(|| "cannot start the clients".into())?;
        let account = Account { numbers: vec![Numbers::default(); count], ..Account::default() };
        let seen = Seen { account: Mutex::new(account), ..Seen::default() };
        let guests =
            (0..count).map(Guest::new).collect::<Result<_, _>>().because(|| "a client has no pattern".into())?;
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
        let missing = || {
            let numbers = &self.seen.account().numbers;
            self.stored.iter().zip(numbers).map(|(due, numbers)| due.saturating_sub(numbers.due())).sum::<u64>()
        };
        behind(&self.runtime, async {
            while missing() > 0 && begun.elapsed() < PATIENCE {
                sleep(Duration::from_millis(5)).await;
            }
        });
        let missing = missing();
        self.seen.account().verdict.find_many(LOST, missing, || format!("after {} s", PATIENCE.as_secs()));
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
    pub(super) fn position(&self) -> Option<Position> {
        self.guests.first()?.subscription.rule.positions().pop()
    }

    /// The findings since the last call.
    pub(super) fn verdict(&self) -> Verdict {
        mem::take(&mut self.seen.account().verdict)
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

    fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
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
    guest.subscription.rule.disconnected();
    let connect = Connect { subscriptions: vec![guest.subscription.rule.request()], ..Connect::default() };
    let (mut client, _) = Client::connect(url, Encoding::Proto, connect).await?;
    loop {
        let body = client.next().await?.body;
        let mut account = seen.account();
        match body {
            Some(Body::Event(event)) => {
                let relevance = guest.subscription.rule.received(&event);
                account.take(guest.number, relevance, scanner.number(&event.data));
            }
            Some(Body::Replay(replay)) => {
                for event in &replay.events {
                    let relevance = guest.subscription.rule.replayed(event);
                    account.take(guest.number, relevance, scanner.number(&event.data));
                }
            }
            Some(Body::Subscribed(subscribed)) => {
                guest.subscription.subscribed(&subscribed, &mut account.verdict);
                *live = true;
                seen.live.fetch_add(1, Relaxed);
            }
            Some(Body::Gap(gap)) => guest.subscription.gap(&gap, &mut account.verdict),
            Some(Body::Ping(ping)) => guest.subscription.checkpoint(&ping.positions, &mut account.verdict),
            Some(Body::Error(error)) => {
                return Err(ClientError::Refused { code: error.code, message: error.message });
            }
            _ => {}
        }
    }
}

impl Guest {
    fn new(number: usize) -> Result<Self, BadSubject> {
        let pattern = Pattern::parse(&format!("shop.cart.u{number}.>"))?;
        Ok(Self { number, subscription: CheckedSubscription::new(pattern) })
    }
}

impl Account {
    /// Takes the next event of a client. Those that the cursor tells apart count too: here nobody has a reason to send
    /// one twice.
    fn take(&mut self, client: usize, relevance: Relevance, number: Option<u64>) {
        let Self { numbers, verdict } = self;
        let case = || format!("u{client}: number {number:?}, {relevance:?}");
        match (relevance, number.map(|number| numbers[client].take(number))) {
            (Relevance::New, Some(Step::Next)) => {}
            (Relevance::New, Some(Step::Skipped(skipped))) => {
                verdict.find_many(LOST, skipped.end - skipped.start, case)
            }
            (Relevance::Foreign, _) | (_, None) => verdict.find(FOREIGN, case),
            _ => verdict.find(DUPLICATED, case),
        }
    }
}
