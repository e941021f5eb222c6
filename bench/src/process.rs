//! A server under test, or the nats-server that feeds it: started on its core, awaited, measured, killed at the end.

use std::{
    fs::File,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal};

use crate::{
    failure::{Because as _, Failure, Outcome},
    usage,
};

/// How long a server may take until it listens.
const START: Duration = Duration::from_secs(20);

/// A running program. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`, its output in a file in `scratch`, and waits until it listens at `address`. Without a `core` it
    /// may use all.
    pub fn start(
        name: &str,
        core: Option<usize>,
        command: &Command,
        scratch: &Path,
        address: SocketAddr,
    ) -> Outcome<Self> {
        let mut process = Self::spawn(name, core, command, scratch)?;
        process.await_port(address)?;
        Ok(process)
    }

    /// The same, and waits for nothing.
    pub fn spawn(name: &str, core: Option<usize>, command: &Command, scratch: &Path) -> Outcome<Self> {
        let log = scratch.join(format!("{name}.log"));
        let cannot = || format!("cannot start {name}");
        let output = File::create(&log).because(|| format!("cannot write {}", log.display()))?;
        let this = std::env::current_exe().because(cannot)?;
        let mut launch = Command::new(this);
        launch.arg("launch");
        if let Some(core) = core {
            launch.args(["--core", &core.to_string()]);
        }
        launch.arg("--").arg(command.get_program()).args(command.get_args());
        // A setting of whoever runs this must not reach the server.
        for (key, _) in std::env::vars_os().filter(|(key, _)| key.to_string_lossy().starts_with("NOTIFIER_")) {
            launch.env_remove(key);
        }
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => launch.env(key, value),
                None => launch.env_remove(key),
            };
        }
        launch.stdin(Stdio::null()).stdout(output.try_clone().because(cannot)?).stderr(output);
        let child = launch.spawn().because(cannot)?;
        Ok(Self { name: name.into(), child, log })
    }

    /// Waits until it listens at `address` too.
    pub fn await_port(&mut self, address: SocketAddr) -> Outcome<()> {
        let deadline = Instant::now() + START;
        while TcpStream::connect(address).is_err() {
            self.check()?;
            if Instant::now() > deadline {
                return Err(self.failure(&format!("does not listen at {address} after {} s", START.as_secs())));
            }
            sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Fails if the program has ended.
    pub fn check(&mut self) -> Outcome<()> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.failure(&format!("has ended with {status}"))),
            Err(error) => Err(self.failure(&format!("cannot be waited for: {error}"))),
        }
    }

    fn failure(&self, what: &str) -> Failure {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let last = log.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("nothing");
        Failure::new(format!("{} {what}; the last it said: {last}", self.name))
    }

    /// Sends it `signal`, and returns when it has gone.
    pub fn end(mut self, signal: Signal) -> Outcome<()> {
        let cannot = || format!("cannot end {}", self.name);
        rustix::process::kill_process(Pid::from_child(&self.child), signal).because(cannot)?;
        self.child.wait().because(|| format!("cannot wait for {}", self.name))?;
        Ok(())
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Nanoseconds of CPU that it has used.
    pub fn on_cpu(&self) -> Outcome<u64> {
        usage::on_cpu(self.pid())
    }

    /// Its memory.
    pub fn memory(&self) -> Outcome<usage::Memory> {
        usage::memory(self.pid())
    }

    /// Forgets the peak of its memory.
    pub fn forget_peak(&self) -> Outcome<()> {
        usage::forget_peak(self.pid())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Different addresses at which nobody listens.
pub fn free_addresses<const N: usize>() -> Outcome<[SocketAddr; N]> {
    let cannot = || "cannot find a free port".to_owned();
    let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); N];
    // Held until all are found, so that they differ.
    let mut held = Vec::new();
    for address in &mut addresses {
        let listener = TcpListener::bind(*address).because(cannot)?;
        *address = listener.local_addr().because(cannot)?;
        held.push(listener);
    }
    Ok(addresses)
}
