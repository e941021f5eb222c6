//! What coming in and subscribing costs, some hundred clients at a time.

use super::{Base, Bench, Scenario, Unit, column, serves};
use crate::failure::Outcome;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "connect",
    tables: &[(
        "Connect and subscribe",
        &[
            column("us", "CPU each", Unit::Micros, Base::Floor),
            column("rate", "clients/s", Unit::Rate, Base::Floor),
            column("p99", "p99", Unit::Millis, Base::None),
            column("lost", "TCP > 0.9 s", Unit::Count, Base::None),
        ],
    )],
    run,
    misfit: serves,
};

fn run(bench: &mut Bench<'_>) -> Outcome<()> {
    let count = bench.sizes.large;
    let mut rig = bench.rig()?;
    rig.rest(0.3)?;
    let roles = rig.roles(count, 0, count, 0);
    let (opened, server) = rig.spent(|rig| rig.enter(&roles))?;
    bench.set("us", server as f64 / 1e3 / count as f64);
    bench.set("rate", count as f64 / opened.seconds);
    bench.set("p99", opened.times.value_at_quantile(0.99) as f64 / 1e6);
    bench.set("lost", opened.lost as f64);
    bench.set("repeated", opened.repeated as f64);
    bench.close(&rig);
    Ok(())
}
