//! As many clients as there are readers stop reading: what they cost the server, and the others.

use super::{Base, Bench, Scenario, Unit, column, each, slow};
use crate::{
    drive::{Drive, Pace},
    failure::Outcome,
    swarm::Role,
};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "stalled",
    tables: &[(
        "As many clients as there are readers stop reading, 1 KiB",
        &[
            column("most", "memory of each, at most", Unit::Bytes, Base::None),
            column("end", "at the end", Unit::Bytes, Base::None),
            column("alone.u.p99", "one at a time: p99, without them", Unit::Millis, Base::None),
            column("beside.u.p99", "with them", Unit::Millis, Base::None),
            column("ratio.u.p99", "ratio", Unit::Share, Base::None),
            column("alone.s.p99", "saturated: p99, without them", Unit::Millis, Base::None),
            column("beside.s.p99", "with them", Unit::Millis, Base::None),
            column("ratio.s.p99", "ratio", Unit::Share, Base::None),
        ],
    )],
    run,
    misfit: slow::misfit,
};

/// Events one at a time, then as many as the server takes: with the latter the queues of those who stall fill up.
const PHASES: [(&str, Pace); 2] = [("u", Pace::Every(20.0)), ("s", Pace::Window(32))];

fn run(bench: &mut Bench<'_>) -> Outcome<()> {
    let count = bench.sizes.small;
    let mut rig = bench.rig()?;
    let roles = rig.roles(count, 0, count, 0);
    rig.enter(&roles)?;
    rig.warm_up(1)?;
    let drive = |pace| [Drive { subjects: 0..1, members: count as u64, payload: 1024, pace, group: 0 }];
    rig.server.forget_peak()?;
    let mut alone = Vec::new();
    for (phase, pace) in PHASES {
        let measured = rig.measure(&drive(pace), bench.sizes.stall)?;
        bench.note(&format!("alone.{phase}"), &measured, 0);
        alone.push(measured.latency[0][1]);
    }
    let usual = rig.server.memory()?.peak;
    let narrow: Vec<Role> = roles.into_iter().map(|role| Role { narrow: true, ..role }).collect();
    rig.enter(&narrow)?;
    rig.swarm.stall(count..2 * count)?;
    rig.rest(0.3)?;
    rig.server.forget_peak()?;
    let before = rig.server.memory()?;
    for ((phase, pace), alone) in PHASES.into_iter().zip(alone) {
        let measured = rig.measure(&drive(pace), bench.sizes.stall)?;
        bench.note(&format!("beside.{phase}"), &measured, 0);
        bench.set(format!("ratio.{phase}.p99"), measured.latency[0][1] / alone);
    }
    let after = rig.server.memory()?;
    // The peak without them is not theirs.
    bench.set("most", after.peak.saturating_sub(usual) as f64 / count as f64);
    bench.set("end", each(after, before, count));
    bench.close(&rig);
    Ok(())
}
