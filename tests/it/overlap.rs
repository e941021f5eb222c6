//! One delivery per connection, however many of its patterns match.

use serde_json::json;

use super::world::{NatsServer, TestNode};

/// Patterns of one connection, and how often an event on `o.a.b` must arrive.
const ROWS: &[(&[&str], usize)] = &[
    (&["o.a.b"], 1),
    (&["o.a.b", "o.a.b"], 1),
    (&["o.a.b", "o.a.*"], 1),
    (&["o.a.*", "o.a.b"], 1),
    (&["o.>", "o.a.b"], 1),
    (&["o.a.*", "o.*.b"], 1),
    (&["o.*.b", "o.a.*", "o.>", "o.a.b", "o.*.*", ">"], 1),
    (&["o.a.c", "o.a.*"], 1),
    (&["o.b.*", "o.*.c", "o.a.c"], 0),
];

#[tokio::test]
async fn an_event_arrives_once_however_many_patterns_match() {
    let nats = NatsServer::start().await;
    for node in [TestNode::nats(&nats).await, TestNode::memory().await] {
        for (patterns, times) in ROWS {
            let mut client = node.client().await;
            for pattern in *patterns {
                client.subscribe(pattern).await;
            }
            let mut probe = node.client().await;
            probe.subscribe("o.a.b").await;
            node.publish("o.a.b", "1").await;
            node.publish("o.a.b", "2").await;
            assert_eq!(probe.event().await.1, json!(1));
            assert_eq!(probe.event().await.1, json!(2));
            let expected: Vec<_> = [1, 2].iter().flat_map(|n| vec![json!(n); *times]).collect();
            let mut got = Vec::new();
            while got.len() < expected.len() {
                got.push(client.event().await.1);
            }
            // The probe's copy came through one feed; give the others their turn.
            let others = client.events_until_now().await;
            assert_eq!((got, others), (expected, vec![]), "{patterns:?}");
        }
    }
}

#[tokio::test]
async fn giving_up_one_of_two_patterns_leaves_the_other() {
    let node = TestNode::memory().await;
    let mut client = node.client().await;
    client.subscribe("o.>").await;
    client.subscribe("o.a").await;
    client.send(json!({"id": 2, "unsubscribe": {"subject": "o.>"}})).await;
    client.expect("unsubscribed").await;
    node.publish("o.a", "1").await;
    node.publish("o.b", "2").await;
    node.publish("o.a", "3").await;
    assert_eq!(client.event().await.1, json!(1));
    assert_eq!(client.event().await.1, json!(3));
}
