//! What is measured: one file per scenario, with the figures it finds and the columns that show them.

mod connect;
mod fair;
mod fanout;
mod growth;
mod heartbeat;
mod hostile;
mod idle;
mod mixed;
mod nats_in;
mod personal;
mod slow;
mod stalled;
mod storm;
mod topics;
mod unwanted;

use crate::{
    failure::{Failure, Outcome},
    results::Cell,
    rig::{Ground, Measured, Rig},
    target::{Server, Target},
    usage::Memory,
};

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Clients of a small topic.
    pub small: usize,
    /// Clients of a large one, and of scenarios about connections.
    pub large: usize,
    /// Subjects of `topics`; each has a hundredth of that many members.
    pub subjects: usize,
    /// Events a second of `topics` and `personal`.
    pub rate: f64,
    /// Events a second of `unwanted`.
    pub unwanted: f64,
    /// What the numbers of `growth` are divided by.
    pub growth: usize,
    /// Connections of the user in `hostile`.
    pub hostile: usize,
    /// How long each measurement takes.
    pub seconds: f64,
    /// How long `heartbeat` takes: one interval of the servers' Pings.
    pub heartbeat: f64,
    /// How long clients stay stalled in `slow`.
    pub stall: f64,
    /// How long an idle server is left alone before its memory is read.
    pub quiet: f64,
}

impl Sizes {
    /// Those of the published figures.
    pub fn full(seconds: f64) -> Self {
        Self {
            small: 1_000,
            large: 10_000,
            subjects: 1_000,
            rate: 10_000.0,
            unwanted: 50_000.0,
            growth: 1,
            hostile: 100,
            seconds,
            heartbeat: 25.0,
            stall: 5.0,
            quiet: 3.0,
        }
    }

    /// Clients of the scenario with the most.
    pub fn most_clients(&self) -> usize {
        (self.small + self.large).max(growth::MOST_CLIENTS / self.growth)
    }

    /// Small ones: they show that everything works, not how well.
    pub fn quick() -> Self {
        Self {
            small: 100,
            large: 400,
            subjects: 40,
            rate: 400.0,
            unwanted: 2_000.0,
            growth: 50,
            hostile: 5,
            seconds: 0.2,
            heartbeat: 1.0,
            stall: 0.5,
            quiet: 0.2,
        }
    }
}

/// What one cell is measured with.
#[derive(Debug)]
pub struct Bench<'a> {
    /// The machine.
    pub ground: &'a Ground,
    /// How much.
    pub sizes: Sizes,
    /// What.
    pub target: &'a Target,
    /// Where the figures go.
    pub cell: &'a mut Cell,
}

impl Bench<'_> {
    /// A server that runs, without clients.
    fn rig(&self) -> Outcome<Rig> {
        Rig::start(self.ground, self.target)
    }

    fn set(&mut self, figure: impl Into<String>, value: f64) {
        self.cell.figures.insert(figure.into(), value);
    }

    /// Notes what a measurement found; the latencies are those of `group`.
    fn note(&mut self, phase: &str, measured: &Measured, group: usize) {
        self.set(format!("{phase}.us"), measured.cost());
        self.set(format!("{phase}.rate"), measured.rate());
        self.set(format!("{phase}.load"), measured.load);
        for (name, value) in ["p50", "p99", "p999"].into_iter().zip(measured.latency[group]) {
            self.set(format!("{phase}.{name}"), value);
        }
    }

    /// Notes what else a rig has seen, at its end.
    fn close(&mut self, rig: &Rig) {
        let faults = &rig.swarm.tally.faults;
        self.cell.faults.lost += faults.lost;
        self.cell.faults.duplicated += faults.duplicated;
        self.cell.faults.reordered += faults.reordered;
        self.cell.faults.strayed += faults.strayed;
        self.cell.faults.closed += faults.closed;
        self.cell.strangers = rig.strangers.iter().copied().fold(self.cell.strangers, f64::max);
    }
}

/// Bytes that each of `count` clients adds.
fn each(now: Memory, before: Memory, count: usize) -> f64 {
    now.resident.saturating_sub(before.resident) as f64 / count as f64
}

/// What a figure is measured in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unit {
    /// Microseconds of the server's CPU.
    Micros,
    /// Milliseconds.
    Millis,
    /// Seconds.
    Seconds,
    /// So many a second.
    Rate,
    /// Bytes.
    Bytes,
    /// A number.
    Count,
    /// A share of 1.
    Share,
}

/// Whose figure a figure is divided by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Base {
    /// Nobody's.
    None,
    /// `floor`.
    Floor,
    /// `floor16`.
    Floor16,
    /// `sink`.
    Sink,
    /// `notifier`.
    Node,
}

impl Base {
    /// The target's name.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Floor => Some("floor"),
            Self::Floor16 => Some("floor16"),
            Self::Sink => Some("sink"),
            Self::Node => Some("notifier"),
        }
    }
}

/// A figure in a table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name in a cell.
    pub figure: &'static str,
    /// Its title.
    pub title: &'static str,
    /// Its unit.
    pub unit: Unit,
    /// What it is compared with.
    pub base: Base,
}

const fn column(figure: &'static str, title: &'static str, unit: Unit, base: Base) -> Column {
    Column { figure, title, unit, base }
}

/// A table: its title and its columns.
pub type Table = (&'static str, &'static [Column]);

/// A scenario.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// Its tables.
    pub tables: &'static [Table],
    /// Measures.
    pub run: fn(&mut Bench<'_>) -> Outcome<()>,
    /// Why a target does not fit.
    pub misfit: fn(&Target) -> Option<&'static str>,
}

impl Scenario {
    /// What else runs beside the targets, for comparison.
    pub fn references(&self) -> Vec<Target> {
        if self.name == nats_in::SCENARIO.name { Target::sinks().into() } else { Vec::new() }
    }
}

/// All of them, in the order in which they run.
pub const ALL: &[Scenario] = &[
    idle::SCENARIO,
    connect::SCENARIO,
    storm::SCENARIO,
    fanout::SCENARIO,
    topics::SCENARIO,
    personal::SCENARIO,
    slow::SCENARIO,
    stalled::SCENARIO,
    fair::SCENARIO,
    mixed::SCENARIO,
    heartbeat::SCENARIO,
    nats_in::SCENARIO,
    unwanted::SCENARIO,
    hostile::SCENARIO,
    growth::SCENARIO,
];

/// The scenario with this name.
pub fn named(name: &str) -> Outcome<Scenario> {
    ALL.iter().find(|scenario| scenario.name == name).copied().ok_or_else(|| {
        let known: Vec<&str> = ALL.iter().map(|scenario| scenario.name).collect();
        Failure::new(format!("there is no scenario {name}; there are {}", known.join(", ")))
    })
}

/// Fits every server that serves clients.
fn serves(target: &Target) -> Option<&'static str> {
    matches!(target.server, Server::Sink(_)).then_some("it serves no clients")
}
