//! Nothing happens: what keeping idle connections alive costs.

use super::{Base, Bench, Scenario, Unit, column};
use crate::{
    failure::Outcome,
    target::{Server, Target},
};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "heartbeat",
    tables: &[(
        "Idle connections with heartbeats",
        &[
            column("us", "CPU of each in a second", Unit::Micros, Base::None),
            column("cpu", "share of a core, all", Unit::Share, Base::None),
        ],
    )],
    run,
    misfit,
};

fn misfit(target: &Target) -> Option<&'static str> {
    match target.server {
        Server::Notifier(_) | Server::Centrifugo(_) => None,
        Server::Nats => Some("it pings every two minutes only"),
        _ => Some("it sends no pings"),
    }
}

fn run(bench: &mut Bench<'_>) -> Outcome<()> {
    let count = bench.sizes.large;
    let mut rig = bench.rig()?;
    let roles = rig.roles(count, 0, count, 0);
    rig.enter(&roles)?;
    rig.warm_up(1)?;
    rig.rest(bench.sizes.quiet)?;
    let seconds = bench.sizes.heartbeat;
    let ((), server) = rig.spent(|rig| rig.rest(seconds))?;
    bench.set("us", server as f64 / 1e3 / seconds / count as f64);
    bench.set("cpu", server as f64 / 1e9 / seconds);
    bench.close(&rig);
    Ok(())
}
