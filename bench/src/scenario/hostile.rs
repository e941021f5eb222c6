//! What one user can do to others within all limits: a hundred connections with as many patterns as the node takes, all
//! of which match one subject or nearly do. Neighbours have subjects of their own; how long their events take is
//! measured while nobody else is there, beside as many connections with one subscription each, and beside the hostile
//! user, in the same minutes.

use super::{Base, Bench, Scenario, Unit, column};
use crate::{
    drive::{Drive, Pace},
    failure::Outcome,
    hostile::{Hostile, Plan},
    names::Names,
    plug::Plug,
    rig::{Measured, Rig},
    target::Target,
};

macro_rules! columns {
    ($part:literal) => {
        &[
            column(concat!($part, ".quiet.p99"), "alone: p99", Unit::Millis, Base::None),
            column(concat!($part, ".one.p99"), "one subscription each: p99", Unit::Millis, Base::None),
            column(concat!($part, ".hostile.p50"), "hostile: p50", Unit::Millis, Base::None),
            column(concat!($part, ".hostile.p99"), "p99", Unit::Millis, Base::None),
            column(concat!($part, ".ratio"), "p99 hostile / one", Unit::Share, Base::None),
            column(concat!($part, ".lost"), "neighbours lost", Unit::Count, Base::None),
            column(concat!($part, ".one.cpu"), "core, one", Unit::Share, Base::None),
            column(concat!($part, ".hostile.cpu"), "core, hostile", Unit::Share, Base::None),
            column(concat!($part, ".held"), "held", Unit::Count, Base::None),
            column(concat!($part, ".refused"), "refused", Unit::Count, Base::None),
            column(concat!($part, ".ended"), "ended", Unit::Count, Base::None),
        ]
    };
}

pub(super) const SCENARIO: Scenario = Scenario {
    name: "hostile",
    tables: &[
        ("A hostile user's patterns overlap on a live subject, 20 events/s of 50 kB", columns!("live")),
        ("A hostile user has 510 subjects and a wildcard over them, 294 events/s", columns!("singles")),
        ("A hostile user's patterns overlap on a stored subject, 80 events/s", columns!("stored")),
    ],
    run,
    misfit,
};

/// Clients with a live subject each.
const NEIGHBOURS: usize = 50;

/// Their events a second, of all subjects together.
const RATE: f64 = 500.0;

/// Tokens of a deep subject behind the first two.
const DEEP: usize = 14;

/// A deep subject has these behind its number.
const DEEP_NAMES: [Names; 2] =
    [Names::deep("deep", ".a.a.a.a.a.a.a.a.a.a.a.a.a.a"), Names::deep("kept", ".a.a.a.a.a.a.a.a.a.a.a.a.a.a")];

/// Subjects without a wildcard that one connection holds beside the wildcard.
const SINGLES: u32 = 510;

/// What a part of the scenario is made of.
struct Part {
    name: &'static str,
    names: Names,
    drive: Drive,
    /// What a connection subscribes to.
    patterns: fn(usize) -> Vec<String>,
    /// What it would subscribe to if it were not hostile.
    one: &'static str,
}

fn misfit(target: &Target) -> Option<&'static str> {
    let fits = target.is_notifier() && target.plug == Plug::NotifierJson && !target.has_streams() && !target.tls;
    (!fits).then_some("its users are those of a bare node with JSON clients and without TLS")
}

fn run(bench: &mut Bench<'_>) -> Outcome<()> {
    let drive = |subjects, payload, rate| Drive { subjects, members: 0, payload, pace: Pace::Every(rate), group: 1 };
    let parts = [
        Part {
            name: "live",
            names: DEEP_NAMES[0],
            drive: drive(0..1, 50_000, 20.0),
            patterns: |at| overlapping("deep", at, 255),
            one: "deep.*.>",
        },
        Part {
            name: "singles",
            names: Names::plain("wide"),
            drive: drive(0..SINGLES, 128, 294.0),
            patterns: |_| (0..SINGLES).map(|at| format!("wide.{at}")).chain(["wide.*".into()]).collect(),
            one: "wide.*",
        },
        Part {
            name: "stored",
            names: DEEP_NAMES[1],
            drive: drive(0..1, 128, 80.0),
            patterns: |at| overlapping("kept", at, 256),
            one: "kept.*.>",
        },
    ];
    for part in parts {
        measure(bench, &part)?;
    }
    Ok(())
}

