//! One client that changes between WebSocket, event stream and poll all the time, over two nodes
//! that are killed and drained, one after the other.

use std::time::{Duration, Instant};

use notifier_verify::judge::judge;
use tokio::time::sleep;

use super::{
    client::ChaosClient,
    network::Network,
    nodes::Node,
    patience::until,
    publisher::{Publisher, STREAM},
    run::{behind, logs},
    stored,
    subscription::Subscription,
    transport::{Habits, Transport},
    world::{World, turn},
};

/// Few enough that reading them all back takes seconds, however long the nodes need to start.
const EVENTS_PER_SECOND: u32 = 150;

/// Kills and drains that happened.
#[derive(Debug, Default)]
struct Ends {
    killed: u32,
    drained: u32,
}

/// Ends one node after the other while the client lives, until it has changed so often.
async fn end_nodes(nodes: &mut [Node], client: &ChaosClient, random: &mut fastrand::Rng, changes: u64) -> Ends {
    let mut ends = Ends::default();
    while client.state().switches < changes || ends.killed == 0 || ends.drained == 0 {
        sleep(Duration::from_millis(random.u64(100..800))).await;
        let node = &mut nodes[random.usize(..2)];
        if ends.killed <= ends.drained {
            node.kill().await;
            ends.killed += 1;
        } else {
            let (_, status) = node.leave().await;
            assert!(status.success(), "{status}");
            ends.drained += 1;
        }
        node.restart();
        node.until_ready().await;
        client.must_live();
    }
    ends
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_changes_its_transport_loses_nothing_while_nodes_are_killed_and_drained() {
    let changes = if std::env::var("TEST_SIZE").is_ok_and(|size| size == "full") { 1_000 } else { 50 };
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let _turn = turn().await;
    let mut world = World::of_one_broker(Network::loopback()).await;
    world.add_node(0).await;
    world.add_node(0).await;
    world.until_stream().await;
    let addresses: Vec<_> = world.nodes.iter().map(Node::clients).collect();
    let wanted = ["chaos.>", "chaos.g1.*", "chaos.g2.s2"].map(Subscription::new);
    let client =
        ChaosClient::start("it".into(), addresses, Habits::restless(), random.u64(..), wanted.into_iter().collect());
    until("a client that has begun", || async { client.state().has_reached(0).then_some(()) }).await;
    let publisher = Publisher::start(world.jetstream().clone(), random.u64(..), EVENTS_PER_SECOND);
    let begun = Instant::now();
    let ends = end_nodes(&mut world.nodes, &client, &mut random, changes).await;
    let took = begun.elapsed().as_secs_f64();
    let acknowledged = publisher.finish().await;
    let last = until("the stream", || world.jetstream().stream(STREAM)).await.last;
    let clients = [client];
    assert_eq!(behind(&clients, last).await, Vec::<String>::new());
    let stored = stored::read(world.jetstream(), STREAM, last).await;
    let mut verdict = judge(&stored, &acknowledged.ledger, &logs(&clients[0]));
    let state = clients[0].state();
    verdict.merge("it", &state.wrong);
    println!(
        "{} changes in {took:.1} s, {ends:?}, {} events stored\n{:?}\n{:?}\n{verdict}",
        state.switches,
        stored.count(),
        state.welcomes,
        state.ends
    );
    assert!(verdict.is_sound(), "{verdict}");
    assert!(state.switches >= changes && Transport::ALL.iter().all(|each| state.welcomes.contains_key(each.name())));
}
