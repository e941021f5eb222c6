//! Limits on who gets in, and what happens at them.

use std::{
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::Value;
use tokio::net::TcpStream;

use super::world::{TestNode, Ws, eventually, free_address, node::ask};

#[tokio::test]
async fn connections_above_the_limit_are_told_so_and_counted() {
    let node = TestNode::with(|config| config.limits.connections = 2).await;
    let (first, mut second) = (node.client().await, node.client().await);
    let answer = ask(node.address, Request::get("/v1/ws").body(Full::<Bytes>::default()).expect("a request")).await;
    assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].as_bytes()), (503, &b"1"[..]));
    let body: Value = serde_json::from_slice(answer.body()).expect("JSON");
    assert_eq!(body["error"]["code"], "connection_limit");
    assert!(node.metric("notifier_accepts_failed_total{reason=\"connection_limit\"}").await >= 1.0);
    assert_eq!(node.internal("/readyz").await.0, 503);
    second.subscribe("a").await;
    first.close().await;
    node.until_ready().await;
    node.client().await.subscribe("b").await;
}

/// A process of ours.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A node in a process of its own, so that it can run out of descriptors.
struct Serving {
    process: Process,
    address: SocketAddr,
    internal: SocketAddr,
}

impl Serving {
    /// On the embedded broker, behind some words of a shell.
    async fn begin(shell: &str) -> Self {
        let (clients, internal) = (free_address(), free_address());
        let command = format!(
            "{shell} exec {} serve --anonymous --listen {clients} --internal-listen {internal}",
            env!("CARGO_BIN_EXE_notifier")
        );
        let process = Command::new("sh")
            .args(["-c", &command])
            .env("NOTIFIER_BROKER__KIND", "memory")
            .env("NOTIFIER_LIMITS__HANDSHAKE_TIME", "1s")
            .stderr(Stdio::null())
            .spawn()
            .map(Process)
            .expect("the binary runs");
        let address = clients.parse().expect("an address");
        eventually("a listening node", || async move { TcpStream::connect(address).await.is_ok() }).await;
        Self { process, address, internal: internal.parse().expect("an address") }
    }

    /// How many connections it has failed to take in, by reason.
    async fn failures(&self, reason: &str) -> f64 {
        let request = Request::get("/metrics").body(Full::default()).expect("a request");
        let text = String::from_utf8(ask(self.internal, request).await.body().to_vec()).expect("text");
        let series = format!("notifier_accepts_failed_total{{reason=\"{reason}\"}}");
        let line = text.lines().find(|line| line.starts_with(&series));
        line.and_then(|line| line.rsplit(' ').next()).and_then(|n| n.parse().ok()).expect("a number")
    }

    /// Who is there goes on while so many others come, and a newcomer gets in afterwards.
    async fn survives(&self, others: usize) {
        let mut here = Ws::connected(self.address).await;
        here.subscribe("a").await;
        let mut crowd = Vec::new();
        for _ in 0..others {
            crowd.push(TcpStream::connect(self.address).await.expect("the kernel accepts"));
        }
        for name in ["b", "c", "d"] {
            here.subscribe(name).await;
        }
        drop(crowd);
        eventually("room", || async {
            let request = Request::get("/debug/state").body(Full::default()).expect("a request");
            let state = ask(self.internal, request).await;
            let state: Value = serde_json::from_slice(state.body()).expect("JSON");
            state["connections"] == 1
        })
        .await;
        let mut newcomer = Ws::connected(self.address).await;
        newcomer.subscribe("e").await;
    }
}

#[tokio::test]
async fn running_out_of_descriptors_harms_nobody_who_is_there() {
    let node = Serving::begin("").await;
    // It has looked how many it may have once somebody is in.
    Ws::connected(node.address).await.close().await;
    let few = Rlimit { current: Some(40), maximum: Some(40) };
    prlimit(Some(Pid::from_child(&node.process.0)), Resource::Nofile, few).expect("a child of ours");
    // Each takes a descriptor of the node; the kernel queues the rest.
    node.survives(60).await;
    let failures = node.failures("descriptors").await;
    // It paused between attempts instead of burning a core.
    assert!((1.0..100.0).contains(&failures), "{failures}");
}

#[tokio::test]
async fn clients_do_not_take_the_descriptors_that_a_node_needs_itself() {
    let node = Serving::begin("ulimit -n 250;").await;
    let request = Request::get("/debug/state").body(Full::default()).expect("a request");
    let state = ask(node.internal, request).await;
    let state: Value = serde_json::from_slice(state.body()).expect("JSON");
    let most = state["connectionsMost"].as_u64().expect("a number");
    assert!((20..120).contains(&most), "{most}");
    node.survives(200).await;
    assert!(node.failures("connection_limit").await >= 1.0);
    assert_eq!(node.failures("descriptors").await, 0.0);
}

#[tokio::test]
async fn a_log_that_nobody_reads_does_not_stop_the_service() {
    let (clients, internal) = (free_address(), free_address());
    let mut process = Command::new(env!("CARGO_BIN_EXE_notifier"))
        .args(["serve", "--anonymous", "--listen", &clients, "--internal-listen", &internal])
        .env("NOTIFIER_BROKER__KIND", "memory")
        .env("NOTIFIER_LOG__FILTER", "trace")
        .stderr(Stdio::piped())
        .spawn()
        .map(Process)
        .expect("the binary runs");
    // The reader of the pipe goes away.
    drop(process.0.stderr.take());
    let address = clients.parse().expect("an address");
    eventually("a listening node", || async move { TcpStream::connect(address).await.is_ok() }).await;
    for name in ["a", "b", "c"] {
        let mut client = Ws::connected(address).await;
        client.subscribe(name).await;
    }
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert!(process.0.try_wait().expect("a status").is_none(), "it still runs");
}
