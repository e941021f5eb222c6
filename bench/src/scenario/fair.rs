//! A large topic that never rests beside many small ones: how long the small ones wait.

use super::{Base, Bench, Scenario, Unit, column, serves};
use crate::{
    drive::{Drive, Pace},
    failure::Outcome,
};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "fair",
    tables: &[(
        "Small topics beside a large one that is saturated",
        &[
            column("alone.p50", "alone: p50", Unit::Millis, Base::None),
            column("alone.p99", "alone: p99", Unit::Millis, Base::Floor),
            column("beside.p50", "beside: p50", Unit::Millis, Base::Floor),
            column("beside.p99", "beside: p99", Unit::Millis, Base::Floor),
            column("ratio", "p99 beside / alone", Unit::Share, Base::Floor),
            column("large", "large: deliveries/s", Unit::Rate, Base::Floor),
        ],
    )],
    run,
    misfit: serves,
};

/// Clients of each small topic.
const MEMBERS: usize = 10;

/// Events a second on each small topic.
const RATE: f64 = 10.0;

fn run(bench: &mut Bench<'_>) -> Outcome<()> {
    let (aside, large) = (bench.sizes.small, bench.sizes.large);
    let topics = (aside / MEMBERS) as u32;
    let mut rig = bench.rig()?;
    let mut roles = rig.roles(aside, 0, MEMBERS, 0);
    roles.extend(rig.roles(large, topics, large, 1));
    rig.enter(&roles)?;
    rig.warm_up(topics + 1)?;
    let pace = Pace::Every(RATE * f64::from(topics));
    let small = Drive { subjects: 0..topics, members: MEMBERS as u64, payload: 128, pace, group: 0 };
    let pace = Pace::Window(16);
    let hot = Drive { subjects: topics..topics + 1, members: large as u64, payload: 128, pace, group: 1 };
    // Twice as long as elsewhere: the small ones make few events.
    let seconds = 2.0 * bench.sizes.seconds;
    let alone = rig.measure(std::slice::from_ref(&small), seconds)?;
    let beside = rig.measure(&[small, hot], seconds)?;
    bench.note("alone", &alone, 0);
    bench.note("beside", &beside, 0);
    bench.set("ratio", beside.latency[0][1] / alone.latency[0][1]);
    bench.set("large", beside.deliveries[1] as f64 / beside.seconds);
    bench.close(&rig);
    Ok(())
}
