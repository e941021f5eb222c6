//! Runs a model in many orders, always the same ones, unless it is told otherwise.

use std::{
    env,
    panic::catch_unwind,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use shuttle::{
    Config, FailurePersistence, MaxSteps, Runner,
    rand::{Rng as _, thread_rng},
    scheduler::{PctScheduler, RandomScheduler, ReplayScheduler, Scheduler},
};

/// Orders in which each model is run: a second or two.
const ITERATIONS: usize = 200;

/// A model of few steps is run in more orders by so much.
const SMALL: usize = 5;

/// Where the choice of orders begins.
const SEED: u64 = 7;

/// Switches at unlikely moments, in half of the orders (PCT): most faults take one or two.
const SWITCHES: usize = 3;

/// Steps of one run, of which most take a few hundred: more is somebody who never comes to an end.
const STEPS: usize = 200_000;

/// Bytes of stack for each task, in a build without optimization.
const STACK: usize = 512 * 1024;

/// Runs a model in many orders. One that panics, or in which nobody can go on, fails the test and is printed;
/// `SCHEDULE` runs it again.
pub(crate) fn holds(model: fn()) {
    explore(number("ITERATIONS").unwrap_or(ITERATIONS), model);
}

/// The same for one of few steps, around one moment.
pub(crate) fn holds_in_many(model: fn()) {
    explore(number("ITERATIONS").unwrap_or(ITERATIONS) * SMALL, model);
}

fn explore(iterations: usize, model: fn()) {
    if let Ok(schedule) = env::var("SCHEDULE") {
        run(ReplayScheduler::new_from_encoded(schedule.trim()), FailurePersistence::None, model);
        return;
    }
    let seed = number("SEED").unwrap_or(SEED);
    run(RandomScheduler::new_from_seed(seed, iterations.div_ceil(2)), FailurePersistence::Print, model);
    run(PctScheduler::new_from_seed(seed, SWITCHES, iterations.div_ceil(2)), FailurePersistence::Print, model);
}

/// Whether some order fails: what is wrong with this model is found.
pub(crate) fn fails(model: fn()) {
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = runs.clone();
    let found = catch_unwind(move || {
        run(RandomScheduler::new_from_seed(SEED, ITERATIONS), FailurePersistence::None, move || {
            counted.fetch_add(1, Ordering::Relaxed);
            model();
        });
    });
    let runs = runs.load(Ordering::Relaxed);
    assert!(found.is_err(), "not found in {runs} orders");
    println!("found in order {runs}");
}

/// A number below `end` that the scheduler chooses.
pub(crate) fn any(end: usize) -> usize {
    thread_rng().gen_range(0..end)
}

/// Lets others go on for a while.
pub(crate) async fn a_while(most: usize) {
    for _ in 0..any(most) {
        notifier::sync::yield_now().await;
    }
}

fn run(scheduler: impl Scheduler + 'static, print: FailurePersistence, model: impl Fn() + Send + Sync + 'static) {
    let mut config = Config::new();
    config.stack_size = STACK;
    config.max_steps = MaxSteps::FailAfter(STEPS);
    config.failure_persistence = print;
    // Its atomics are in one order for all; the node's are counters and flags, and are not modelled.
    config.silence_warnings = true;
    Runner::new(scheduler, config).run(model);
}

fn number<N: std::str::FromStr>(name: &str) -> Option<N> {
    env::var(name).ok()?.parse().ok()
}
