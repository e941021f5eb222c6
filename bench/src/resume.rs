//! What it costs when the clients of a node that died come back elsewhere: to NATS, to the node, to the clients who were
//! there before. And one client that has missed a great deal. All with processes as they are in production.

mod bulk;
mod bystanders;
mod guests;
mod reader;
mod storm;
mod world;

use crate::{failure::Outcome, rig::Ground};

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub struct Amounts {
    /// Clients, each with a pattern of its own.
    pub clients: usize,
    /// Clients of one live subject beside them.
    pub bystanders: usize,
    /// Seconds in which the bystanders are alone.
    pub alone: f64,
    /// Events of the long replay.
    pub events: u64,
    /// Events a second that a slow client reads.
    pub slow: f64,
}

impl Amounts {
    /// Those of published figures.
    pub fn full(clients: usize, events: u64) -> Self {
        Self { clients, bystanders: 200, alone: 3.0, events, slow: 100_000.0 }
    }

    /// Small ones.
    pub fn quick() -> Self {
        Self { clients: 300, bystanders: 20, alone: 0.3, events: 20_000, slow: 20_000.0 }
    }
}

/// Measures and prints. Returns whether every client got exactly what it had missed.
pub fn run(ground: &Ground, amounts: &Amounts) -> Outcome<bool> {
    let world = world::World::start(ground)?;
    let mut line = world.line()?;
    let (position, resumed) = storm::run(&world, &mut line, amounts)?;
    let read = bulk::run(ground, &world, &mut line, &position, amounts)?;
    Ok(resumed && read)
}
