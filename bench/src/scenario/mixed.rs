//! Clients of both encodings on one subject: what the second encoding costs.

use super::{Base, Bench, Scenario, Unit, column};
use crate::{
    drive::{Drive, Pace},
    failure::Outcome,
    plug::Plug,
    target::Target,
};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "mixed",
    tables: &[(
        "Both encodings on a small topic, CPU per delivery",
        &[
            column("json.u128.us", "one at a time, JSON", Unit::Micros, Base::None),
            column("proto.u128.us", "protobuf", Unit::Micros, Base::None),
            column("half.u128.us", "half and half", Unit::Micros, Base::None),
            column("json.s128.us", "saturated, JSON", Unit::Micros, Base::None),
            column("proto.s128.us", "protobuf", Unit::Micros, Base::None),
            column("half.s128.us", "half and half", Unit::Micros, Base::None),
        ],
    )],
    run,
    misfit,
};

fn misfit(target: &Target) -> Option<&'static str> {
    let json = target.is_notifier() && target.plug == Plug::NotifierJson && !target.stored;
    (!json).then_some("it is about a node that speaks both encodings, whose events are live")
}

fn run(bench: &mut Bench<'_>) -> Outcome<()> {
    let count = bench.sizes.small;
    for (name, plugs) in [
        ("json", [Plug::NotifierJson, Plug::NotifierJson]),
        ("proto", [Plug::NotifierProto, Plug::NotifierProto]),
        ("half", [Plug::NotifierJson, Plug::NotifierProto]),
    ] {
        let mut rig = bench.rig()?;
        let mut roles = rig.roles(count, 0, count, 0);
        for (at, role) in roles.iter_mut().enumerate() {
            role.plug = plugs[at % 2];
        }
        rig.enter(&roles)?;
        rig.warm_up(1)?;
        for (phase, pace) in [("u128", Pace::Every(20.0)), ("s128", Pace::Window(32))] {
            let drive = Drive { subjects: 0..1, members: count as u64, payload: 128, pace, group: 0 };
            let measured = rig.measure(&[drive], bench.sizes.seconds)?;
            bench.note(&format!("{name}.{phase}"), &measured, 0);
        }
        bench.close(&rig);
    }
    Ok(())
}
