//! One server under test with all that it needs: a nats-server, clients, a publisher. And the one way of measuring.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::{
    certificate::Certificate,
    clock::{self, SECOND},
    drive::{Drive, Pace, Pump},
    failure::{Because as _, Failure, Outcome},
    feed::Feed,
    names::Names,
    operator::{self, Scraper},
    passes::Passes,
    process::{Process, free_addresses},
    settings::ISSUER_FILE,
    sink,
    swarm::{Opened, Role, Swarm, WINDOW, own_cpu},
    target::{Places, Programs, Server, Target},
    usage,
};

/// First token of all subjects.
const FIRST: &str = "bench";

/// After so long without a delivery, what is missing will not come.
const PATIENCE: u64 = 3 * SECOND;

/// How long the first delivery of a window may take: on a machine with other work the server may get no time at all.
const RAMP: u64 = 20 * SECOND;

/// How long a probe of each of many subjects may take, nanoseconds for one: the next ones would wait behind them.
const PROBE: u64 = 50_000;

/// How long to let nats-server work, which is on this core too, before looking at the publisher's socket again.
const SHORT: u64 = 200_000;

/// How the machine is shared.
#[derive(Clone, Debug)]
pub struct Ground {
    /// Where programs are.
    pub programs: Programs,
    /// The server's core.
    pub server_core: usize,
    /// The core of the clients and of the nats-server that feeds.
    pub load_core: usize,
    /// A folder for logs and configurations.
    pub scratch: PathBuf,
}

/// A running server, its clients and its publisher.
#[derive(Debug)]
pub struct Rig {
    /// The clients.
    pub swarm: Swarm,
    /// The publisher.
    pub feed: Feed,
    /// The server.
    pub server: Process,
    /// Where a node answers operators.
    pub internal: SocketAddr,
    /// The nats-server that feeds it.
    pub nats: SocketAddr,
    listen: SocketAddr,
    target: Target,
    feeder: Option<Process>,
    scraper: Option<Scraper>,
    /// Strangers' CPU in percent of a core, of each measurement.
    pub strangers: Vec<f64>,
}

/// What a measurement found.
#[derive(Debug)]
pub struct Measured {
    /// How long it took.
    pub seconds: f64,
    /// Nanoseconds of CPU of the server.
    pub server: u64,
    /// Deliveries by group.
    pub deliveries: [u64; 2],
    /// Quantiles of the latency in milliseconds by group: 0.5, 0.99, 0.999.
    pub latency: [[f64; 3]; 2],
    /// How busy the clients were, of 1.
    pub load: f64,
}

impl Measured {
    /// All deliveries.
    pub fn all(&self) -> u64 {
        self.deliveries.iter().sum()
    }

    /// Server CPU per delivery, microseconds.
    pub fn cost(&self) -> f64 {
        self.server as f64 / 1e3 / self.all() as f64
    }

    /// Deliveries per second.
    pub fn rate(&self) -> f64 {
        self.all() as f64 / self.seconds
    }
}

/// CPU clocks of everybody, read at one instant.
struct Reading {
    at: u64,
    server: u64,
    load: u64,
    nats: u64,
    machine: u64,
}

impl Rig {
    /// Starts everything but clients.
    pub fn start(ground: &Ground, target: &Target) -> Outcome<Self> {
        let Ground { programs, scratch, .. } = ground;
        let [nats_address, listen, internal] = free_addresses()?;
        let nats = if target.server == Server::Nats {
            None
        } else {
            let mut command = Command::new(&programs.nats_server);
            command.args(["-a", &nats_address.ip().to_string(), "-p", &nats_address.port().to_string()]);
            if target.has_streams() {
                command.arg("-js").arg("-sd").arg(empty_folder(scratch, "jetstream")?);
            }
            Some(Process::start("nats-server", Some(ground.load_core), &command, scratch, nats_address)?)
        };
        let passes =
            if target.full || target.hostile { Some(Passes::issue(&scratch.join(ISSUER_FILE))?) } else { None };
        let certificate = target.tls.then(|| Certificate::create(scratch)).transpose()?;
        let places =
            Places { programs, listen, internal, nats: nats_address, certificate: certificate.as_ref(), scratch };
        let command = target.command(&places)?;
        let mut server = Process::start(&target.name, Some(ground.server_core), &command, scratch, listen)?;
        if nats.is_none() {
            server.await_port(nats_address)?; // it opens one port after the other
        }
        if target.has_streams() {
            operator::await_ready(&mut server, internal)?; // until then it makes the stream
        }
        let names = if target.full { Names::wide(FIRST) } else { Names::plain(FIRST) };
        let feed = Feed::connect(nats_address, names)?;
        let swarm = Swarm::new(listen, names, passes, certificate.map(|certificate| certificate.client))?;
        let scraper = target.full.then(|| Scraper::start(internal));
        Ok(Self {
            swarm,
            feed,
            server,
            internal,
            nats: nats_address,
            listen,
            target: target.clone(),
            feeder: nats,
            scraper,
            strangers: Vec::new(),
        })
    }

