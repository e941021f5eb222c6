//! Becomes another program, pinned to a core if one is named, and bound to the life of its parent: if that ends, however
//! it ends, this one is killed. A word of this program rather than code between `fork` and `exec`, which could not be safe.

use std::{os::unix::process::CommandExt as _, process::Command};

use rustix::{
    process::{Resource, Rlimit, Signal},
    thread::CpuSet,
};

use crate::failure::{Because as _, Failure, Outcome};

/// Never returns if all goes well.
pub fn launch(core: Option<usize>, program: &[String]) -> Outcome<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .because(|| "cannot ask to be killed with the parent".into())?;
    core.map_or(Ok(()), pin)?;
    raise_descriptors()?;
    let [name, arguments @ ..] = program else { return Err(Failure::new("launch: no program is named")) };
    Err(Failure::new(format!("cannot start {name}: {}", Command::new(name).args(arguments).exec())))
}

/// Keeps this thread, and those that it starts, on `core`.
pub fn pin(core: usize) -> Outcome<()> {
    let mut cores = CpuSet::new();
    cores.set(core);
    rustix::thread::sched_setaffinity(None, &cores)
        .because(|| format!("cannot run on core {core}: name others with --server-core and --load-core"))
}

/// Raises the limit of open files as far as it goes. Returns it.
pub fn raise_descriptors() -> Outcome<u64> {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let most = Rlimit { current: limit.maximum, maximum: limit.maximum };
    rustix::process::setrlimit(Resource::Nofile, most).because(|| "cannot raise the limit of open files".into())?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}
