//! One subject, many members: one event at a time, as many as the server takes, and half of that.

use super::{Base, Bench, Column, Scenario, Unit, column, serves};
use crate::{
    drive::{Drive, Pace},
    failure::Outcome,
};

/// The columns of one size: names must be literals, so a macro repeats them.
macro_rules! columns {
    ($size:literal) => {{
        const COLUMNS: &[Column] = &[
            column(concat!($size, ".u128.us"), "one at a time, 128 B", Unit::Micros, Base::Floor),
            column(concat!($size, ".u1k.us"), "one at a time, 1 KiB", Unit::Micros, Base::Floor),
            column(concat!($size, ".s128.us"), "saturated, 128 B", Unit::Micros, Base::Floor16),
            column(concat!($size, ".s1k.us"), "saturated, 1 KiB", Unit::Micros, Base::Floor16),
            column(concat!($size, ".s128.rate"), "deliveries/s, 128 B", Unit::Rate, Base::Floor16),
            column(concat!($size, ".s1k.rate"), "deliveries/s, 1 KiB", Unit::Rate, Base::Floor16),
        ];
        COLUMNS
    }};
}

macro_rules! latencies {
    ($size:literal) => {{
        const COLUMNS: &[Column] = &[
            column(concat!($size, ".u128.p50"), "one at a time: p50", Unit::Millis, Base::Floor),
            column(concat!($size, ".u128.p99"), "one at a time: p99", Unit::Millis, Base::Floor),
            column(concat!($size, ".u128.p999"), "p99.9", Unit::Millis, Base::None),
            column(concat!($size, ".h128.rate"), "half: deliveries/s", Unit::Rate, Base::None),
            column(concat!($size, ".h128.p50"), "half: p50", Unit::Millis, Base::None),
            column(concat!($size, ".h128.p99"), "half: p99", Unit::Millis, Base::None),
            column(concat!($size, ".s128.load"), "saturated: busy clients", Unit::Share, Base::None),
        ];
        COLUMNS
    }};
}

pub(super) const SCENARIO: Scenario = Scenario {
    name: "fanout",
    tables: &[
        ("Fan-out, small topic: CPU per delivery, deliveries per second", columns!("small")),
        ("Fan-out, small topic: latency, 128 B", latencies!("small")),
        ("Fan-out, large topic: CPU per delivery, deliveries per second", columns!("large")),
        ("Fan-out, large topic: latency, 128 B", latencies!("large")),
    ],
    run,
    misfit: serves,
};

fn run(bench: &mut Bench<'_>) -> Outcome<()> {
    one_size(bench, "small", bench.sizes.small, 20.0, 32)?;
    one_size(bench, "large", bench.sizes.large, 3.0, 16)
}

fn one_size(bench: &mut Bench<'_>, size: &str, count: usize, rate: f64, window: u64) -> Outcome<()> {
    let seconds = bench.sizes.seconds;
    let mut rig = bench.rig()?;
    let roles = rig.roles(count, 0, count, 0);
    rig.enter(&roles)?;
    rig.warm_up(1)?;
    let drive = |payload, pace| [Drive { subjects: 0..1, members: count as u64, payload, pace, group: 0 }];
    let mut saturated = 0.0;
    for (phase, payload) in [("u128", 128), ("u1k", 1024), ("s1k", 1024), ("s128", 128), ("h128", 128)] {
        let pace = match &phase[..1] {
            "u" => Pace::Every(rate),
            "s" => Pace::Window(window),
            _ => Pace::Every(saturated / 2.0 / count as f64),
        };
        let measured = rig.measure(&drive(payload, pace), seconds)?;
        saturated = measured.rate();
        bench.note(&format!("{size}.{phase}"), &measured, 0);
    }
    bench.close(&rig);
    Ok(())
}