    /// `count` clients, the first ones of subject `first`, `members` to each subject.
    pub fn roles(&self, count: usize, first: u32, members: usize, group: usize) -> Vec<Role> {
        let plug = self.target.plug;
        let role = |at| Role { plug, subject: first + (at / members) as u32, subjects: 1, group, narrow: false };
        (0..count).map(role).collect()
    }

    /// Where clients come.
    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Lets `roles` in and subscribes them.
    pub fn enter(&mut self, roles: &[Role]) -> Outcome<Opened> {
        let opened = self.swarm.open(roles, true, WINDOW);
        self.told(opened)
    }

    /// The outcome, or what the server's end has to do with its failure.
    pub fn told<T>(&mut self, outcome: Outcome<T>) -> Outcome<T> {
        outcome.map_err(|failure| self.server.check().err().unwrap_or(failure))
    }

    /// Sends events that count nowhere until everybody has received one: `subscribed` means different things elsewhere.
    pub fn warm_up(&mut self, subjects: u32) -> Outcome<()> {
        let deadline = clock::now() + 30 * SECOND;
        let mut pause = (SECOND / 4).max(u64::from(subjects) * PROBE);
        while !self.swarm.all_warm() {
            if clock::now() > deadline {
                return Err(Failure::new("some clients receive nothing although they are subscribed"));
            }
            self.server.check()?;
            self.feed.probe(0..subjects);
            let end = clock::now() + pause;
            while clock::now() < end && !self.swarm.all_warm() {
                self.feed.flush()?;
                self.swarm.turn(Duration::from_millis(5))?;
            }
            pause *= 2;
        }
        // What is still on its way must not count for what follows.
        self.rest(0.2)
    }

    /// Nothing is published for so long.
    pub fn rest(&mut self, seconds: f64) -> Outcome<()> {
        self.feed.attend()?;
        self.swarm.rest(clock::nanos(seconds))
    }

    /// Publishes as `drives` say for `seconds` and measures. Where a window drives, the measurement begins when the
    /// first window has been delivered and ends with the publishing: the server never runs dry in between. Otherwise it
    /// begins with the first event and ends with the last delivery. Where a window drives and nothing has been
    /// delivered after `seconds`, it goes on until something has been.
    pub fn measure(&mut self, drives: &[Drive], seconds: f64) -> Outcome<Measured> {
        let windowed = drives.iter().any(|drive| matches!(drive.pace, Pace::Window(_)));
        let start = self.deliveries();
        let mut pumps: Vec<Pump> = drives.iter().map(|drive| Pump::new(drive, start)).collect();
        self.feed.attend()?;
        if windowed {
            let deadline = clock::now() + RAMP;
            while !pumps.iter().all(|pump| pump.ramped(self.deliveries())) {
                self.pump(&mut pumps, deadline)?;
                if clock::now() > deadline {
                    self.server.check()?;
                    return Err(Failure::new(format!("the first events took longer than {} s", RAMP / SECOND)));
                }
            }
        }
        self.swarm.tally.record();
        let before = self.read()?;
        let counted = self.deliveries();
        let end = before.at + clock::nanos(seconds);
        let mut attended = before.at;
        loop {
            let now = clock::now();
            // A rate is of deliveries: there has to be one, however short the time is or little of it the server gets.
            let late = windowed && now < end + RAMP && self.deliveries() == counted;
            if now >= end && !late {
                break;
            }
            self.pump(&mut pumps, if late { now + SHORT } else { end })?;
            if clock::now() - attended > SECOND / 10 {
                attended = clock::now();
                self.feed.attend()?;
            }
        }
        let (after, deliveries) = if windowed {
            let measured = (self.read()?, self.deliveries());
            self.swarm.tally.stop_recording();
            self.drain(&pumps)?;
            measured
        } else {
            self.drain(&pumps)?;
            self.swarm.tally.stop_recording();
            (self.read()?, self.deliveries())
        };
        self.swarm.audit(&self.feed.published);
        self.server.check()?;
        self.scraper.as_ref().map_or(Ok(()), Scraper::check)?;
        self.conclude(&before, &after, std::array::from_fn(|group| deliveries[group] - counted[group]))
    }

