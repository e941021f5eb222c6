//! What taking an event in costs, with the headers of a JetStream republish and one client to give it to; a durable
//! target gets them from JetStream itself. Two bare subscribers run beside the servers for comparison: `async-nats`, and
//! the reading connection of the node.

use super::{Base, Bench, Scenario, Unit, column};
use crate::{
    drive::{Drive, Pace},
    failure::{Failure, Outcome},
    operator::Metrics,
    sink,
    target::{Server, Target},
};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "nats-in",
    tables: &[(
        "Events from NATS, with JetStream's headers, one subscriber",
        &[
            column("rate", "events/s", Unit::Rate, Base::Sink),
            column("per_cpu", "events per second of CPU", Unit::Rate, Base::Sink),
            column("us", "CPU each", Unit::Micros, Base::Sink),
            column("load", "busy publisher", Unit::Share, Base::None),
        ],
    )],
    run,
    misfit,
};

/// Events on their way: what a node queues for one client holds them.
const WINDOW: u64 = 1_024;

/// The same where nobody queues: what keeps a subscriber busy.
const SINK_WINDOW: u64 = 16_384;

fn misfit(target: &Target) -> Option<&'static str> {
    (target.server == Server::Nats).then_some("it is the nats-server")
}

fn run(bench: &mut Bench<'_>) -> Outcome<()> {
    let mut rig = bench.rig()?;
    let mut window = WINDOW;
    if let Server::Sink(_) = bench.target.server {
        rig.feed.listen(sink::TOLD);
        window = SINK_WINDOW;
    } else {
        let roles = rig.roles(1, 0, 1, 0);
        rig.enter(&roles)?;
        rig.warm_up(1)?;
    }
    if !bench.target.stored {
        rig.feed.with_headers(); // else JetStream puts them on itself
    }
    let count = |rig: &crate::rig::Rig| match bench.target.is_notifier() {
        true => Metrics::of(rig.internal)?.counter("notifier_messages_received_total").map(Some),
        false => Ok(None),
    };
    let before = count(&rig)?;
    let drive = Drive { subjects: 0..1, members: 1, payload: 128, pace: Pace::Window(window), group: 0 };
    let measured = rig.measure(&[drive], bench.sizes.seconds)?;
    // The node's own counter must agree with what was published and has all been delivered.
    if let (Some(before), Some(after)) = (before, count(&rig)?)
        && after - before != rig.feed.published[0]
    {
        let (counted, published) = (after - before, rig.feed.published[0]);
        return Err(Failure::new(format!("the node counts {counted} events of {published} that were published")));
    }
    bench.set("rate", measured.rate());
    bench.set("us", measured.cost());
    bench.set("per_cpu", 1e6 / measured.cost());
    bench.set("load", measured.load);
    bench.close(&rig);
    Ok(())
}
