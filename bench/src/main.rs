//! The command: parse, run, exit code. 0: measured, nothing lost. 1: something went wrong, or a server did.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Parser as _;
use notifier_bench::{
    cli::{Cli, Cores, Resume, Run, Servers, Soak, Startup, Word},
    clock,
    failure::{Failure, Outcome},
    floor, intake, launch, naive,
    results::Results,
    resume::{self, Amounts},
    rig::{Ground, Scratch},
    scenario::{self, Sizes},
    sink, soak, startup,
    suite::Suite,
    svg, swarm, table,
    target::{self, Programs, Target},
};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.word {
        None => measure(cli.run),
        Some(Word::Report { file, svg }) => report(&file, svg.as_deref()).map(|()| true),
        Some(Word::Resume(how)) => resume(how),
        Some(Word::Soak(how)) => soak(how),
        Some(Word::Startup(how)) => startup(how).map(|()| true),
        Some(Word::Floor { place, batch }) => floor::serve(place.listen, place.nats, batch).map(|()| true),
        Some(Word::Naive { place }) => naive::serve(place.listen, place.nats).map(|()| true),
        Some(Word::Sink { place }) => sink::serve(place.listen, place.nats).map(|()| true),
        Some(Word::Intake { place }) => intake::serve(place.listen, place.nats).map(|()| true),
        Some(Word::Launch { core, program }) => launch::launch(core, &program).map(|()| true),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("notifier-bench: a server failed or harmed events; the lines above say which");
            ExitCode::FAILURE
        }
        Err(failure) => {
            eprintln!("notifier-bench: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn report(file: &Path, svg: Option<&Path>) -> Outcome<()> {
    let results = Results::read(file)?;
    print!("{}", table::markdown(&results));
    svg.map_or(Ok(()), |folder| svg::draw(&results, folder))
}

/// Returns whether everything went as it must.
fn resume(how: Resume) -> Outcome<bool> {
    let Resume { servers, clients, events, cores, quick } = how;
    let amounts = if quick { Amounts::quick() } else { Amounts::full(clients, events) };
    swarm::check_descriptors(amounts.clients + amounts.bystanders, launch::raise_descriptors()?)?;
    let scratch = Scratch::new()?;
    resume::run(&nodes(servers, cores, &scratch)?, &amounts)
}

fn startup(how: Startup) -> Outcome<()> {
    let Startup { servers, events, times, cores, quick } = how;
    let (events, times) = if quick { (1_000, 2) } else { (events, times) };
    let scratch = Scratch::new()?;
    startup::run(&nodes(servers, cores, &scratch)?, events, times)
}

/// The ground for nodes and a nats-server, each on a core of its own.
fn nodes(servers: Servers, cores: Cores, scratch: &Scratch) -> Outcome<Ground> {
    apart(cores)?;
    ground(servers, cores, scratch)
}

fn ground(servers: Servers, cores: Cores, scratch: &Scratch) -> Outcome<Ground> {
    let Servers { node, nats_server } = servers;
    let programs = Programs { node, nats_server, centrifugo: None, ws: PathBuf::new() };
    programs.check()?;
    Target::named("notifier", &programs)?.check(&programs)?;
    let Cores { server_core, load_core } = cores;
    Ok(Ground { programs, server_core, load_core, scratch: scratch.path().to_owned() })
}

/// Returns whether everything went as it must.
fn soak(how: Soak) -> Outcome<bool> {
    let Soak { servers, minutes, clients, seed, out, quick } = how;
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
    let course = if quick { soak::Course::quick(seed) } else { soak::Course::full(minutes, clients, seed) };
    swarm::check_descriptors(course.clients, launch::raise_descriptors()?)?;
    let scratch = Scratch::new()?;
    // Nothing is measured against anything here, so everybody may use all cores.
    soak::run(&ground(servers, Cores { server_core: 0, load_core: 0 }, &scratch)?, &course, &out)
}

/// Fails unless there are two cores; this program stays on the second one.
fn apart(Cores { server_core, load_core }: Cores) -> Outcome<()> {
    if server_core == load_core {
        return Err(Failure::new(
            "--server-core and --load-core must differ: the clients would take the server's time",
        ));
    }
    launch::pin(server_core)?;
    launch::pin(load_core)
}

/// Returns whether everything went as it must.
fn measure(run: Run) -> Outcome<bool> {
    let sizes = if run.quick { Sizes::quick() } else { Sizes::full(run.seconds) };
    let runs = if run.quick { 1 } else { run.runs };
    let limit = launch::raise_descriptors()?;
    swarm::check_descriptors(sizes.most_clients(), limit)?;
    apart(run.cores)?;
    let Servers { node, nats_server } = run.servers;
    let programs = Programs { node, nats_server, centrifugo: run.centrifugo, ws: run.ws };
    let mut names: Vec<&str> = run.targets.iter().map(String::as_str).collect();
    if names.is_empty() {
        names.extend(target::NAMES.iter().filter(|name| **name != "ws" || programs.ws_installed()));
        names.extend(programs.centrifugo.as_ref().map(|_| "centrifugo"));
    }
    let mut targets = names.iter().map(|name| Target::named(name, &programs)).collect::<Outcome<Vec<_>>>()?;
    for assignment in &run.compare {
        targets.push(Target::compared(assignment)?);
    }
    programs.check()?;
    for target in &targets {
        target.check(&programs)?;
    }
    let scenarios = if run.scenarios.is_empty() {
        scenario::ALL.to_vec()
    } else {
        run.scenarios.iter().map(|name| scenario::named(name)).collect::<Outcome<Vec<_>>>()?
    };
    let scratch = Scratch::new()?;
    let Cores { server_core, load_core } = run.cores;
    let ground = Ground { programs, server_core, load_core, scratch: scratch.path().to_owned() };
    let out = run.out.unwrap_or_else(default_out);
    let suite = Suite { ground, sizes, targets, scenarios, runs, out };
    let results = suite.run(machine(&sizes, server_core, load_core))?;
    print!("{}", table::markdown(&results));
    eprintln!("\nresults: {}", suite.out.display());
    Ok(results.sound())
}

fn default_out() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/results")).join(format!("{}.json", clock::date(clock::unix())))
}

/// Where and how it runs, for people.
fn machine(sizes: &Sizes, server_core: usize, load_core: usize) -> BTreeMap<String, String> {
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    BTreeMap::from([
        ("cpu".into(), cpu.trim_start_matches([' ', '\t', ':']).into()),
        ("kernel".into(), read("/proc/sys/kernel/osrelease").trim().into()),
        ("cores".into(), format!("server {server_core}, load {load_core}")),
        ("clients".into(), format!("{} on a small topic, {} on a large one", sizes.small, sizes.large)),
        ("seconds".into(), format!("{} for each measurement", sizes.seconds)),
    ])
}
