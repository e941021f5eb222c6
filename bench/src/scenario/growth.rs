//! What grows with what: clients of one subject, subscriptions of a connection, subjects. One server for each number.

use super::{Base, Bench, Column, Scenario, Unit, column, each};
use crate::{
    drive::{Drive, Pace},
    failure::Outcome,
    plug::Plug,
    rig::Rig,
    swarm::Role,
    target::{Server, Target},
};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "growth",
    tables: &[
        (
            "Growth: clients of one subject, CPU per delivery, 128 B",
            &[
                column("c1000.u.us", "one at a time: 1,000", Unit::Micros, Base::Floor),
                column("c5000.u.us", "5,000", Unit::Micros, Base::Floor),
                column("c10000.u.us", "10,000", Unit::Micros, Base::Floor),
                column("c19000.u.us", "19,000", Unit::Micros, Base::Floor),
                column("c1000.s.us", "saturated: 1,000", Unit::Micros, Base::Floor16),
                column("c5000.s.us", "5,000", Unit::Micros, Base::Floor16),
                column("c10000.s.us", "10,000", Unit::Micros, Base::Floor16),
                column("c19000.s.us", "19,000", Unit::Micros, Base::Floor16),
            ],
        ),
        (
            "Growth: clients of one subject, memory of each and p99 of one event at a time",
            &[
                column("c1000.memory", "memory: 1,000", Unit::Bytes, Base::None),
                column("c5000.memory", "5,000", Unit::Bytes, Base::None),
                column("c10000.memory", "10,000", Unit::Bytes, Base::None),
                column("c19000.memory", "19,000", Unit::Bytes, Base::None),
                column("c1000.u.p99", "p99: 1,000", Unit::Millis, Base::None),
                column("c5000.u.p99", "5,000", Unit::Millis, Base::None),
                column("c10000.u.p99", "10,000", Unit::Millis, Base::None),
                column("c19000.u.p99", "19,000", Unit::Millis, Base::None),
            ],
        ),
        ("Growth: 1,000 connections, each with subjects of its own", SUBSCRIPTIONS[0]),
        ("Growth: 1,000 connections, all with the same subjects", SUBSCRIPTIONS[1]),
    ],
    run,
    misfit,
};

/// The columns of one kind of subjects: names must be literals, so a macro repeats them.
macro_rules! subscriptions {
    ($kind:literal) => {{
        const COLUMNS: &[Column] = &[
            column(concat!($kind, "1.memory"), "memory of each: 1", Unit::Bytes, Base::None),
            column(concat!($kind, "10.memory"), "10", Unit::Bytes, Base::None),
            column(concat!($kind, "100.memory"), "100", Unit::Bytes, Base::None),
            column(concat!($kind, "10.more"), "each of 9 more", Unit::Bytes, Base::None),
            column(concat!($kind, "100.more"), "each of 90 more", Unit::Bytes, Base::None),
            column(concat!($kind, "1.enter"), "CPU of coming in: 1", Unit::Micros, Base::None),
            column(concat!($kind, "100.enter"), "100", Unit::Micros, Base::None),
            column(concat!($kind, "1.us"), "CPU per delivery, flat out: 1", Unit::Micros, Base::None),
            column(concat!($kind, "10.us"), "10", Unit::Micros, Base::None),
            column(concat!($kind, "100.us"), "100", Unit::Micros, Base::None),
            column(concat!($kind, "100.rate"), "deliveries/s", Unit::Rate, Base::None),
        ];
        COLUMNS
    }};
}

const SUBSCRIPTIONS: [&[Column]; 2] = [subscriptions!("own"), subscriptions!("same")];

/// Clients of one subject. The last number is below the 20,000 files that a process may have open.
const CLIENTS: [usize; 4] = [1_000, 5_000, 10_000, MOST_CLIENTS];

/// The most of them.
pub(super) const MOST_CLIENTS: usize = 19_000;

/// Deliveries a second where events come one at a time: a third of what a core does.
const DELIVERIES: f64 = 25_000.0;

/// Connections with several subscriptions.
const CONNECTIONS: usize = 1_000;

/// Subscriptions of each.
const SUBJECTS: [u32; 3] = [1, 10, 100];

