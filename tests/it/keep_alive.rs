//! HTTP connections that are kept for a further request, as balancers keep them.

use std::{net::SocketAddr, time::Duration};

use tokio::time::{Instant, sleep};

use crate::{
    handshake::raw::{Answer, Raw, UPGRADE, head},
    world::{TestNode, soon},
};

/// For a request head.
const HEAD_TIME: Duration = Duration::from_millis(300);

const FAILED: &str = "notifier_accepts_failed_total{reason=\"handshake_time\"}";

async fn ask(raw: &mut Raw, lines: &[&str]) -> Answer {
    raw.send(&head(lines)).await.expect("the node reads");
    raw.answer().await
}

async fn get(raw: &mut Raw) -> Answer {
    ask(raw, &["GET /nowhere HTTP/1.1", "Host: a"]).await
}

/// Waits for longer than a node gives a head: another connection that says nothing ends.
async fn until_a_head_is_late(address: SocketAddr) {
    assert_eq!(Raw::open(address).await.rest().await, b"");
}

#[tokio::test]
async fn an_idle_connection_is_kept_for_longer_than_a_head_may_take() {
    let most = Duration::from_secs(2);
    let node = TestNode::with(|config| {
        config.limits.handshake_time = HEAD_TIME.into();
        config.limits.keep_alive_time = most.into();
        // Taken at once, so it has no say in how long a connection is idle.
        config.limits.answer_time = HEAD_TIME.into();
    })
    .await;
    let mut idle = Raw::open(node.address).await;
    let answer = get(&mut idle).await;
    assert_eq!((answer.header("connection"), answer.header("keep-alive")), (Some("keep-alive"), Some("timeout=2")));
    until_a_head_is_late(node.address).await;
    let start = Instant::now();
    assert_eq!(get(&mut idle).await.status, 404);
    assert_eq!(idle.rest().await, b"");
    assert!(start.elapsed() >= most, "{:?}", start.elapsed());
    // Only the one that said nothing: being idle is no fault.
    node.until_metric(FAILED, |count| count == 1.0).await;
    assert_eq!(node.metric("notifier_answers_given_up_total").await, 0.0);
}

#[tokio::test]
async fn a_head_on_a_kept_connection_has_no_more_time_than_a_first_one() {
    let node = TestNode::with(|config| config.limits.handshake_time = HEAD_TIME.into()).await;
    let mut dripping = Raw::open(node.address).await;
    assert_eq!(get(&mut dripping).await.header("keep-alive"), Some("timeout=75"));
    until_a_head_is_late(node.address).await;
    let drip = async {
        // Empty lines may stand in front of a request line.
        for byte in b"\r\n\r\nGET /nowhere HTTP/1.1\r\nX: ".iter().chain([b'x'].iter().cycle()) {
            if dripping.send(&[*byte]).await.is_err() {
                return;
            }
            sleep(HEAD_TIME / 20).await;
        }
    };
    soon("the end of what drips", drip).await;
    // Half of a head comes with the request before it, and nothing more.
    let mut half = Raw::open(node.address).await;
    half.send(b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\nGET /no").await.expect("the node reads");
    assert_eq!(half.answer().await.status, 404);
    assert_eq!(half.rest().await, b"");
    node.until_metric(FAILED, |count| count == 3.0).await;
}

#[tokio::test]
async fn only_a_connection_that_is_kept_is_said_to_be() {
    let node = TestNode::memory().await;
    let refused = [&UPGRADE[..2], &["Upgrade: websocket"]].concat();
    for lines in [&["GET / HTTP/1.1", "Host: a", "Connection: close"][..], &["GET / HTTP/1.0"], &refused] {
        let mut raw = Raw::open(node.address).await;
        let answer = ask(&mut raw, lines).await;
        assert_eq!(answer.header("keep-alive"), None, "{lines:?}");
        assert_eq!(raw.rest().await, b"", "{lines:?}");
    }
    let node = TestNode::with(|config| config.limits.keep_alive_time = Duration::ZERO.into()).await;
    let mut raw = Raw::open(node.address).await;
    let answer = get(&mut raw).await;
    assert_eq!((answer.header("connection"), answer.header("keep-alive")), (Some("close"), None));
    assert_eq!(raw.rest().await, b"");
}

#[tokio::test]
async fn operators_connections_are_kept_as_well() {
    let node = TestNode::memory().await;
    let mut raw = Raw::open(node.internal).await;
    for _ in 0..2 {
        let answer = ask(&mut raw, &["GET /livez HTTP/1.1", "Host: localhost"]).await;
        assert_eq!((answer.status, answer.header("keep-alive")), (200, Some("timeout=75")));
    }
}
