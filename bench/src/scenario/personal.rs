//! A subject for each client: the case where nothing is shared.

use super::{Base, Bench, Scenario, Unit, column, each, serves};
use crate::{
    drive::{Drive, Pace},
    failure::Outcome,
};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "personal",
    tables: &[
        (
            "A subject for each client: memory, connecting",
            &[
                column("subscribed", "subscribed", Unit::Bytes, Base::None),
                column("after", "after traffic", Unit::Bytes, Base::None),
                column("peak", "peak of the process", Unit::Bytes, Base::None),
                column("connect.us", "connect and subscribe, CPU", Unit::Micros, Base::Floor),
                column("connect.rate", "clients/s", Unit::Rate, Base::Floor),
            ],
        ),
        (
            "A subject for each client: events",
            &[
                column("paced.us", "offered rate: CPU each", Unit::Micros, Base::Floor),
                column("paced.p50", "p50", Unit::Millis, Base::None),
                column("paced.p99", "p99", Unit::Millis, Base::Floor),
                column("flat.rate", "flat out: deliveries/s", Unit::Rate, Base::Floor),
                column("flat.us", "flat out: CPU each", Unit::Micros, Base::Floor),
            ],
        ),
    ],
    run,
    misfit: serves,
};

/// Events on their way when flat out.
const WINDOW: u64 = 2_000;

fn run(bench: &mut Bench<'_>) -> Outcome<()> {
    let count = bench.sizes.large;
    let mut rig = bench.rig()?;
    rig.rest(bench.sizes.quiet / 3.0)?;
    let empty = rig.server.memory()?;
    let roles = rig.roles(count, 0, 1, 0);
    let (opened, server) = rig.spent(|rig| rig.enter(&roles))?;
    bench.set("connect.us", server as f64 / 1e3 / count as f64);
    bench.set("connect.rate", count as f64 / opened.seconds);
    rig.rest(bench.sizes.quiet / 3.0)?;
    bench.set("subscribed", each(rig.server.memory()?, empty, count));
    rig.warm_up(count as u32)?;
    let drive = |pace| [Drive { subjects: 0..count as u32, members: 1, payload: 128, pace, group: 0 }];
    let paced = rig.measure(&drive(Pace::Every(bench.sizes.rate)), bench.sizes.seconds)?;
    bench.note("paced", &paced, 0);
    let flat = rig.measure(&drive(Pace::Window(WINDOW.min(count as u64))), bench.sizes.seconds)?;
    bench.note("flat", &flat, 0);
    rig.rest(bench.sizes.quiet)?;
    let after = rig.server.memory()?;
    bench.set("after", each(after, empty, count));
    bench.set("peak", after.peak as f64);
    bench.close(&rig);
    Ok(())
}
