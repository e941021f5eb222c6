//! Newest values on their way to who has no room for all of them: never back, and the last one comes.

use notifier::{
    config::{Overflow, Size},
    hub::SubscribeOptions,
    proto::server_frame::Body,
};
use shuttle::future::{block_on, spawn};

use crate::{
    explore::{a_while, any, holds},
    node::{Node, SHORT, number},
};

/// Bytes that a socket takes at once, at most: less than an event.
const SOCKET: usize = 60;

/// The last value.
const LAST: u64 = 8;

fn lagging() {
    block_on(async {
        let node = Node::new(if any(2) == 0 { Size::kib(1024) } else { Size::from(0) }, SHORT, Overflow::Close).await;
        let mut client = node.connect(SOCKET);
        client.join("state.>", SubscribeOptions::default());
        while !matches!(client.peer.next().await, Body::Subscribed(_)) {}
        let mut witness = node.witness("state.>").await;
        // One by one, and nobody reads them: there is no room for the last one.
        for number in 1..=LAST / 2 {
            node.publish("state.a", number).await;
            assert!(matches!(witness.peer.frame().await, Some(Body::Event(_))));
        }
        let published = {
            let node = node.clone();
            spawn(async move {
                for number in LAST / 2 + 1..=LAST {
                    a_while(20).await;
                    node.publish("state.a", number).await;
                }
            })
        };
        let mut last = 0;
        while last < LAST {
            let Body::Event(event) = client.peer.next().await else { panic!("no event") };
            assert!(number(&event) > last, "{} behind {last}", number(&event));
            last = number(&event);
        }
        published.await.expect("a publisher");
        assert!(client.end().await.is_empty());
        witness.end().await;
        node.end().await;
    });
}

#[test]
fn who_lags_skips_values_that_are_superseded_and_gets_the_last() {
    holds(lagging);
}
