//! Behind proxies: whose address counts.

use std::net::Ipv4Addr;

use notifier::config::{Config, ForwardedHeader};

use super::{accepts_failed, errors, refusal, upgrade};
use crate::{
    handshake::raw::{Raw, head},
    world::{TestNode, eventually},
};

const PROXY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

fn behind_proxies(config: &mut Config) {
    config.server.trusted_proxies = vec!["127.0.0.8/29".parse().expect("a network")];
    config.limits.address_connections = 2;
}

#[tokio::test]
async fn behind_a_proxy_each_client_counts_for_itself() {
    let node = TestNode::with(behind_proxies).await;
    let mut held = Vec::new();
    for last in 1..=5 {
        let header = format!("X-Forwarded-For: 198.51.100.{last}");
        for _ in 0..2 {
            let (raw, answer) = upgrade(PROXY, node.address, &[&header]).await;
            assert_eq!(answer.status, 101, "{header}");
            held.push(raw);
        }
        let (_, answer) = upgrade(PROXY, node.address, &[&header]).await;
        assert_eq!(refusal(&answer), (429, "address_limit".into()), "{header}");
    }
    // What the client wrote before the proxy appended its address does not count.
    for header in ["X-Forwarded-For: 203.0.113.7, 198.51.100.1", "X-Forwarded-For: 198.51.100.1, 127.0.0.10"] {
        let (_, answer) = upgrade(PROXY, node.address, &[header]).await;
        assert_eq!(refusal(&answer), (429, "address_limit".into()), "{header}");
    }
    // Nor does the other header.
    let (_, answer) = upgrade(PROXY, node.address, &["X-Forwarded-For: 198.51.100.1", "Forwarded: for=1.1.1.1"]).await;
    assert_eq!(answer.status, 429);
    // These came as far as a request.
    assert_eq!(node.metric(&accepts_failed("address_limit")).await, 0.0);
    assert_eq!(node.metric(&errors("address_limit")).await, 8.0);
    drop(held);
    eventually("room for one more", || async {
        upgrade(PROXY, node.address, &["X-Forwarded-For: 198.51.100.1"]).await.1.status == 101
    })
    .await;
}

#[tokio::test]
async fn who_is_no_proxy_cannot_speak_for_others() {
    let node = TestNode::with(behind_proxies).await;
    let _held = [
        upgrade(STRANGER, node.address, &["X-Forwarded-For: 198.51.100.1"]).await,
        upgrade(STRANGER, node.address, &["X-Forwarded-For: 198.51.100.2"]).await,
    ];
    let (_, answer) = upgrade(STRANGER, node.address, &["X-Forwarded-For: 198.51.100.3"]).await;
    assert_eq!(refusal(&answer), (429, "address_limit".into()));
    // Before it could say anything.
    assert_eq!(node.metric(&accepts_failed("address_limit")).await, 1.0);
    // And it has taken nothing from those whom it named.
    assert_eq!(upgrade(PROXY, node.address, &["X-Forwarded-For: 198.51.100.1"]).await.1.status, 101);
}

#[tokio::test]
async fn the_standard_header_is_read_where_it_is_configured() {
    let node = TestNode::with(|config| {
        behind_proxies(config);
        config.server.forwarded_header = ForwardedHeader::Forwarded;
    })
    .await;
    let same = [
        "Forwarded: for=\"[2001:db8:1:2::7]:4711\";proto=https",
        "Forwarded: for=6.6.6.6, for=\"[2001:db8:1:2:9::8]\", for=127.0.0.10",
        "Forwarded: FOR=\"[2001:db8:1:2::9]\"; X-Forwarded-For=1.1.1.1",
    ];
    let mut answers = Vec::new();
    for header in same {
        answers.push(upgrade(PROXY, node.address, &[header]).await);
    }
    assert_eq!(answers.iter().map(|(_, answer)| answer.status).collect::<Vec<_>>(), [101, 101, 429]);
}

#[tokio::test]
async fn requests_on_one_connection_of_a_proxy_count_for_their_own_clients() {
    let node = TestNode::with(|config| {
        behind_proxies(config);
        config.limits.address_requests_per_second = 1;
        config.limits.address_requests_burst = 1;
    })
    .await;
    let mut raw = Raw::open_from(PROXY, node.address).await;
    for last in 1..=20 {
        let client = format!("X-Forwarded-For: 198.51.100.{last}");
        let mut statuses = Vec::new();
        for _ in 0..4 {
            raw.send(&head(&["GET /v1/nothing HTTP/1.1", "Host: a", &client])).await.expect("the node reads");
            statuses.push(raw.answer().await.status);
        }
        assert!(statuses[0] == 404 && statuses.contains(&429), "{client}: {statuses:?}");
    }
}
