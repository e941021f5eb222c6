//! What stored events cost a node none of whose clients wants them: it follows whole streams.

use super::{Base, Bench, Scenario, Unit, column};
use crate::{
    clock::{self, SECOND},
    drive::{Drive, Pace},
    failure::Outcome,
    operator::Metrics,
    rig::Rig,
    target::Target,
};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "unwanted",
    tables: &[(
        "Stored events that no client wants, 128 B",
        &[
            column("us", "CPU each", Unit::Micros, Base::None),
            column("offered", "offered events/s", Unit::Rate, Base::None),
            column("rate", "followed events/s", Unit::Rate, Base::None),
            column("behind", "behind when publishing ends", Unit::Count, Base::None),
            column("lag", "lag at the end", Unit::Count, Base::None),
            column("missing", "never arrived", Unit::Count, Base::None),
            column("wanted.p50", "one wanted event: p50", Unit::Millis, Base::None),
            column("wanted.p99", "p99", Unit::Millis, Base::None),
        ],
    )],
    run,
    misfit,
};

/// Subjects that nobody wants.
const SUBJECTS: u32 = 1_000;

/// Wanted events a second, on the one subject that has a client.
const WANTED: f64 = 20.0;

/// After so long without another event, what is missing will not come. The node compares every 2 s.
const PATIENCE: u64 = 5 * SECOND;

fn misfit(target: &Target) -> Option<&'static str> {
    (!target.stored).then_some("nothing is stored")
}

fn run(bench: &mut Bench<'_>) -> Outcome<()> {
    let mut rig = bench.rig()?;
    let roles = rig.roles(1, 0, 1, 0);
    rig.enter(&roles)?;
    rig.warm_up(1)?;
    let wanted = Drive { subjects: 0..1, members: 1, payload: 128, pace: Pace::Every(WANTED), group: 0 };
    let pace = Pace::Every(bench.sizes.unwanted);
    let unwanted = Drive { subjects: 1..1 + SUBJECTS, members: 0, payload: 128, pace, group: 0 };
    // Longer than others, so that a node that falls behind does so visibly.
    let seconds = 2.0 * bench.sizes.seconds;
    let before = received(&rig)?;
    let ((measured, at_once, all), server) = rig.spent(|rig| {
        let measured = rig.measure(&[wanted, unwanted], seconds)?;
        let at_once = received(rig)? - before;
        Ok((measured, at_once, followed(rig, before)?))
    })?;
    let published: u64 = rig.feed.published.iter().sum();
    bench.set("us", server as f64 / 1e3 / all.max(1) as f64);
    bench.set("offered", published as f64 / measured.seconds);
    bench.set("rate", at_once as f64 / measured.seconds);
    bench.set("behind", published.saturating_sub(at_once) as f64);
    bench.set("lag", Metrics::of(rig.internal)?.value("notifier_stream_lag")?);
    bench.set("missing", published.saturating_sub(all) as f64);
    bench.set("wanted.p50", measured.latency[0][0]);
    bench.set("wanted.p99", measured.latency[0][1]);
    bench.close(&rig);
    Ok(())
}

fn received(rig: &Rig) -> Outcome<u64> {
    Metrics::of(rig.internal)?.counter("notifier_messages_received_total")
}

/// Waits until the node has all that was published, or nothing comes any more. Returns what it has.
fn followed(rig: &mut Rig, before: u64) -> Outcome<u64> {
    let published: u64 = rig.feed.published.iter().sum();
    let (mut seen, mut progress) = (received(rig)? - before, clock::now());
    while seen < published && clock::now() - progress < PATIENCE {
        rig.rest(0.02)?;
        let now = received(rig)? - before;
        if now > seen {
            (seen, progress) = (now, clock::now());
        }
    }
    Ok(seen)
}
