//! Everybody is cut off at once, and comes back at once.

use super::{Base, Bench, Scenario, Unit, column, serves};
use crate::failure::Outcome;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "storm",
    tables: &[(
        "Storm: all clients reset, all back and subscribed",
        &[
            column("seconds", "back in", Unit::Seconds, Base::Floor),
            column("us", "CPU each", Unit::Micros, Base::Floor),
            column("lost", "TCP > 0.9 s", Unit::Count, Base::None),
            column("repeated", "connected again", Unit::Count, Base::None),
            column("peak", "peak of the process", Unit::Bytes, Base::None),
        ],
    )],
    run,
    misfit: serves,
};

fn run(bench: &mut Bench<'_>) -> Outcome<()> {
    let count = bench.sizes.large;
    let mut rig = bench.rig()?;
    let roles = rig.roles(count, 0, count, 0);
    rig.enter(&roles)?;
    rig.warm_up(1)?;
    rig.rest(0.5)?;
    let (opened, server) = rig.spent(|rig| {
        rig.swarm.cut_all()?;
        rig.swarm.open(&roles, true, usize::MAX)
    })?;
    rig.warm_up(1)?;
    bench.set("seconds", opened.seconds);
    bench.set("us", server as f64 / 1e3 / count as f64);
    bench.set("lost", opened.lost as f64);
    bench.set("repeated", opened.repeated as f64);
    bench.set("peak", rig.server.memory()?.peak as f64);
    bench.close(&rig);
    Ok(())
}