/// Events on their way where each has one receiver, and where each has a thousand.
const WINDOWS: [u64; 2] = [2_000, 32];

fn misfit(target: &Target) -> Option<&'static str> {
    match target.server {
        Server::Floor { .. } => None,
        Server::Notifier(_) if target.plug == Plug::NotifierJson => None,
        _ => Some("it is about the node with JSON clients, and the floors"),
    }
}

fn run(bench: &mut Bench<'_>) -> Outcome<()> {
    for count in CLIENTS {
        clients(bench, count)?;
    }
    if !bench.target.is_notifier() {
        return Ok(()); // a connection of the floor has one subscription
    }
    for (own, kind) in [(true, "own"), (false, "same")] {
        let mut before = None;
        for subjects in SUBJECTS {
            let memory = subscriptions(bench, kind, own, subjects)?;
            if let Some((fewer, less)) = before {
                bench.set(format!("{kind}{subjects}.more"), (memory - less) / f64::from(subjects - fewer));
            }
            before = Some((subjects, memory));
        }
    }
    Ok(())
}

/// One subject and so many clients.
fn clients(bench: &mut Bench<'_>, title: usize) -> Outcome<()> {
    let count = title / bench.sizes.growth;
    let (mut rig, empty) = ready(bench)?;
    let roles = rig.roles(count, 1, count, 0);
    rig.enter(&roles)?;
    rig.warm_up(2)?;
    let window = if title > 1_000 { 16 } else { 32 };
    for (phase, pace) in [("u", Pace::Every(DELIVERIES / count as f64)), ("s", Pace::Window(window))] {
        let drive = Drive { subjects: 1..2, members: count as u64, payload: 128, pace, group: 0 };
        let measured = rig.measure(&[drive], bench.sizes.seconds)?;
        bench.note(&format!("c{title}.{phase}"), &measured, 0);
    }
    rig.rest(bench.sizes.quiet)?;
    bench.set(format!("c{title}.memory"), each(rig.server.memory()?, empty, count));
    bench.close(&rig);
    Ok(())
}

/// Connections with so many subjects each, of their own or the same ones. Returns the bytes of each.
fn subscriptions(bench: &mut Bench<'_>, kind: &str, own: bool, subjects: u32) -> Outcome<f64> {
    let count = CONNECTIONS / bench.sizes.growth;
    let (mut rig, empty) = ready(bench)?;
    let roles: Vec<Role> = rig
        .roles(count, 0, 1, 0)
        .into_iter()
        .map(|role| Role { subject: 1 + if own { role.subject * subjects } else { 0 }, subjects, ..role })
        .collect();
    let ((), server) = rig.spent(|rig| rig.enter(&roles).map(|_| ()))?;
    let (all, members, window) =
        if own { (count as u32 * subjects, 1, WINDOWS[0]) } else { (subjects, count, WINDOWS[1]) };
    rig.warm_up(1 + all)?; // each subject has an event
    let pace = Pace::Window(window);
    let drive = Drive { subjects: 1..1 + all, members: members as u64, payload: 128, pace, group: 0 };
    let measured = rig.measure(&[drive], bench.sizes.seconds)?;
    rig.rest(bench.sizes.quiet)?;
    let memory = each(rig.server.memory()?, empty, count);
    let name = format!("{kind}{subjects}");
    bench.set(format!("{name}.memory"), memory);
    bench.set(format!("{name}.enter"), server as f64 / 1e3 / count as f64);
    bench.set(format!("{name}.us"), measured.cost());
    bench.set(format!("{name}.rate"), measured.rate());
    bench.set(format!("{name}.load"), measured.load);
    bench.close(&rig);
    Ok(memory)
}

/// A server that has had one client, of subject 0, and an event, and its memory then: what everybody shares must not
/// count for the first ones.
fn ready(bench: &Bench<'_>) -> Outcome<(Rig, crate::usage::Memory)> {
    let mut rig = bench.rig()?;
    let first = rig.roles(1, 0, 1, 1);
    rig.enter(&first)?;
    rig.warm_up(1)?;
    rig.rest(bench.sizes.quiet / 3.0)?;
    let empty = rig.server.memory()?;
    Ok((rig, empty))
}