    fn conclude(&mut self, before: &Reading, after: &Reading, deliveries: [u64; 2]) -> Outcome<Measured> {
        if deliveries.iter().sum::<u64>() == 0 {
            return Err(Failure::new("nothing was delivered"));
        }
        let server = self.strangers_between(before, after);
        let groups = &self.swarm.tally.groups;
        Ok(Measured {
            seconds: clock::seconds(after.at - before.at),
            server,
            deliveries,
            latency: std::array::from_fn(|group| [0.5, 0.99, 0.999].map(|q| groups[group].quantile(q))),
            load: (after.load - before.load) as f64 / (after.at - before.at) as f64,
        })
    }

    /// Notes what strangers used between two readings; returns what the server used.
    fn strangers_between(&mut self, before: &Reading, after: &Reading) -> u64 {
        let server = after.server.saturating_sub(before.server);
        let ours = server + (after.load - before.load) + after.nats.saturating_sub(before.nats);
        let strange = (after.machine - before.machine).saturating_sub(ours);
        self.strangers.push(100.0 * strange as f64 / (after.at - before.at).max(1) as f64);
        server
    }

    /// The server's CPU, nanoseconds, while `action` runs; strangers' CPU is noted.
    pub fn spent<T>(&mut self, action: impl FnOnce(&mut Self) -> Outcome<T>) -> Outcome<(T, u64)> {
        let before = self.read()?;
        let outcome = action(self);
        let outcome = self.told(outcome)?;
        let after = self.read()?;
        let server = self.strangers_between(&before, &after);
        Ok((outcome, server))
    }

    fn read(&self) -> Outcome<Reading> {
        Ok(Reading {
            at: clock::now(),
            server: self.server.on_cpu()?,
            load: own_cpu()?,
            nats: self.feeder.as_ref().map_or(Ok(0), Process::on_cpu)?,
            machine: usage::machine_busy()?,
        })
    }

    fn deliveries(&self) -> [u64; 2] {
        let mut deliveries: [u64; 2] = std::array::from_fn(|group| self.swarm.tally.groups[group].deliveries);
        deliveries[0] += self.feed.told; // a server without clients counts for itself
        deliveries
    }

    /// Publishes what is due and handles what has arrived, once.
    fn pump(&mut self, pumps: &mut [Pump], end: u64) -> Outcome<()> {
        let mut wake = end;
        let deliveries = self.deliveries();
        for pump in pumps {
            wake = wake.min(pump.publish(&mut self.feed, deliveries, end));
        }
        if !self.feed.flush()? || self.feed.listens {
            wake = clock::now() + SHORT; // the swarm does not wake us for the publisher's socket
        }
        if self.feed.listens {
            self.feed.attend()?;
        }
        self.swarm.turn(Duration::from_nanos(wake.saturating_sub(clock::now())))
    }

    /// Handles what arrives until everything has, or nothing comes any more.
    fn drain(&mut self, pumps: &[Pump]) -> Outcome<()> {
        let mut progress = clock::now();
        let mut seen = self.deliveries();
        // A server that counts for itself tells in steps, and never the last ones.
        let rest = if self.feed.listens { sink::STEP } else { 0 };
        while !pumps.iter().all(|pump| pump.outstanding(seen) <= rest) {
            let sent = self.feed.flush()?;
            if self.feed.listens {
                self.feed.attend()?;
            }
            self.swarm.turn(Duration::from_millis(if sent && !self.feed.listens { 50 } else { 1 }))?;
            let now = self.deliveries();
            if now != seen {
                seen = now;
                progress = clock::now();
            } else if clock::now() - progress > PATIENCE {
                break;
            }
        }
        Ok(())
    }
}

/// A folder in `scratch` that holds nothing of earlier servers.
pub fn empty_folder(scratch: &Path, name: &str) -> Outcome<PathBuf> {
    let folder = scratch.join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).because(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(folder)
}

/// A folder for a run's logs, removed at its end.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// A new folder in the system's place for temporary files.
    pub fn new() -> Outcome<Self> {
        let folder = std::env::temp_dir().join(format!("notifier-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder).because(|| format!("cannot create {}", folder.display()))?;
        Ok(Self(folder))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
