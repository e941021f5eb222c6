//! Everything from one address, while others want in.

use std::net::Ipv4Addr;

use super::{accepts_failed, errors, refusal, upgrade};
use crate::{
    handshake::raw::{Neighbour, Raw, head},
    world::{TestNode, eventually},
};

const ONE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

#[tokio::test]
async fn an_address_that_takes_all_it_may_leaves_room_for_others() {
    let node = TestNode::with(|config| {
        config.limits.address_connections = 20;
        config.limits.connections = 40;
    })
    .await;
    let mut neighbour = Neighbour::of(&node).await;
    let mut held = Vec::new();
    for _ in 0..20 {
        held.push(upgrade(ONE, node.address, &[]).await);
    }
    for turn in 0..30 {
        let (_, answer) = upgrade(ONE, node.address, &[]).await;
        assert_eq!(refusal(&answer), (429, "address_limit".into()), "{turn}");
    }
    assert_eq!(node.metric(&accepts_failed("address_limit")).await, 30.0);
    assert_eq!(node.metric(&errors("address_limit")).await, 30.0);
    let (_other, answer) = upgrade(OTHER, node.address, &[]).await;
    assert_eq!(answer.status, 101);
    neighbour.is_served_by(&node).await;
    assert_eq!(node.internal("/readyz").await.0, 200);
    // What leaves makes room.
    drop(held);
    eventually("room for one more", || async { upgrade(ONE, node.address, &[]).await.1.status == 101 }).await;
}

#[tokio::test]
async fn an_address_that_comes_too_fast_is_told_to_wait_and_others_are_not() {
    let node = TestNode::with(|config| {
        config.limits.address_connections_per_second = 1;
        config.limits.address_connections_burst = 5;
    })
    .await;
    let mut refused = 0;
    for _ in 0..20 {
        let (_, answer) = upgrade(ONE, node.address, &[]).await;
        if answer.status != 101 {
            assert_eq!(refusal(&answer), (429, "rate_limited".into()));
            refused += 1;
        }
    }
    // Those that the average lets in again on a slow machine.
    assert!((1..=15).contains(&refused), "{refused}");
    assert_eq!(node.metric(&accepts_failed("address_rate")).await, f64::from(refused));
    assert_eq!(upgrade(OTHER, node.address, &[]).await.1.status, 101);
    eventually("its turn", || async { upgrade(ONE, node.address, &[]).await.1.status == 101 }).await;
}

#[tokio::test]
async fn a_storm_from_everywhere_is_taken_in_at_the_nodes_own_pace() {
    let node = TestNode::with(|config| {
        config.limits.connections_per_second = 1;
        config.limits.connections_burst = 10;
    })
    .await;
    let mut neighbour = node.client().await;
    let mut refused = 0;
    for last in 1..=40 {
        let (_, answer) = upgrade(Ipv4Addr::new(127, 0, 1, last), node.address, &[]).await;
        if answer.status != 101 {
            assert_eq!(refusal(&answer), (503, "overloaded".into()));
            refused += 1;
        }
    }
    assert!((1..=31).contains(&refused), "{refused}");
    assert_eq!(node.metric(&accepts_failed("connection_rate")).await, f64::from(refused));
    neighbour.subscribe("a").await;
    eventually("their turn", || async { upgrade(ONE, node.address, &[]).await.1.status == 101 }).await;
}

#[tokio::test]
async fn an_address_that_asks_too_often_over_http_is_told_to_wait() {
    let node = TestNode::with(|config| {
        config.limits.address_requests_per_second = 1;
        config.limits.address_requests_burst = 3;
    })
    .await;
    let mut raw = Raw::open_from(ONE, node.address).await;
    let mut statuses = Vec::new();
    for _ in 0..10 {
        raw.send(&head(&["GET /v1/nothing HTTP/1.1", "Host: a"])).await.expect("the node reads");
        let answer = raw.answer().await;
        statuses.push(answer.status);
        if answer.status != 404 {
            assert_eq!(refusal(&answer), (429, "rate_limited".into()));
        }
    }
    assert_eq!(statuses[..3], [404; 3]);
    assert!(statuses[3..].contains(&429), "{statuses:?}");
    assert!(node.metric(&errors("rate_limited")).await >= 1.0);
    // An upgrade is no such request, and another address has its own count.
    assert_eq!(upgrade(ONE, node.address, &[]).await.1.status, 101);
    node.publish("a", "1").await;
}
