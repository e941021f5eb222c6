//! A child process that does not outlive its owner.

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
};

use super::patience::until;

pub struct Process {
    name: String,
    child: Child,
}

impl Process {
    /// Starts it; what it says is appended to the log.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Self {
        let log = File::options().create(true).append(true).open(log).expect("room for a log");
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Self { name: name.to_owned(), child }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name: `STOP`, `CONT`, `TERM`.
    pub fn signal(&self, signal: &str) {
        let status = Command::new("kill").args(["-s", signal, &self.pid().to_string()]).status().expect("kill runs");
        assert!(status.success(), "kill -s {signal} {} ({})", self.pid(), self.name);
    }

    /// What the kernel says of it: `R` and `S` while it lives, `T` stopped.
    pub fn state(&self) -> Option<char> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).ok()?;
        // The name in parentheses may hold anything, so the state is counted from its end.
        stat.rsplit_once(')')?.1.trim_start().chars().next()
    }

    /// Kills it with SIGKILL; returns how it ended.
    pub fn kill(&mut self) -> ExitStatus {
        let _ = self.child.kill();
        self.child.wait().expect("a child of ours")
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        let child = &mut self.child;
        until(&what, || std::future::ready(child.try_wait().expect("a child of ours"))).await
    }

    /// Panics when it is gone: nobody killed it, so it has failed.
    pub fn must_live(&mut self) {
        if let Some(status) = self.child.try_wait().expect("a child of ours") {
            panic!("{} has ended by itself: {status}", self.name);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
