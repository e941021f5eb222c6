//! What a connection costs in memory: connected, subscribed, after traffic.

use super::{Base, Bench, Scenario, Unit, column, each, serves};
use crate::{
    drive::{Drive, Pace},
    failure::Outcome,
    swarm::WINDOW,
};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "idle",
    tables: &[(
        "Memory of a connection (all to one subject)",
        &[
            column("connected", "connected", Unit::Bytes, Base::Node),
            column("subscribed", "subscribed", Unit::Bytes, Base::Node),
            column("after", "after traffic", Unit::Bytes, Base::Node),
            column("peak", "peak of the process", Unit::Bytes, Base::None),
        ],
    )],
    run,
    misfit: serves,
};

/// Events that everybody gets.
const EVENTS: f64 = 20.0;

fn run(bench: &mut Bench<'_>) -> Outcome<()> {
    let count = bench.sizes.large;
    let mut rig = bench.rig()?;
    rig.rest(bench.sizes.quiet / 3.0)?;
    let empty = rig.server.memory()?;
    let roles = rig.roles(count, 0, count, 0);
    if bench.target.plug.is_stream() {
        rig.enter(&roles)?; // there is no stream without a subscription
    } else {
        let opened = rig.swarm.open(&roles, false, WINDOW);
        rig.told(opened)?;
        rig.rest(bench.sizes.quiet / 3.0)?;
        let connected = rig.server.memory()?;
        bench.set("connected", each(connected, empty, count));
        let subscribed = rig.swarm.subscribe();
        rig.told(subscribed)?;
    }
    rig.rest(bench.sizes.quiet / 3.0)?;
    let subscribed = rig.server.memory()?;
    rig.warm_up(1)?;
    let drive =
        Drive { subjects: 0..1, members: count as u64, payload: 128, pace: Pace::Every(EVENTS / 2.0), group: 0 };
    rig.measure(&[drive], 2.0)?;
    rig.rest(bench.sizes.quiet)?;
    let after = rig.server.memory()?;
    bench.set("subscribed", each(subscribed, empty, count));
    bench.set("after", each(after, empty, count));
    bench.set("peak", after.peak as f64);
    bench.close(&rig);
    Ok(())
}
