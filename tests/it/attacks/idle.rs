//! Connections that want nothing, where that is limited.

use std::time::Duration;

use serde_json::json;

use crate::world::{TestNode, Ws};

#[tokio::test]
async fn who_wants_nothing_for_the_idle_time_is_closed_with_4020() {
    let node = TestNode::with(|config| {
        config.server.heartbeat = Duration::from_millis(200).into();
        config.limits.idle_time = Duration::from_millis(800).into();
    })
    .await;
    // A pong, in whatever form, is no wish.
    let mut idle = node.client().await;
    let mut gave_up = node.client().await;
    gave_up.subscribe("a").await;
    let mut subscribed = node.client().await;
    subscribed.subscribe("a").await;
    let mut publishes = node.client().await;
    gave_up.send(json!({"id": 2, "unsubscribe": {"subject": "a"}})).await;
    let both = async { tokio::join!(end_of_a_listener(&mut idle), end_of_a_listener(&mut gave_up)) };
    let busy = async {
        loop {
            a_round(&mut subscribed, &mut publishes).await;
        }
    };
    let ends = tokio::select! {
        ends = both => ends,
        () = busy => unreachable!("it goes on for ever"),
    };
    let end = (4020, "idle".to_owned());
    assert_eq!(ends, (end.clone(), end));
    // Longer than anybody may be idle.
    for _ in 0..6 {
        a_round(&mut subscribed, &mut publishes).await;
    }
    publishes.subscribe("b").await;
    subscribed.subscribe("b").await;
    drop((idle, gave_up));
    node.until_metric("notifier_connections_closed_total{reason=\"idle\"}", |count| count == 2.0).await;
}

/// From one heartbeat to the next: one waits for events, the other publishes some.
async fn a_round(subscribed: &mut Ws, publishes: &mut Ws) {
    subscribed.ping().await;
    subscribed.send(json!({"pong": {}})).await;
    publishes.send(json!({"publish": {"subject": "b", "event": {"data": 1}}})).await;
}

/// Answers pings until the node closes the connection.
async fn end_of_a_listener(client: &mut Ws) -> (u16, String) {
    loop {
        match client.try_ping().await {
            Ok(()) => client.send(json!({"pong": {}})).await,
            Err(close) => return close,
        }
    }
}
