//! One client that has missed a great deal: what the node keeps in memory for it when it reads slowly, and how fast the
//! node replays when it does not, beside a bare reader of the same events.

use std::thread;

use notifier::proto::Position;

use super::{Amounts, reader, world::World};
use crate::{
    failure::{Failure, Outcome},
    launch,
    line::Line,
    rig::Ground,
    table,
};

/// So that nothing of the replay is in the node's memory before.
const WINDOW: &str = "64KiB";

/// Runs it and prints it. Returns whether nothing was lost or doubled.
pub(super) fn run(
    ground: &Ground,
    world: &World<'_>,
    line: &mut Line,
    position: &Position,
    amounts: &Amounts,
) -> Outcome<bool> {
    let Position { stream, epoch, .. } = position;
    let (begun, count) = (line.stored, amounts.events);
    eprintln!("storing {count} events");
    line.store((0..count).map(|number| (format!("shop.bulk.{}", number % 1_000), number)))?;
    let after = format!("{{\"stream\":\"{stream}\",\"epoch\":\"{epoch}\",\"seq\":{begun}}}");
    let mut rows = Vec::new();
    let mut sound = true;
    let mut note = |name: &str, read: &reader::Read, ratio: String, memory: String| {
        let whole = read.events == count && read.wrong == 0 && read.recovered;
        sound &= whole;
        let rate = table::number(read.events as f64 / read.seconds);
        let wrong = if whole { "-".into() } else { format!("**{read:?}**") };
        rows.push(vec![name.into(), format!("{:.2}", read.seconds), rate, ratio, memory, wrong]);
    };

    // A node of its own for each: what one has read would be in its memory for the other. The bare reader before and
    // after, because nats-server may read faster the second time.
    let mut bare = Vec::new();
    bare.push(bare_read(ground, world, stream, begun + 1, count)?);
    let node = world.node("node-e", Some(WINDOW))?;
    let fast = reader::read(node.listen, "shop.>", &after, None)?;
    drop(node);
    bare.push(bare_read(ground, world, stream, begun + 1, count)?);
    let mean = bare.iter().map(|read| read.events as f64 / read.seconds).sum::<f64>() / bare.len() as f64;
    for read in &bare {
        note("bare reader, batch by batch", read, String::new(), String::new());
    }
    let ratio = format!("{:.2}", fast.events as f64 / fast.seconds / mean);
    note("node, one fast client", &fast, ratio, String::new());

    let node = world.node("node-f", Some(WINDOW))?;
    node.process.forget_peak()?;
    let before = node.process.memory()?.resident;
    let slow = reader::read(node.listen, "shop.>", &after, Some(amounts.slow))?;
    let peak = node.process.memory()?.peak.saturating_sub(before) as f64;
    note("node, one slow client", &slow, String::new(), format!("{:.1}", peak / 1e6));

    let head =
        ["reader", "seconds", "events/s", "of the bare reader", "node's peak above its memory before, MB", "wrong"];
    let title = format!("Replay of {count} stored events of 128 B that nobody has read");
    print!("{}", table::grid(&title, &head.map(String::from), &rows));
    Ok(sound)
}

/// Reads on the nodes' core, as a node does.
fn bare_read(ground: &Ground, world: &World<'_>, stream: &str, first: u64, count: u64) -> Outcome<reader::Read> {
    let core = ground.server_core;
    let mut line = world.line()?;
    let read = thread::scope(|scope| {
        let reading = scope.spawn(move || {
            launch::pin(core)?;
            let begun = std::time::Instant::now();
            let events = line.read(stream, first, count)?;
            Ok(reader::Read { seconds: begun.elapsed().as_secs_f64(), events, wrong: 0, recovered: true })
        });
        reading.join()
    });
    read.unwrap_or_else(|_| Err(Failure::new("the bare reader has failed")))
}
