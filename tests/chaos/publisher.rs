//! A service that publishes without a pause and remembers what was
//! acknowledged. What is not acknowledged is published again under the same
//! id until it is.

use std::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use notifier::subject::Subject;
use notifier_verify::ledger::{Ledger, Owed};
use serde::Deserialize;
use tokio::{
    sync::Semaphore,
    task::{JoinHandle, JoinSet},
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use super::{jetstream::JetStream, patience::PATIENCE};

/// The only stream of this world.
pub const STREAM: &str = "CHAOS";

/// Groups of subjects, and subjects of each.
pub const GROUPS: usize = 8;
pub const SUBJECTS_OF_A_GROUP: usize = 5;

/// Not acknowledged, at most; then publishing waits, as a service does.
const IN_FLIGHT: usize = 512;

/// Between two attempts at the same event: long enough to leave an election alone.
const RETRY: Duration = Duration::from_millis(250);

/// Between two groups of events.
const TICK: Duration = Duration::from_millis(10);

pub struct Publisher {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<Acknowledged>>,
    task: JoinHandle<()>,
}

/// What JetStream has promised to keep.
#[derive(Clone, Debug, Default)]
pub struct Acknowledged {
    /// The promised events.
    pub ledger: Ledger,
    /// Acknowledgements that said: I had it already.
    pub duplicates: u64,
    /// Attempts that were not acknowledged.
    pub repeated: u64,
}

/// The data of each event.
#[derive(Deserialize)]
pub struct Body {
    /// The event's number; its id is made of it.
    pub event: u64,
}

/// The id of an event, `Nats-Msg-Id`.
pub fn id(event: u64) -> String {
    format!("e{event}")
}

fn body(event: u64, padding: usize) -> Bytes {
    format!("{{\"event\":{event},\"padding\":\"{:padding$}\"}}", "").into()
}

/// Subject of a group.
pub fn subject(group: usize, number: usize) -> String {
    format!("chaos.g{group}.s{number}")
}

impl Publisher {
    /// Publishes so many events per second.
    pub fn start(jetstream: Arc<JetStream>, seed: u64, per_second: u32) -> Self {
        let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let task = tokio::spawn(publish(jetstream, seed, per_second, Arc::clone(&stop), Arc::clone(&acknowledged)));
        Self { stop, acknowledged, task }
    }

    /// What was acknowledged until now.
    pub fn acknowledged(&self) -> MutexGuard<'_, Acknowledged> {
        self.acknowledged.lock().expect("no panic")
    }

    /// Stops, and waits until everything published is acknowledged.
    pub async fn finish(mut self) -> Acknowledged {
        self.stop.store(true, Ordering::Relaxed);
        timeout(PATIENCE, &mut self.task).await.expect("everything is acknowledged in time").expect("no panic");
        self.acknowledged().clone()
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn publish(
    jetstream: Arc<JetStream>,
    seed: u64,
    per_second: u32,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<Acknowledged>>,
) {
    let mut random = fastrand::Rng::with_seed(seed);
    let room = Arc::new(Semaphore::new(IN_FLIGHT));
    let mut in_flight = JoinSet::new();
    let mut ticks = interval(TICK);
    // After a stall it goes on at its pace, and does not make up for it in one burst.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut event, mut due) = (0, 0.0);
    while !stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        due += f64::from(per_second) * TICK.as_secs_f64();
        while due >= 1.0 {
            due -= 1.0;
            event += 1;
            let permit = Arc::clone(&room).acquire_owned().await.expect("never closed");
            let (jetstream, acknowledged) = (Arc::clone(&jetstream), Arc::clone(&acknowledged));
            let subject = subject(random.usize(..GROUPS), random.usize(..SUBJECTS_OF_A_GROUP));
            let body = body(event, random.usize(..500));
            in_flight.spawn(async move {
                until_acknowledged(&jetstream, &acknowledged, event, &subject, body).await;
                drop(permit);
            });
        }
        while let Some(end) = in_flight.try_join_next() {
            end.expect("no panic");
        }
    }
    in_flight.join_all().await;
}

async fn until_acknowledged(
    jetstream: &JetStream,
    acknowledged: &Mutex<Acknowledged>,
    event: u64,
    subject: &str,
    body: Bytes,
) {
    let stored = Subject::parse(subject).expect("a subject");
    loop {
        let answer = jetstream.publish(subject, &id(event), body.clone()).await;
        {
            let mut acknowledged = acknowledged.lock().expect("no panic");
            match answer {
                Ok(ack) => {
                    acknowledged.duplicates += u64::from(ack.duplicate);
                    acknowledged.ledger.store(STREAM, Owed::Each, &stored, ack.seq, event);
                    return;
                }
                Err(_) => acknowledged.repeated += 1,
            }
        }
        sleep(RETRY).await;
    }
}
