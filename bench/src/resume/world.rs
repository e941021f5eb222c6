//! A nats-server with JetStream and the nodes on it, each a process that can be killed.

use std::{collections::BTreeMap, fmt::Write as _, net::SocketAddr, process::Command, time::Instant};

use crate::{
    failure::{Because as _, Outcome},
    line::Line,
    operator::{self, Metrics},
    process::{Process, free_addresses},
    rig::{Ground, empty_folder},
};

/// The stream.
pub(super) const STREAM: &str = "SHOP";

/// The kinds of question that a node counts.
pub(super) const KINDS: [&str; 6] = ["sequential", "subject", "newest", "since", "deleted", "state"];

/// nats-server, and how to start nodes.
#[derive(Debug)]
pub(super) struct World<'a> {
    ground: &'a Ground,
    pub(super) address: SocketAddr,
    nats: Process,
}

/// A node that runs. Dropping it kills it, with SIGKILL.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) process: Process,
    pub(super) listen: SocketAddr,
    pub(super) internal: SocketAddr,
    /// From the start of the process until it was ready, seconds.
    pub(super) ready: f64,
}

/// What has been used and asked up to now.
#[derive(Clone, Debug)]
pub(super) struct Bill {
    /// Seconds of CPU.
    pub(super) nats: f64,
    pub(super) node: f64,
    pub(super) replayed: u64,
    pub(super) requests: BTreeMap<&'static str, u64>,
}

impl<'a> World<'a> {
    pub(super) fn start(ground: &'a Ground) -> Outcome<Self> {
        let [address] = free_addresses()?;
        let mut command = Command::new(&ground.programs.nats_server);
        command.args(["-a", &address.ip().to_string(), "-p", &address.port().to_string(), "-js", "-sd"]);
        command.arg(empty_folder(&ground.scratch, "jetstream")?);
        let nats = Process::start("nats-server", Some(ground.load_core), &command, &ground.scratch, address)?;
        Ok(Self { ground, address, nats })
    }

    pub(super) fn line(&self) -> Outcome<Line> {
        Line::connect(self.address)
    }

    /// Starts a node and waits until it is ready. `window`: bytes in its memory, else its default.
    pub(super) fn node(&self, name: &str, window: Option<&str>) -> Outcome<Node> {
        let [listen, internal] = free_addresses()?;
        let mut config = format!(
            "[limits]\nreplay_events = 100000000\n\n\
             [[subjects]]\npattern = \"shop.>\"\ndelivery = \"durable\"\nstream = \"{STREAM}\"\n\n\
             [[streams]]\nname = \"{STREAM}\"\nsubjects = [\"shop.>\"]\n"
        );
        if let Some(bytes) = window {
            let _ = write!(config, "\n[streams.window]\nbytes = \"{bytes}\"\n");
        }
        let file = self.ground.scratch.join(format!("{name}.toml"));
        std::fs::write(&file, config).because(|| format!("cannot write {}", file.display()))?;
        let mut command = Command::new(&self.ground.programs.node);
        command.args(["serve", "--anonymous", "--nats", &format!("nats://{}", self.address), "--config"]).arg(file);
        command.args(["--listen", &listen.to_string(), "--internal-listen", &internal.to_string()]);
        let begun = Instant::now();
        let mut process = Process::start(name, Some(self.ground.server_core), &command, &self.ground.scratch, listen)?;
        operator::await_ready(&mut process, internal)?;
        Ok(Node { process, listen, internal, ready: begun.elapsed().as_secs_f64() })
    }

    /// What nats-server and these nodes have used and asked.
    pub(super) fn bill(&self, nodes: &[&Node]) -> Outcome<Bill> {
        let seconds = |nanos: u64| nanos as f64 / 1e9;
        let mut bill = Bill { nats: seconds(self.nats.on_cpu()?), node: 0.0, replayed: 0, requests: BTreeMap::new() };
        for node in nodes {
            bill.node += seconds(node.process.on_cpu()?);
            let metrics = Metrics::of(node.internal)?;
            bill.replayed += metrics.counter("notifier_replayed_total")?;
            for kind in KINDS {
                let series = format!("notifier_stream_requests_total{{kind=\"{kind}\"}}");
                *bill.requests.entry(kind).or_default() += metrics.counter(&series)?;
            }
        }
        Ok(bill)
    }
}

impl Bill {
    /// What has come onto it since an earlier one.
    pub(super) fn since(&self, before: &Self) -> Self {
        let requests = self.requests.iter().map(|(kind, count)| (*kind, count - before.requests[kind])).collect();
        Self {
            nats: self.nats - before.nats,
            node: self.node - before.node,
            replayed: self.replayed - before.replayed,
            requests,
        }
    }

    /// Questions that read events, in words; the others are asked whether anybody resumes or not.
    pub(super) fn reads(&self) -> String {
        let asked = |(kind, count): (&&str, &u64)| (*count > 0).then(|| format!("{count} {kind}"));
        let told: Vec<String> = self.requests.iter().filter_map(asked).collect();
        if told.is_empty() { "none".into() } else { told.join(", ") }
    }
}
