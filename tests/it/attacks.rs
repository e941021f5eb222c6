//! Attacks over real sockets. Each ends as documented, and leaves a
//! neighbour's latency and the node's memory alone.

mod addresses;
mod answers;
mod crowds;
mod floods;
mod idle;
mod input;
mod labels;
mod proxies;
mod slow;
mod users;

use std::{
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    handshake::raw::{Answer, Neighbour, Raw, UPGRADE, head},
    world::TestNode,
};

/// More memory than a node may come to hold by any of the attacks here. What
/// they send or ask for is a multiple of it.
const MEMORY: u64 = 64 << 20;

/// However busy the machine is: what takes longer was held up by the attack.
const LATENCY: Duration = Duration::from_secs(3);

/// A client of the same node, and what is usual there.
struct Witness<'n> {
    node: &'n TestNode,
    neighbour: Neighbour,
    usual: Duration,
    memory: u64,
}

impl<'n> Witness<'n> {
    async fn of(node: &'n TestNode) -> Self {
        let neighbour = Neighbour::of(node).await;
        let mut witness = Self { node, neighbour, usual: Duration::ZERO, memory: 0 };
        for _ in 0..20 {
            witness.usual = witness.usual.max(witness.round_trip().await);
        }
        witness.memory = node.most_memory();
        witness
    }

    async fn round_trip(&mut self) -> Duration {
        let start = Instant::now();
        self.neighbour.is_served_by(self.node).await;
        start.elapsed()
    }

    /// The result of the attack. Meanwhile the neighbour is served, and the
    /// node does not grow.
    async fn sees<T>(&mut self, name: &str, attack: impl Future<Output = T>) -> T {
        let mut attack = std::pin::pin!(attack);
        let mut slowest = Duration::ZERO;
        let result = loop {
            let round_trip = async { slowest = slowest.max(self.round_trip().await) };
            let mut round_trip = std::pin::pin!(round_trip);
            tokio::select! {
                result = &mut attack => {
                    // Whatever is on its way has to arrive.
                    round_trip.await;
                    break result;
                }
                () = &mut round_trip => {}
            }
        };
        slowest = slowest.max(self.round_trip().await);
        let bound = LATENCY + self.usual * 20;
        assert!(slowest < bound, "{name}: a round trip took {slowest:?}; before {:?}", self.usual);
        let grown = self.node.most_memory().saturating_sub(self.memory);
        assert!(grown < MEMORY, "{name}: the node has grown by {} MiB", grown >> 20);
        result
    }
}

/// Asks for an upgrade from an address of this machine, with further headers.
async fn upgrade(from: Ipv4Addr, node: SocketAddr, headers: &[&str]) -> (Raw, Answer) {
    let mut raw = Raw::open_from(from, node).await;
    let lines: Vec<&str> = UPGRADE.into_iter().chain(headers.iter().copied()).collect();
    // The node may have said no and gone already.
    let _ = raw.send(&head(&lines)).await;
    let answer = raw.answer().await;
    (raw, answer)
}

/// The status and code of a refusal, which says when to come again.
fn refusal(answer: &Answer) -> (u16, String) {
    assert_eq!(answer.header("retry-after"), Some("1"), "{answer:?}");
    let body: Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!(body["error"]["retryable"], true, "{body}");
    (answer.status, body["error"]["code"].as_str().expect("a code").to_owned())
}

fn accepts_failed(reason: &str) -> String {
    format!("notifier_accepts_failed_total{{reason=\"{reason}\"}}")
}

pub fn errors(code: &str) -> String {
    format!("notifier_errors_total{{code=\"{code}\"}}")
}
