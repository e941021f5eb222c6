//! What a node tells its operators: whether it is ready, and its counters.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    thread::sleep,
    time::{Duration, Instant},
};

use crate::failure::{Because as _, Failure, Outcome};

/// How long a node may take to be ready: it may have to fill its window first.
const READY: Duration = Duration::from_secs(120);

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

    /// The value of a counter.
    pub fn counter(&self, series: &str) -> Outcome<u64> {
        self.value(series).map(|value| value as u64)
    }
}

/// Waits until the node at `internal` is ready.
pub fn await_ready(internal: SocketAddr) -> Outcome<()> {
    let deadline = Instant::now() + READY;
    while !get(internal, "/readyz").is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")) {
        if Instant::now() > deadline {
            return Err(Failure::new(format!("the node is not ready after {} s", READY.as_secs())));
        }
        sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn get(internal: SocketAddr, path: &str) -> Outcome<String> {
    let cannot = || format!("cannot read {path} from the node");
    let mut socket = TcpStream::connect(internal).because(cannot)?;
    socket
        .write_all(format!("GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n").as_bytes())
        .because(cannot)?;
    let mut text = String::new();
    socket.read_to_string(&mut text).because(cannot)?;
    Ok(text)
}
