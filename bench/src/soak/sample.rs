//! What the node is and has at one moment, and all moments as CSV.

use std::{fmt::Write as _, fs, path::Path, time::Instant};

use super::world::World;
use crate::{
    failure::{Because as _, Outcome},
    operator::{self, Metrics},
    usage,
};

/// The figures of a sample besides its time, in the order of [`Sample::figures`].
pub(super) const FIGURES: [&str; 13] = [
    "resident_bytes",
    "descriptors",
    "tasks",
    "threads",
    "connections",
    "subscriptions",
    "topics",
    "outbox_bytes",
    "pending",
    "lagging",
    "requests_waiting",
    "deliveries",
    "cpu_seconds",
];

/// Those that are series of the node, after the first four.
const SERIES: [&str; 8] = [
    "notifier_connections",
    "notifier_subscriptions",
    "notifier_topics",
    "notifier_outbox_bytes",
    "notifier_pending",
    "notifier_lagging",
    "notifier_requests_waiting",
    "notifier_deliveries_total",
];

#[derive(Clone, Debug)]
pub(super) struct Sample {
    /// Since the load began.
    pub(super) seconds: f64,
    figures: [f64; FIGURES.len()],
}

impl Sample {
    pub(super) fn take(world: &World<'_>, begun: Instant) -> Outcome<Self> {
        let pid = world.node.pid();
        // Descriptors come before the questions, whose connections are some too.
        let mut figures = vec![
            world.node.memory()?.resident as f64,
            usage::entries(pid, "fd")? as f64,
            operator::tasks(world.internal)? as f64,
            usage::entries(pid, "task")? as f64,
        ];
        let metrics = Metrics::of(world.internal)?;
        for series in SERIES {
            figures.push(metrics.value(series)?);
        }
        figures.push(world.node.on_cpu()? as f64 / 1e9);
        let figures = std::array::from_fn(|at| figures[at]);
        Ok(Self { seconds: begun.elapsed().as_secs_f64(), figures })
    }

    /// One of [`FIGURES`].
    pub(super) fn figure(&self, name: &str) -> f64 {
        FIGURES.iter().position(|figure| *figure == name).map_or(f64::NAN, |at| self.figures[at])
    }
}

/// Writes all of them.
pub(super) fn write(samples: &[Sample], file: &Path) -> Outcome<()> {
    let mut text = format!("seconds,{}\n", FIGURES.join(","));
    for sample in samples {
        let _ = write!(text, "{:.1}", sample.seconds);
        for figure in sample.figures {
            // Whole numbers, but for the CPU.
            let _ = if figure.fract() == 0.0 { write!(text, ",{figure}") } else { write!(text, ",{figure:.2}") };
        }
        text.push('\n');
    }
    fs::write(file, text).because(|| format!("cannot write {}", file.display()))
}
