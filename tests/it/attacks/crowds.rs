//! Many who do nothing.

use std::net::Ipv4Addr;

use futures_util::{StreamExt as _, stream};

use super::{Witness, accepts_failed};
use crate::{
    handshake::raw::Raw,
    world::{TestNode, eventually},
};

/// Connections, and the addresses they come from.
const CROWD: u16 = 2_000;
const ADDRESSES: u16 = 400;

#[tokio::test]
async fn a_crowd_from_many_addresses_that_says_nothing_is_cut_off_and_harms_nobody_else() {
    let node = TestNode::alone("[limits]\nhandshake_time = \"2s\"\naddress_connections = 100\n").await;
    let mut witness = Witness::of(&node).await;
    let attack = async {
        let silent = stream::iter(0..CROWD).map(|number| {
            let [high, low] = (number % ADDRESSES).to_be_bytes();
            Raw::open_from(Ipv4Addr::new(127, 1, high, low), node.address)
        });
        let silent: Vec<Raw> = silent.buffer_unordered(64).collect().await;
        node.until_metric(&accepts_failed("handshake_time"), |count| count == f64::from(CROWD)).await;
        for raw in silent {
            assert_eq!(raw.rest().await, b"");
        }
    };
    witness.sees("silence", attack).await;
    eventually("the end of all others", || async { node.internal_json("/debug/state").await["connections"] == 1 })
        .await;
}
