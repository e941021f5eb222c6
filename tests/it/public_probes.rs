//! Probes on the clients' port, for balancers that can check no other.

use std::net::SocketAddr;

use notifier::config::BrokerKind;
use serde_json::json;

use super::{
    browsers::{asked, header},
    handshake::raw::Raw,
    world::{TestNode, eventually, free_address, node::config},
};

const LIVE: &str = "{\"live\":true}\n";
const READY: &str = "{\"ready\":true}\n";
const NOT_READY: &str = "{\"ready\":false}\n";

async fn node() -> TestNode {
    TestNode::with(|config| config.server.public_probes = true).await
}

/// Status and body of a path.
async fn probe(node: &TestNode, path: &str) -> (u16, String) {
    let answer = node.get(path).await;
    assert_eq!(header(&answer, "content-type"), Some("application/json"), "{path}");
    assert_eq!(header(&answer, "cache-control"), Some("no-store"), "{path}");
    (answer.status().as_u16(), String::from_utf8(answer.body().to_vec()).expect("text"))
}

#[tokio::test]
async fn a_node_that_is_well_says_so_and_nothing_else() {
    let node = node().await;
    node.until_ready().await;
    for (path, body) in [("/livez", LIVE), ("/readyz", READY), ("/", READY)] {
        assert_eq!(probe(&node, path).await, (200, body.into()), "{path}");
        let head = asked(&node, "HEAD", path, &[]).await;
        assert_eq!((head.status().as_u16(), head.body().len()), (200, 0), "{path}");
        assert_eq!(asked(&node, "POST", path, &[]).await.status(), 405, "{path}");
    }
    for path in ["/metrics", "/debug/state", "/admin/connections", "/livez/", "/readyz/a"] {
        assert_eq!(node.get(path).await.status(), 404, "{path}");
    }
}

#[tokio::test]
async fn the_live_page_stays_at_the_root() {
    let node = TestNode::with(|config| {
        config.server.public_probes = true;
        config.server.live_page = true;
    })
    .await;
    assert_eq!(header(&node.get("/").await, "content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(probe(&node, "/livez").await, (200, LIVE.into()));
}

#[tokio::test]
async fn a_node_that_waits_for_its_broker_is_not_ready_and_does_not_say_why() {
    let mut config = config();
    config.server.public_probes = true;
    config.broker.kind = BrokerKind::Nats;
    config.broker.nats.urls = vec![format!("nats://{}", free_address()).into()];
    let node = TestNode::start(config).await;
    let (status, told) = node.internal("/readyz").await;
    assert!(status == 503 && told.contains("not yet connected to the broker"), "{told}");
    for path in ["/readyz", "/"] {
        assert_eq!(probe(&node, path).await, (503, NOT_READY.into()), "{path}");
    }
    assert_eq!(probe(&node, "/livez").await, (200, LIVE.into()));
}

#[tokio::test]
async fn a_leaving_node_is_not_ready_but_lives() {
    let mut node = node().await;
    node.until_ready().await;
    let mut open = Vec::new();
    for path in ["/readyz", "/", "/livez"] {
        let mut raw = Raw::open(node.address).await;
        raw.send(format!("GET {path} HTTP/1.1\r\n").as_bytes()).await.expect("the node reads");
        open.push(raw);
    }
    eventually("three connections", || async { node.internal_json("/debug/state").await["connections"] == json!(3) })
        .await;
    node.leave();
    eventually("a drain", || async { node.internal("/readyz").await.0 == 503 }).await;
    for (raw, expected) in open.iter_mut().zip([(503, NOT_READY), (503, NOT_READY), (200, LIVE)]) {
        raw.send(b"Host: node.test\r\n\r\n").await.expect("the node reads");
        let answer = raw.answer().await;
        assert_eq!((answer.status, answer.body.as_str()), expected);
        assert_eq!(answer.header("connection"), Some("close"));
    }
    // To a balancer that opens a connection for each probe it says the same.
    assert!(refuses(node.address).await);
    node.gone().await;
}

/// Whether nobody listens there.
async fn refuses(address: SocketAddr) -> bool {
    tokio::net::TcpStream::connect(address).await.is_err()
}

#[tokio::test]
async fn a_probe_is_counted_for_its_address_like_any_request() {
    let node = TestNode::with(|config| {
        config.server.public_probes = true;
        config.limits.address_requests_per_second = 1;
        config.limits.address_requests_burst = 2;
    })
    .await;
    for (path, status) in [("/livez", 200), ("/livez", 200), ("/livez", 429), ("/readyz", 429)] {
        assert_eq!(node.get(path).await.status(), status, "{path}");
    }
}