fn measure(bench: &mut Bench<'_>, part: &Part) -> Outcome<()> {
    let target = Target { hostile: true, ..bench.target.clone() };
    let mut rig = Rig::start(bench.ground, &target)?;
    let roles = rig.roles(NEIGHBOURS, 0, 1, 0);
    rig.enter(&roles)?;
    rig.warm_up(NEIGHBOURS as u32)?;
    let neighbours =
        [Drive { subjects: 0..NEIGHBOURS as u32, members: 1, payload: 128, pace: Pace::Every(RATE), group: 0 }];
    let seconds = 4.0 * bench.sizes.seconds;
    let name = part.name;
    let note = |bench: &mut Bench<'_>, phase: &str, measured: &Measured| {
        bench.set(format!("{name}.{phase}.p50"), measured.latency[0][0]);
        bench.set(format!("{name}.{phase}.p99"), measured.latency[0][1]);
        bench.set(format!("{name}.{phase}.cpu"), measured.server as f64 / 1e9 / measured.seconds);
        measured.latency[0][1]
    };

    let quiet = rig.measure(&neighbours, seconds)?;
    note(bench, "quiet", &quiet);
    let connections = bench.sizes.hostile;
    let token = rig.swarm.pass(NEIGHBOURS)?;
    let plan = |patterns| Plan { patterns, drive: part.drive.clone(), names: part.names, token: token.clone() };

    let others = Hostile::enter(rig.listen(), rig.nats, plan(vec![vec![part.one.to_owned()]; connections]))?;
    let beside = rig.measure(&neighbours, seconds)?;
    others.leave()?;
    let one = note(bench, "one", &beside);

    let hostile = Hostile::enter(rig.listen(), rig.nats, plan((0..connections).map(part.patterns).collect()))?;
    bench.set(format!("{name}.held"), hostile.admitted.held as f64);
    bench.set(format!("{name}.refused"), hostile.admitted.refused as f64);
    let before = rig.swarm.tally.faults.lost;
    match rig.measure(&neighbours, seconds) {
        Ok(beside) => {
            let worst = note(bench, "hostile", &beside);
            bench.set(format!("{name}.ratio"), worst / one);
        }
        // Nothing reached the neighbours, which the count of what they lost says too. Unless the node has ended.
        Err(_) => rig.server.check()?,
    }
    bench.set(format!("{name}.lost"), (rig.swarm.tally.faults.lost - before) as f64);
    bench.set(format!("{name}.ended"), hostile.leave()? as f64);
    bench.close(&rig);
    Ok(())
}

/// Patterns of connection `at`, so many that match the deep subject below the token `first` behind as many that do not,
/// but for their last token. The first 32 that match are of shapes that all connections have, the rest of its own; all
/// that nearly match are of those 32 shapes. None of these covers another: each has three wildcards, elsewhere.
fn overlapping(first: &str, at: usize, each: usize) -> Vec<String> {
    const SHAPES: usize = 32;
    // The last token is none of them.
    const ALL: usize = 1 << (DEEP - 1);
    let common: Vec<usize> = (0..1 << 7).filter(|stars: &usize| stars.count_ones() == 3).take(SHAPES).collect();
    let others: Vec<usize> = (0..ALL).filter(|stars| !common.contains(stars)).collect();
    let write = |stars: usize, last: &str| {
        let token = |place: usize| if stars & (1 << place) == 0 { ".a" } else { ".*" };
        let middle: String = (0..DEEP - 1).map(token).collect();
        format!("{first}.0{middle}.{last}")
    };
    let nearly = (0..each).map(|number| write(common[number % SHAPES], &format!("b{at}n{number}")));
    let own = |number: usize| others[(at * each + number) % others.len()];
    let matching = (0..each).map(|number| write(common.get(number).copied().unwrap_or_else(|| own(number)), "a"));
    nearly.chain(matching).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use notifier::subject::{Pattern, Subject};

    use super::*;

    #[test]
    fn half_of_the_patterns_match_and_the_others_nearly_do() {
        let subject = Subject::parse(&DEEP_NAMES[0].event(0).to_string()).expect("a subject");
        for at in [0, 1, 99] {
            let patterns = overlapping("deep", at, 255);
            let parsed: HashSet<_> = patterns.iter().map(|text| Pattern::parse(text).expect("a pattern")).collect();
            assert_eq!(parsed.len(), 510, "no two are the same");
            assert_eq!(parsed.iter().filter(|pattern| pattern.matches(&subject)).count(), 255);
            let matching = |text: &String| Pattern::parse(text).expect("a pattern").matches(&subject);
            assert!(!patterns[..255].iter().any(matching) && patterns[255..].iter().all(matching));
        }
    }
}
