//! All clients of a node that was killed resume on another one: out of its memory, out of the memory of one that has just
//! started, and below what is in memory.

use std::{thread, time::Duration};

use notifier::proto::Position;
use notifier_verify::verdict::Verdict;

use super::{
    Amounts,
    bystanders::Bystanders,
    guests::Guests,
    world::{Bill, Node, World},
};
use crate::{
    failure::{Failure, Outcome},
    line::Line,
    swarm::Faults,
    table,
};

/// A window that holds a few hundred events.
const SMALL: &str = "64KiB";

/// Events of others that fill it, several times over.
const OTHERS: u64 = 2_000;

/// One client of so many has missed something.
const STEP: usize = 2;

/// Events that each of those has missed.
const MISSED: u64 = 2;

/// What one storm was found to cost.
struct Storm {
    seconds: f64,
    bill: Bill,
    before: f64,
    during: f64,
    verdict: Verdict,
    faults: Faults,
    /// Events that there were to replay.
    missed: u64,
}

/// Runs all of them and prints them. Returns a position of the stream, and whether nothing was lost or doubled.
pub(super) fn run(world: &World<'_>, line: &mut Line, amounts: &Amounts) -> Outcome<(Position, bool)> {
    let mut rows = Vec::new();
    let mut sound = true;
    let mut note = |name: &str, storm: &Storm| {
        sound &= storm.verdict.is_sound() && storm.faults.none() && storm.bill.replayed == storm.missed;
        rows.push(row(name, amounts, storm));
        eprintln!("{name}: {:.2} s", storm.seconds);
    };
    let mut guests = Guests::new(amounts.clients)?;
    let missed = amounts.clients.div_ceil(STEP) as u64 * MISSED;

    let a = world.node("node-a", None)?;
    let b = world.node("node-b", None)?;
    note("new, nothing to resume", &storm(world, line, amounts, &mut guests, &a, 0)?);
    drop(a);
    guests.leave()?;
    guests.store(line, MISSED, STEP)?;
    note("resumed in the window", &storm(world, line, amounts, &mut guests, &b, missed)?);
    drop(b);
    guests.leave()?;
    guests.store(line, MISSED, STEP)?;

    let fresh = world.node("node-c", None)?;
    let filled = world.bill(&[&fresh])?;
    note("the same, node just started", &storm(world, line, amounts, &mut guests, &fresh, missed)?);
    let fresh_ready = fresh.ready;
    drop(fresh);
    guests.leave()?;
    guests.store(line, MISSED, STEP)?;
    line.store((0..OTHERS).map(|number| (format!("shop.order.{number}"), 0)))?;

    let small = world.node("node-d", Some(SMALL))?;
    note("resumed below the window", &storm(world, line, amounts, &mut guests, &small, missed)?);
    drop(small);
    guests.leave()?;

    let head = [
        "storm",
        "clients",
        "all live, s",
        "replayed",
        "questions to NATS",
        "NATS CPU, s",
        "node CPU, s",
        "bystanders' p99 before, ms",
        "during",
        "wrong",
    ];
    print!("{}", table::grid("Resuming: all clients of a killed node at once", &head.map(String::from), &rows));
    println!(
        "\nHalf of the clients have missed {MISSED} events each. The node that had just started was ready {fresh_ready:.2} s \
         after its start and had asked NATS: {}.",
        filled.reads()
    );
    let position = guests.position().ok_or_else(|| Failure::new("the clients have no position"))?;
    Ok((position, sound))
}

fn storm(
    world: &World<'_>,
    line: &mut Line,
    amounts: &Amounts,
    guests: &mut Guests,
    node: &Node,
    missed: u64,
) -> Outcome<Storm> {
    let bystanders = Bystanders::enter(node.listen, world.address, amounts.bystanders)?;
    thread::sleep(Duration::from_secs_f64(amounts.alone));
    let before = bystanders.p99().unwrap_or_default();
    let start = world.bill(&[node])?;
    let seconds = guests.enter(node)?;
    let bill = world.bill(&[node])?.since(&start);
    let during = bystanders.p99().unwrap_or_default();
    let faults = bystanders.leave()?;
    guests.fence(line)?;
    Ok(Storm { seconds, bill, before, during, verdict: guests.verdict(), faults, missed })
}

fn row(name: &str, amounts: &Amounts, storm: &Storm) -> Vec<String> {
    let Storm { seconds, bill, before, during, verdict, faults, missed } = storm;
    let mut wrong: Vec<_> =
        verdict.findings().iter().map(|(kind, finding)| format!("{} {kind}", finding.count)).collect();
    for (what, count) in [
        ("not replayed", missed.saturating_sub(bill.replayed)),
        ("replayed in vain", bill.replayed.saturating_sub(*missed)),
        ("lost by bystanders", faults.lost + faults.duplicated + faults.reordered + faults.closed),
    ] {
        if count > 0 {
            wrong.push(format!("{count} {what}"));
        }
    }
    vec![
        name.into(),
        amounts.clients.to_string(),
        format!("{seconds:.2}"),
        bill.replayed.to_string(),
        bill.reads(),
        format!("{:.2}", bill.nats),
        format!("{:.2}", bill.node),
        format!("{before:.2}"),
        format!("{during:.2}"),
        if wrong.is_empty() { "-".into() } else { format!("**{}**", wrong.join(", ")) },
    ]
}
