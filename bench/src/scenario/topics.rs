//! Many subjects with ten members each: at a fixed rate, then flat out.

use super::{Base, Bench, Scenario, Unit, column, serves};
use crate::{
    drive::{Drive, Pace},
    failure::Outcome,
};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "topics",
    tables: &[(
        "Many subjects, ten members each: at the offered rate, then flat out",
        &[
            column("paced.rate", "deliveries/s", Unit::Rate, Base::Floor),
            column("paced.us", "CPU each", Unit::Micros, Base::Floor),
            column("paced.p50", "p50", Unit::Millis, Base::None),
            column("paced.p99", "p99", Unit::Millis, Base::Floor),
            column("flat.rate", "flat out: deliveries/s", Unit::Rate, Base::Floor16),
            column("flat.us", "flat out: CPU each", Unit::Micros, Base::Floor16),
        ],
    )],
    run,
    misfit: serves,
};

/// Clients of each subject.
const MEMBERS: usize = 10;

fn run(bench: &mut Bench<'_>) -> Outcome<()> {
    let subjects = bench.sizes.subjects;
    let mut rig = bench.rig()?;
    let roles = rig.roles(subjects * MEMBERS, 0, MEMBERS, 0);
    rig.enter(&roles)?;
    rig.warm_up(subjects as u32)?;
    let drive = |pace| [Drive { subjects: 0..subjects as u32, members: MEMBERS as u64, payload: 128, pace, group: 0 }];
    let paced = rig.measure(&drive(Pace::Every(bench.sizes.rate)), bench.sizes.seconds)?;
    bench.note("paced", &paced, 0);
    let flat = rig.measure(&drive(Pace::Window(2 * subjects as u64)), bench.sizes.seconds)?;
    bench.note("flat", &flat, 0);
    bench.close(&rig);
    Ok(())
}
