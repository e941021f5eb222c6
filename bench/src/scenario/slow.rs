//! One client in a hundred stops reading: what it costs the server, and the others.

use super::{Base, Bench, Scenario, Unit, column, each};
use crate::{
    drive::{Drive, Pace},
    failure::Outcome,
    swarm::Role,
    target::{Server, Target},
};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "slow",
    tables: &[(
        "One client in a hundred stops reading, 1 KiB, saturated",
        &[
            column("most", "memory of each, at most", Unit::Bytes, Base::None),
            column("end", "at the end", Unit::Bytes, Base::None),
            column("alone.us", "CPU per delivery, without them", Unit::Micros, Base::None),
            column("beside.us", "with them", Unit::Micros, Base::None),
            column("ratio.us", "ratio", Unit::Share, Base::None),
            column("alone.p99", "p99, without them", Unit::Millis, Base::None),
            column("beside.p99", "with them", Unit::Millis, Base::None),
            column("ratio.p99", "ratio", Unit::Share, Base::None),
        ],
    )],
    run,
    misfit,
};

pub(super) fn misfit(target: &Target) -> Option<&'static str> {
    match target.server {
        Server::Floor { .. } => Some("everybody waits for a full socket, by design"),
        Server::Sink(_) => Some("it serves no clients"),
        _ => None,
    }
}

fn run(bench: &mut Bench<'_>) -> Outcome<()> {
    let count = bench.sizes.small;
    let stalled = count / 100;
    let readers = count - stalled;
    let mut rig = bench.rig()?;
    let roles = rig.roles(readers, 0, readers, 0);
    rig.enter(&roles)?;
    rig.warm_up(1)?;
    let pace = Pace::Window(32);
    let drive = [Drive { subjects: 0..1, members: readers as u64, payload: 1024, pace, group: 0 }];
    rig.server.forget_peak()?;
    let alone = rig.measure(&drive, bench.sizes.stall / 2.0)?;
    let usual = rig.server.memory()?.peak;
    let narrow = rig.roles(stalled, 0, stalled, 0);
    let narrow: Vec<Role> = narrow.into_iter().map(|role| Role { narrow: true, ..role }).collect();
    rig.enter(&narrow)?;
    rig.swarm.stall(readers..count)?;
    rig.rest(0.3)?;
    rig.server.forget_peak()?;
    let before = rig.server.memory()?;
    let beside = rig.measure(&drive, bench.sizes.stall)?;
    let after = rig.server.memory()?;
    // The peak without them is not theirs.
    bench.set("most", after.peak.saturating_sub(usual) as f64 / stalled as f64);
    bench.set("end", each(after, before, stalled));
    bench.note("alone", &alone, 0);
    bench.note("beside", &beside, 0);
    bench.set("ratio.us", beside.cost() / alone.cost());
    bench.set("ratio.p99", beside.latency[0][1] / alone.latency[0][1]);
    bench.close(&rig);
    Ok(())
}
