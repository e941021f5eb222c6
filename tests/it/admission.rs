//! Limits on who gets in, and what happens at them.

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
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

/// A node in a process of its own, so that it can run out of descriptors.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn running_out_of_descriptors_harms_nobody_who_is_there() {
    let (clients, internal) = (free_address(), free_address());
    let command = format!(
        "ulimit -n 40; exec {} serve --anonymous --listen {clients} --internal-listen {internal}",
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
    let mut here = Ws::connected(address).await;
    here.subscribe("a").await;
    // Each takes a descriptor of the node; the kernel queues the rest.
    let mut crowd = Vec::new();
    for _ in 0..60 {
        crowd.push(TcpStream::connect(address).await.expect("the kernel accepts"));
    }
    for name in ["b", "c", "d"] {
        here.subscribe(name).await;
    }
    drop(crowd);
    let mut newcomer = Ws::connected(address).await;
    newcomer.subscribe("e").await;
    let metrics =
        ask(internal.parse().expect("an address"), Request::get("/metrics").body(Full::default()).expect("a request"));
    let text = String::from_utf8(metrics.await.body().to_vec()).expect("text");
    let line = text.lines().find(|line| line.starts_with("notifier_accepts_failed_total{reason=\"descriptors\"}"));
    let failures: f64 = line.and_then(|line| line.rsplit(' ').next()).and_then(|n| n.parse().ok()).expect("a number");
    // It paused between attempts instead of burning a core.
    assert!((1.0..100.0).contains(&failures), "{failures}");
    drop(process);
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
