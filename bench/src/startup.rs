//! How long a node takes from its start until it is ready, and how large its program is.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    failure::{Because as _, Failure, Outcome},
    line::Line,
    operator,
    process::{Process, free_addresses},
    rig::{Ground, empty_folder},
    settings,
    table::{self, Spread},
};

/// Measures and prints. `events`: those that a stream holds; `times`: starts of each kind.
pub fn run(ground: &Ground, events: u64, times: usize) -> Outcome<()> {
    let Ground { programs, load_core, scratch, .. } = ground;
    let [address] = free_addresses()?;
    let mut command = Command::new(&programs.nats_server);
    command.args(["-a", &address.ip().to_string(), "-p", &address.port().to_string(), "-js", "-sd"]);
    command.arg(empty_folder(scratch, "jetstream")?);
    let _nats = Process::start("nats-server", Some(*load_core), &command, scratch, address)?;
    let nats = format!("[auth]\nmode = \"anonymous\"\n\n[broker.nats]\nurls = [\"nats://{address}\"]\n");
    let kept = format!("{nats}{}", settings::stream("bench"));
    start(ground, &kept)?; // makes the stream
    Line::connect(address)?.store((0..events).map(|number| (format!("bench.{}", number % 1_000), number)))?;
    let memory = "[auth]\nmode = \"anonymous\"\n\n[broker]\nkind = \"memory\"\n";
    let mut rows = Vec::new();
    for (name, config) in [
        ("embedded broker".to_owned(), memory),
        ("NATS".to_owned(), &*nats),
        (format!("NATS, a stream with {events} events"), &*kept),
    ] {
        let seconds = (0..times).map(|_| start(ground, config).map(|time| time.as_secs_f64()));
        let Some(Spread { median, least, most }) = Spread::of(seconds.collect::<Outcome<_>>()?) else {
            return Err(Failure::new("--times must be at least 1"));
        };
        rows.push([name].into_iter().chain([median, least, most].map(|time| format!("{:.1}", time * 1e3))).collect());
    }
    let head = ["broker", "median, ms", "least", "most"].map(str::to_owned);
    print!("{}", table::grid("From the start of the process until it is ready", &head, &rows));
    let rows = [
        vec!["as built".to_owned(), megabytes(&programs.node)?],
        vec!["stripped".to_owned(), megabytes(&stripped(&programs.node, scratch)?)?],
    ];
    print!("{}", table::grid("Size of the program", &["", "MB"].map(str::to_owned), &rows));
    Ok(())
}

/// Starts a node, and kills it when it is ready. Returns how long that took.
fn start(ground: &Ground, config: &str) -> Outcome<Duration> {
    let Ground { programs, server_core, scratch, .. } = ground;
    let [listen, internal] = free_addresses()?;
    let file = scratch.join("startup.toml");
    std::fs::write(&file, config).because(|| format!("cannot write {}", file.display()))?;
    let mut command = Command::new(&programs.node);
    command.args(["serve", "--listen", &listen.to_string(), "--internal-listen", &internal.to_string(), "--config"]);
    command.arg(file);
    let begun = Instant::now();
    let mut node = Process::spawn("startup", Some(*server_core), &command, scratch)?;
    operator::await_ready(&mut node, internal)?;
    Ok(begun.elapsed())
}

/// A copy of the program without symbols and debugging information.
fn stripped(program: &Path, scratch: &Path) -> Outcome<PathBuf> {
    let copy = scratch.join("stripped");
    let cannot = || "cannot strip the program; `strip` is part of binutils".to_owned();
    let status = Command::new("strip").arg("-o").arg(&copy).arg(program).status().because(cannot)?;
    if status.success() { Ok(copy) } else { Err(Failure::new(cannot())) }
}

fn megabytes(file: &Path) -> Outcome<String> {
    let size = std::fs::metadata(file).because(|| format!("cannot look at {}", file.display()))?.len();
    Ok(format!("{:.1}", size as f64 / 1e6))
}
