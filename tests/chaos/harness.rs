//! The world itself is tested: what it says it does to others has to happen.

use std::time::Duration;

use notifier_verify::judge::judge;
use serde_json::{Value, json};

use super::{
    client::ChaosClient,
    cluster::SERVERS,
    faults::{Lane, brokers::Brokers, edge::Edge},
    http,
    network::Network,
    nodes::Node,
    patience::until,
    publisher::{Publisher, STREAM},
    schedule::{Fault, Planned},
    stored,
    subscription::Subscription,
    transport::{Habits, Transport},
    world::{World, turn},
};

async fn world_with_stream(network: Network) -> World {
    let world = World::of_brokers(network).await;
    until("a stream", || async { world.jetstream().create(STREAM, &["chaos.>"]).await.ok() }).await;
    world.cluster.until_healthy(Some(STREAM)).await;
    world
}

fn planned(fault: Fault, luck: u64) -> Planned {
    Planned { fault, pause: Duration::ZERO, luck }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_acknowledged_survives_every_fault_of_the_brokers() {
    let _turn = turn().await;
    let mut world = world_with_stream(Network::best()).await;
    let can_cut = world.network.can_cut();
    let publisher = Publisher::start(world.jetstream().clone(), 1, 300);
    for fault in Fault::BROKER.iter().filter(|fault| can_cut || !fault.cuts()) {
        let before = publisher.acknowledged().ledger.count();
        let mut brokers = Brokers { cluster: &mut world.cluster };
        let outcome = brokers.inflict(&planned(*fault, 5)).await;
        println!("{fault:?}: {outcome:?}");
        assert!(outcome.is_ok(), "{fault:?}: {outcome:?}");
        let more = || async { (publisher.acknowledged().ledger.count() > before + 100).then_some(()) };
        until("events that are acknowledged again", more).await;
    }
    let acknowledged = publisher.finish().await;
    world.cluster.until_healthy(Some(STREAM)).await;
    let (_, state) = world.cluster.leader(STREAM).await;
    let ledger = stored::read(world.jetstream(), STREAM, state.last).await;
    let verdict = judge(&ledger, &acknowledged.ledger, &[]);
    assert!(verdict.is_sound(), "{verdict}");
    let (stored, promised, repeated) = (ledger.count(), acknowledged.ledger.count(), acknowledged.repeated);
    println!("{stored} stored, {promised} acknowledged, {repeated} attempts repeated");
    assert_eq!(stored as u64, state.last, "the stream has no holes");
    assert!(promised > 500, "{promised}");
}

/// Says nothing about delivery: only that nodes and clients are hit, and come back.
#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_the_edge_hits_and_is_healed() {
    let _turn = turn().await;
    let mut world = world_with_stream(Network::best()).await;
    for _ in 0..2 {
        world.add_node(0).await;
    }
    let nodes: Vec<_> = world.nodes.iter().map(Node::clients).collect();
    for number in 0..12 {
        let (name, all) = (format!("c{number}"), vec![Subscription::new("chaos.>")]);
        let habits = Habits::only(Transport::ALL[number % Transport::ALL.len()]);
        world.clients.push(ChaosClient::start(name, nodes.clone(), habits, number as u64, all));
    }
    let _publisher = Publisher::start(world.jetstream().clone(), 1, 400);
    let (can_cut, own_address) = (world.network.can_cut(), world.network.own_address());
    let servers: Vec<_> = world.cluster.servers().iter().map(|server| server.place.clone()).collect();
    for fault in Fault::EDGE.iter().filter(|fault| can_cut || !fault.cuts()) {
        let (nodes, clients) = (&mut world.nodes[..], &world.clients[..]);
        let mut edge = Edge { nodes, clients, servers: servers.clone(), own_address };
        let outcome = edge.inflict(&planned(*fault, 3)).await;
        println!("{fault:?}: {outcome:?}");
        assert!(outcome.is_ok(), "{fault:?}: {outcome:?}");
        for client in &world.clients {
            until("a client on a node", || async { client.node().map(drop) }).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_would_be_seen() {
    let _turn = turn().await;
    let world = world_with_stream(Network::loopback()).await;
    assert_eq!(world.cluster.consumers().await, 0);
    let consumer = json!({"stream_name": STREAM, "config": {"durable_name": "d", "ack_policy": "explicit"}});
    let create = format!("$JS.API.CONSUMER.DURABLE.CREATE.{STREAM}.d");
    until("a consumer", || async { world.jetstream().ask(&create, &consumer).await.ok() }).await;
    until("the consumer in monitoring", || async { (world.cluster.consumers().await > 0).then_some(()) }).await;
    assert_eq!(world.jetstream().consumers(STREAM).await, Some(1));
    world.jetstream().ask(&format!("$JS.API.CONSUMER.DELETE.{STREAM}.d"), &Value::Null).await.expect("it is there");
    until("no consumer in monitoring", || async { (world.cluster.consumers().await == 0).then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_is_a_cut_and_is_mended() {
    let _turn = turn().await;
    let network = Network::best();
    if !network.can_cut() {
        println!("SKIPPED: this machine allows no network namespaces");
        return;
    }
    let world = World::of_brokers(network).await;
    let [first, second, third] = [0, 1, 2].map(|number| &world.cluster.servers()[number]);
    let (from, to) = (first.place.namespace(), second.clients());
    assert!(from.reaches(to).await);

    second.place.namespace().unplug();
    assert!(!from.reaches(to).await, "the plug is out");
    assert!(!http::accepts(to).await, "for the test's own process too");
    assert!(from.reaches(third.clients()).await, "the others are still there");
    second.place.namespace().plug_in();
    until("a server that is back", || async { from.reaches(to).await.then_some(()) }).await;

    from.cut(second.place.address());
    assert!(!from.reaches(to).await, "its packets go nowhere");
    assert!(http::accepts(to).await, "others' do");
    from.mend(second.place.address());
    assert!(from.reaches(to).await);
    world.cluster.until_healthy(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_and_namespaces_end_with_their_world() {
    let _turn = turn().await;
    let world = World::of_brokers(Network::best()).await;
    let servers = world.cluster.servers();
    let pids: Vec<u32> = servers.iter().map(|server| server.process().pid()).collect();
    let ports: Vec<_> = servers.iter().map(super::cluster::Server::clients).collect();
    let interfaces = || std::fs::read_dir("/sys/class/net").expect("interfaces").count();
    let (can_cut, before) = (world.network.can_cut(), interfaces());
    drop(world);
    for pid in pids {
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "{pid} lives on");
    }
    if can_cut {
        // Nobody can be asked: without the bridge these addresses are somebody else's.
        let gone = SERVERS + 1;
        until("interfaces that are gone", || async { (interfaces() + gone <= before).then_some(()) }).await;
        return;
    }
    for port in ports {
        assert!(!http::accepts(port).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_killed_comes_back_where_it_was() {
    let _turn = turn().await;
    let mut world = World::of_brokers(Network::best()).await;
    world.add_node(0).await;
    let node = &mut world.nodes[0];
    assert!(http::accepts(node.clients()).await);
    let killed = node.kill().await;
    assert!(!http::accepts(node.clients()).await);
    let started = node.restart();
    node.until_ready().await;
    assert_ne!(killed, started);
    assert!(http::accepts(node.clients()).await);
    assert_eq!(node.metric("notifier_connections").await, Some(0.0));
    let (pid, status) = node.leave().await;
    assert_eq!((pid, status.code()), (started, Some(0)));
}
