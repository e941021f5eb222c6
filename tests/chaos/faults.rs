//! Faults, inflicted and proven. A fault that cannot show that it hit counts
//! as missed: a run of misses would prove nothing and look like success.

pub mod brokers;
pub mod edge;

use std::{
    cell::RefCell,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::{
    report::{Diary, Outcome},
    schedule::{Planned, Schedule},
};

/// At a fault that misses.
const ATTEMPTS: u64 = 3;

/// Where faults are inflicted.
pub trait Lane {
    /// Inflicts it, heals it, and tells how one knows that it hit.
    async fn inflict(&mut self, planned: &Planned) -> Outcome;
}

/// One fault after the other, until the time is over; the last one is healed.
pub async fn inflict_all(lane: &mut impl Lane, schedule: Schedule, end: Instant, diary: &RefCell<Diary>) {
    for planned in schedule {
        sleep(planned.pause).await;
        if Instant::now() >= end {
            return;
        }
        // The other lane may have been in the way: it is tried again, with other luck.
        for attempt in 0..ATTEMPTS {
            let outcome = lane.inflict(&Planned { luck: planned.luck.wrapping_add(attempt), ..planned }).await;
            let hit = outcome.is_ok();
            diary.borrow_mut().write(planned.fault, outcome);
            if hit {
                break;
            }
        }
    }
}

/// A time between two, in seconds.
fn seconds(random: &mut fastrand::Rng, least: f64, most: f64) -> Duration {
    Duration::from_secs_f64(least + (most - least) * random.f64())
}
