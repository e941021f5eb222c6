//! An hour of life: one node, one nats-server that is killed and started again, clients that come and go. Does anything
//! grow, is anything left when all have gone, do the node's own books balance, has every client got what it is owed?

mod book;
mod callers;
mod chance;
mod guest;
mod house;
mod judge;
mod life;
mod live_events;
mod plot;
mod requests;
mod sample;
mod socket;
mod sources;
mod standing;
mod subjects;
mod trend;
mod world;

use std::{
    fs,
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::{
    failure::{Because as _, Outcome},
    operator::Metrics,
    rig::Ground,
};
use judge::{Balance, Found};
use life::Life;
use sample::Sample;
use world::World;

/// From which span on growth is judged: in less, what comes and goes by chance looks like growth.
const JUDGED: Duration = Duration::from_secs(20 * 60);

/// How long the node may take to be as it was, when the last client has gone.
const SETTLING: Duration = Duration::from_secs(30);

/// Between two looks at a node that is to become quiet.
const PAUSE: Duration = Duration::from_millis(500);

/// How an hour goes.
#[derive(Clone, Copy, Debug)]
pub struct Course {
    /// Seconds in which clients come and go.
    pub seconds: f64,
    /// Clients.
    pub clients: usize,
    /// What chance begins with.
    pub seed: u64,
    /// How much shorter than usual clients stay and wait.
    pub haste: f64,
    /// Seconds between two samples.
    pub step: f64,
    /// Seconds between two outages of NATS.
    pub calm: f64,
}

impl Course {
    /// A long one. Outages come every four minutes, or three times in less than that.
    pub fn full(minutes: f64, clients: usize, seed: u64) -> Self {
        let seconds = minutes * 60.0;
        Self { seconds, clients, seed, haste: 1.0, step: 10.0, calm: (seconds / 4.0).min(240.0) }
    }

    /// A short one, with one outage.
    pub fn quick(seed: u64) -> Self {
        Self { seconds: 9.0, clients: 100, seed, haste: 4.0, step: 1.0, calm: 5.0 }
    }

    /// Seconds that are not judged: everybody comes, windows and retention fill, the allocator has seen all there is.
    fn warm_up(&self) -> f64 {
        self.seconds / 6.0
    }

    fn judges_growth(&self) -> bool {
        self.seconds - self.warm_up() >= JUDGED.as_secs_f64()
    }
}

/// Lives, judges and prints; writes `soak.csv` and `soak.svg` into `out`. Returns whether everything was as it must be.
pub fn run(ground: &Ground, course: &Course, out: &Path) -> Outcome<bool> {
    fs::create_dir_all(out).because(|| format!("cannot create {}", out.display()))?;
    let mut world = World::start(ground)?;
    let mut random = fastrand::Rng::with_seed(course.seed);
    sleep(PAUSE); // the questions whether it is ready have had connections too
    let before = Sample::take(&world, Instant::now())?;
    let life = Life::begin(&world, course, &mut random)?;
    let begun = Instant::now();
    let (mut samples, mut outages) = (Vec::new(), Vec::new());
    let (mut sampled, mut calm) = (course.step, course.calm);
    loop {
        let due = sampled.min(calm).min(course.seconds);
        sleep(Duration::from_secs_f64(due).saturating_sub(begun.elapsed()));
        if due == course.seconds {
            break;
        }
        if due == calm {
            calm += course.calm;
            // In turn as an operator does it, and as nobody does.
            let signal = if outages.len().is_multiple_of(2) { Signal::KILL } else { Signal::TERM };
            life.weather().breaks();
            outages.push(world.restart_nats(signal, Duration::from_secs_f64(0.2 + 2.0 * random.f64()))?);
            life.weather().clears();
        } else {
            sampled += course.step;
            let sample = Sample::take(&world, begun)?;
            let [connections, resident, tasks] =
                ["connections", "resident_bytes", "tasks"].map(|name| sample.figure(name));
            let (minutes, mebibytes) = (sample.seconds / 60.0, resident / f64::from(1 << 20));
            eprintln!("{minutes:.1} min: {connections} connections, {mebibytes:.1} MiB, {tasks} tasks");
            samples.push(sample);
        }
        world.check()?;
    }
    let house = life.end()?;
    let (after, metrics) = settled(&world, begun, &before)?;
    sample::write(&samples, &out.join("soak.csv"))?;
    let found = Found { course, before, after, samples, outages, metrics, house };
    plot::draw(&found, &out.join("soak.svg"))?;
    let (text, sound) = found.judge()?;
    print!("{text}");
    eprintln!("\nsamples: {0}/soak.csv, plot: {0}/soak.svg", out.display());
    Ok(sound)
}

/// The node when it has become as it was, or when that takes too long.
fn settled(world: &World<'_>, begun: Instant, before: &Sample) -> Outcome<(Sample, Metrics)> {
    let deadline = Instant::now() + SETTLING;
    loop {
        sleep(PAUSE);
        let after = Sample::take(world, begun)?;
        let metrics = Metrics::of(world.internal)?;
        let even = judge::balances(&metrics)?.iter().all(Balance::holds);
        if (even && judge::left(before, &after).is_empty()) || Instant::now() > deadline {
            return Ok((after, metrics));
        }
    }
}
