//! Leaving: every client is told, moved and closed; the process ends well.

use std::{process::Stdio, time::Duration};

use serde_json::json;
use tokio::{net::TcpStream, process::Command};

use super::world::{NatsServer, TestNode, Ws, eventually, free_address, soon};

#[tokio::test]
async fn clients_are_told_to_move_before_they_are_closed() {
    let mut node = TestNode::memory().await;
    let mut client = node.client().await;
    client.subscribe("a").await;
    node.leave();
    let goaway = client.expect("goaway").await;
    assert_eq!(goaway["goaway"], json!({"windowMs": 200, "reason": "draining"}));
    // Still served until it is closed.
    client.subscribe("b").await;
    let (code, reason, _) = client.closed().await;
    assert_eq!((code, reason.as_str()), (4001, "draining"));
    node.gone().await;
}

#[tokio::test]
async fn a_leaving_node_takes_nobody_in_and_says_so() {
    let mut node = TestNode::with(|config| config.drain.move_time = Duration::from_secs(5).into()).await;
    let mut client = node.client().await;
    assert_eq!(node.internal("/readyz").await.0, 200);
    node.leave();
    client.expect("goaway").await;
    let (status, body) = node.internal("/readyz").await;
    assert_eq!(status, 503);
    assert!(body.contains("leaving"), "{body}");
    assert_eq!(node.internal("/livez").await.0, 200);
    let address = node.address;
    eventually("a closed listener", || async move { TcpStream::connect(address).await.is_err() }).await;
    // The last one leaves, and nothing more is waited for.
    client.close().await;
    node.gone().await;
}

#[tokio::test]
async fn who_ignores_everything_is_cut_off_when_the_grace_period_ends() {
    let mut node = TestNode::with(|config| {
        config.drain.window = Duration::from_millis(10).into();
        config.drain.move_time = Duration::from_millis(10).into();
        config.drain.grace = Duration::from_millis(400).into();
    })
    .await;
    // It neither reads nor closes.
    let deaf = node.client().await;
    node.leave();
    node.gone().await;
    drop(deaf);
}

#[tokio::test]
async fn a_farewell_is_spread_over_the_window() {
    let mut node = TestNode::with(|config| {
        config.drain.window = Duration::from_millis(600).into();
        config.drain.move_time = Duration::from_millis(100).into();
    })
    .await;
    let mut clients = Vec::new();
    for _ in 0..100 {
        clients.push(node.client().await);
    }
    node.leave();
    let start = tokio::time::Instant::now();
    let told = clients.into_iter().map(|mut client| async move {
        client.expect("goaway").await;
        start.elapsed()
    });
    let mut times = futures_util::future::join_all(told).await;
    times.sort();
    assert!(times[99] - times[0] > Duration::from_millis(400), "{:?} to {:?}", times[0], times[99]);
    node.gone().await;
}

#[tokio::test]
async fn who_has_not_said_connect_yet_is_sent_away_at_once() {
    let mut node = TestNode::memory().await;
    let mut client = Ws::open(node.address).await;
    // Its session has begun when the node counts it.
    node.until_metric("notifier_connections", |count| count == 1.0).await;
    node.leave();
    let (code, _, frames) = client.closed().await;
    assert_eq!((code, frames.len()), (4001, 0));
    node.gone().await;
}

#[tokio::test]
async fn the_state_of_a_leaving_node_counts_who_is_left() {
    let mut node = TestNode::with(|config| config.drain.move_time = Duration::from_secs(5).into()).await;
    let mut client = node.client().await;
    node.leave();
    client.expect("goaway").await;
    let state = node.internal_json("/debug/state").await;
    assert_eq!((&state["connections"], &state["leaving"]), (&json!(1), &json!(true)));
    client.close().await;
    node.gone().await;
}

/// The binary itself, under load, stopped as Kubernetes stops it.
#[tokio::test]
async fn sigterm_under_load_ends_with_exit_code_0_and_every_client_told() {
    let nats = NatsServer::start().await;
    let (clients, internal) = (free_address(), free_address());
    let mut process = Command::new(env!("CARGO_BIN_EXE_notifier"))
        .args(["serve", "--anonymous", "--nats", &nats.url()])
        .args(["--listen", &clients, "--internal-listen", &internal])
        .env("NOTIFIER_DRAIN__WINDOW", "500ms")
        .env("NOTIFIER_DRAIN__MOVE_TIME", "500ms")
        .env("NOTIFIER_DRAIN__GRACE", "10s")
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("the binary runs");
    let address = clients.parse().expect("an address");
    eventually("a listening node", || async move { TcpStream::connect(address).await.is_ok() }).await;
    let mut all = Vec::new();
    for _ in 0..100 {
        let mut client = Ws::connected(address).await;
        client.subscribe("load.>").await;
        all.push(client);
    }
    let service = nats.client().await;
    let load = tokio::spawn(async move {
        for number in 0u64.. {
            service.publish("load.a", number.to_string().into()).await.expect("published");
            if number.is_multiple_of(5) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    });
    for client in &mut all {
        client.event().await;
    }
    let id = process.id().expect("it runs").to_string();
    let killed = Command::new("kill").args(["-TERM", &id]).status().await.expect("kill runs");
    assert!(killed.success());
    let ends = all.into_iter().map(|mut client| async move {
        let (code, reason, frames) = client.closed().await;
        assert_eq!((code, reason.as_str()), (4001, "draining"));
        assert!(frames.iter().any(|frame| frame.get("goaway").is_some()), "told before");
        let numbers: Vec<u64> = frames.iter().filter_map(|frame| frame["event"]["data"].as_u64()).collect();
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "in order, without holes, to the end");
    });
    futures_util::future::join_all(ends).await;
    load.abort();
    let status = soon("the end of the process", process.wait()).await.expect("a status");
    assert_eq!(status.code(), Some(0));
}
