//! What a node tells its operators: whether it is ready, and its counters.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread::{self, JoinHandle, sleep},
    time::{Duration, Instant},
};

use crate::{
    failure::{Because as _, Failure, Outcome},
    process::Process,
};

/// How long a node may take to be ready: it may have to fill its window first.
const READY: Duration = Duration::from_secs(120);

/// How often it is asked meanwhile: often, because the time until then is measured,
/// and within the 200 requests a second that a node answers to one address.
const POLL: Duration = Duration::from_millis(6);

/// How often a scraper reads.
const SCRAPE: Duration = Duration::from_secs(1);

/// The metrics of a node at one moment.
#[derive(Debug)]
pub struct Metrics(String);

impl Metrics {
    /// Reads those of the node that answers operators at `internal`.
    pub fn of(internal: SocketAddr) -> Outcome<Self> {
        get(internal, "/metrics").map(Self)
    }

    /// The value of a series; `series` is its name with its labels, as it stands on the page.
    pub fn value(&self, series: &str) -> Outcome<f64> {
        self.0
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.trim().parse().ok())
            .ok_or_else(|| Failure::new(format!("the node has no metric {series}")))
    }

    /// The sum of a series over all its labels.
    pub fn sum(&self, series: &str) -> f64 {
        let values = self.0.lines().filter_map(|line| {
            let labels = line.strip_prefix(series)?.strip_prefix('{')?;
            labels.rsplit_once(' ')?.1.parse::<f64>().ok()
        });
        values.sum()
    }

    /// The value of a counter.
    pub fn counter(&self, series: &str) -> Outcome<u64> {
        self.value(series).map(|value| value as u64)
    }
}

/// Waits until `node`, which answers operators at `internal`, is ready.
pub fn await_ready(node: &mut Process, internal: SocketAddr) -> Outcome<()> {
    let deadline = Instant::now() + READY;
    while !get(internal, "/readyz").is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")) {
        node.check()?;
        if Instant::now() > deadline {
            return Err(Failure::new(format!("the node is not ready after {} s", READY.as_secs())));
        }
        sleep(POLL);
    }
    Ok(())
}

/// How many tasks the node at `internal` has.
pub fn tasks(internal: SocketAddr) -> Outcome<u64> {
    let cannot = || "the node does not tell its tasks".to_owned();
    let answer = get(internal, "/debug/state")?;
    let (_, body) = answer.split_once("\r\n\r\n").ok_or_else(|| Failure::new(cannot()))?;
    let state: serde_json::Value = serde_json::from_str(body).because(cannot)?;
    state["tasks"].as_u64().ok_or_else(|| Failure::new(cannot()))
}

/// Reads a node's metrics again and again, as a monitoring system does, on a thread of its own; on the clients' core,
/// where the thread that starts it is. Dropping it ends that.
#[derive(Debug)]
pub struct Scraper {
    thread: JoinHandle<Outcome<()>>,
    _stop: Sender<()>,
}

impl Scraper {
    /// Begins.
    pub fn start(internal: SocketAddr) -> Self {
        let (stop, stopped) = mpsc::channel();
        let thread = thread::spawn(move || {
            loop {
                Metrics::of(internal)?;
                if stopped.recv_timeout(SCRAPE) == Err(RecvTimeoutError::Disconnected) {
                    return Ok(());
                }
            }
        });
        Self { thread, _stop: stop }
    }

    /// Fails if there was nothing to read.
    pub fn check(&self) -> Outcome<()> {
        if self.thread.is_finished() { Err(Failure::new("the node's metrics could not be read")) } else { Ok(()) }
    }
}

fn get(internal: SocketAddr, path: &str) -> Outcome<String> {
    let cannot = || format!("cannot read {path} from the node");
    let mut socket = TcpStream::connect(internal).because(cannot)?;
    socket
        .write_all(format!("GET {path} HTTP/1.1\r\nHost: {internal}\r\nConnection: close\r\n\r\n").as_bytes())
        .because(cannot)?;
    let mut text = String::new();
    socket.read_to_string(&mut text).because(cannot)?;
    Ok(text)
}
