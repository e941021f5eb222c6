//! Nodes know which others live: what one is asked for, all do, and the answer says when one is missing.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use notifier::config::BrokerKind;
use serde_json::{Value, json};

use super::{
    revocation::admin,
    world::{Cable, NatsServer, TestNode, node::config, soon},
};

/// How long an answer may take that some node does not give: the deadline, and what a busy machine adds.
const DEADLINE: Duration = Duration::from_secs(4);

const NODES: &str = "notifier_cluster_nodes";

async fn node(nats: &NatsServer, name: &str) -> TestNode {
    TestNode::nats_with(nats, |config| config.node.name = name.into()).await
}

/// Until a node knows of as many nodes, itself included.
async fn until_knows(node: &TestNode, nodes: f64) {
    node.until_metric(NODES, |count| count == nodes).await;
}

/// What a node says of all connections: the names of the nodes that answered, and the answer.
async fn ask(node: &TestNode) -> (Vec<String>, Value) {
    let begun = Instant::now();
    let answer = node.internal_json("/admin/connections").await;
    assert!(begun.elapsed() < DEADLINE, "{:?}", begun.elapsed());
    let name = |one: &Value| one["node"].as_str().expect("a name").to_owned();
    let mut nodes: Vec<_> = answer["nodes"].as_array().expect("a list").iter().map(name).collect();
    nodes.sort();
    (nodes, answer)
}

async fn is_complete(node: &TestNode, nodes: &[&str]) {
    let (answered, answer) = ask(node).await;
    assert!(answered == nodes && answer.get("partial").is_none() && answer.get("missing").is_none(), "{answer}");
}

async fn is_partial(node: &TestNode, nodes: &[&str], missing: &[&str]) {
    let (answered, answer) = ask(node).await;
    assert!(answered == nodes && answer["partial"] == true && answer["missing"] == json!(missing), "{answer}");
}

#[tokio::test]
async fn an_answer_of_all_nodes_is_complete_and_one_that_starts_is_known_at_once() {
    let nats = NatsServer::start().await;
    let (a, b) = (node(&nats, "a").await, node(&nats, "b").await);
    let c = node(&nats, "c").await;
    for node in [&a, &b, &c] {
        until_knows(node, 3.0).await;
    }
    for node in [&a, &b, &c] {
        is_complete(node, &["a", "b", "c"]).await;
    }
    let alone = TestNode::memory().await;
    assert_eq!(alone.metric(NODES).await, 1.0);
    let begun = Instant::now();
    let answer = alone.internal_json("/admin/connections").await;
    assert!(answer.get("partial").is_none() && begun.elapsed() < Duration::from_millis(400), "{answer}");
}

#[tokio::test]
async fn a_node_that_is_paused_is_missing_and_named_within_the_deadline() {
    let nats = NatsServer::start().await;
    let (a, c) = (node(&nats, "a").await, node(&nats, "c").await);
    let b = TestNode::process(&nats, "[node]\nname = \"b\"", &[]).await;
    until_knows(&a, 3.0).await;
    b.signal("STOP").await;
    is_partial(&a, &["a", "c"], &["b"]).await;
    let (status, answer) = admin(&a, "disconnect", json!({"user": "u42"})).await;
    assert!(status == 200 && answer["partial"] == true && answer["missing"] == json!(["b"]), "{answer}");
    b.signal("CONT").await;
    is_complete(&a, &["a", "b", "c"]).await;
    drop(c);
}

#[tokio::test]
async fn a_node_that_is_cut_off_is_missing_until_it_is_back() {
    let nats = NatsServer::start().await;
    let a = node(&nats, "a").await;
    let cable = Cable::to(nats.url().trim_start_matches("nats://")).await;
    let mut config = config();
    config.node.name = "b".into();
    config.broker.kind = BrokerKind::Nats;
    config.broker.nats.urls = vec![format!("nats://{}", cable.address).into()];
    let b = TestNode::start(config).await;
    b.until_ready().await;
    for node in [&a, &b] {
        until_knows(node, 2.0).await;
    }
    cable.plugged.send_replace(false);
    b.until_metric("notifier_broker_connected", |connected| connected == 0.0).await;
    is_partial(&a, &["a"], &["b"]).await;
    // It can reach nobody, and says so.
    is_partial(&b, &["b"], &["a"]).await;
    assert_eq!(ask(&b).await.1["broker"], "down");
    cable.plugged.send_replace(true);
    b.until_metric("notifier_broker_connected", |connected| connected == 1.0).await;
    is_complete(&b, &["a", "b"]).await;
    is_complete(&a, &["a", "b"]).await;
}

#[tokio::test]
async fn a_node_that_has_left_is_not_missed() {
    let nats = NatsServer::start().await;
    let (a, mut b) = (node(&nats, "a").await, node(&nats, "b").await);
    for node in [&a, &b] {
        until_knows(node, 2.0).await;
    }
    b.leave();
    b.gone().await;
    until_knows(&a, 1.0).await;
    is_complete(&a, &["a"]).await;
}

/// Nodes of before say `from` in messages and `node` in answers, and read nothing else beside a command.
#[tokio::test]
async fn a_node_of_an_older_version_understands_and_is_waited_for() {
    let nats = NatsServer::start().await;
    let (older, mut heard) = nats.listener("_ntf.control").await;
    let mut a = node(&nats, "a").await;
    let next = async |heard: &mut async_nats::Subscriber| {
        let message = soon("a message", heard.next()).await.expect("a message");
        let said: Value = serde_json::from_slice(&message.payload).expect("JSON");
        assert!(said["from"].as_str().is_some_and(|from| from.len() == 16), "{said}");
        (said, message.reply)
    };
    let (hello, reply) = next(&mut heard).await;
    assert!(hello["order"]["compare"]["digest"].is_u64() && reply.is_some(), "{hello}");
    let compare = json!({"from": "0123456789abcdef", "order": {"compare": {"digest": 0}}});
    older.publish("_ntf.control", compare.to_string().into()).await.expect("published");
    until_knows(&a, 2.0).await;
    is_partial(&a, &["a"], &[]).await;
    let asked = async {
        loop {
            let (said, reply) = next(&mut heard).await;
            if said["order"]["list"].is_object() {
                break reply.expect("an inbox");
            }
        }
    };
    // The question that nobody answered.
    asked.await;
    let answered = async {
        loop {
            let (said, reply) = next(&mut heard).await;
            if said["order"]["list"].is_object() {
                let answer = json!({"node": "old", "connections": 7}).to_string();
                older.publish(reply.expect("an inbox"), answer.into()).await.expect("published");
                break;
            }
        }
    };
    let ((nodes, answer), ()) = tokio::join!(ask(&a), answered);
    assert!(nodes == ["a", "old"] && answer["connections"] == 7 && answer.get("partial").is_none(), "{answer}");
    // Its last word is a command that older nodes know.
    a.leave();
    let bye = async {
        loop {
            let (said, _) = next(&mut heard).await;
            if said["leaving"] == true {
                break said;
            }
        }
    };
    assert!(bye.await["order"]["compare"]["digest"].is_u64());
    a.gone().await;
}
