//! A run: clients, a publisher and faults at the same time, and at the end the
//! question whether everybody has exactly what was stored.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    convert::Infallible,
    env,
    net::SocketAddr,
    str::FromStr,
    sync::Arc,
    time::{Duration, Instant},
};

use notifier::proto::Position;
use notifier_verify::{
    judge::{Log, judge},
    ledger::Ledger,
    verdict::Verdict,
};
use tokio::time::sleep;

use super::{
    client::ChaosClient,
    faults::{brokers::Brokers, edge::Edge, inflict_all},
    jetstream::JetStream,
    network::Network,
    nodes::Node,
    patience::{PATIENCE, until, within},
    publisher::{Acknowledged, GROUPS, Publisher, STREAM, SUBJECTS_OF_A_GROUP, subject},
    report::{Diary, Table},
    schedule::{Fault, Schedule},
    stored,
    subscription::Subscription,
    transport::{Habits, Transport},
    world::World,
};

/// The second node loses each so many-th republished message.
const LOSES: u32 = 97;

/// What a run is asked for by the environment.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub seed: u64,
    pub seconds: u64,
    pub clients: usize,
    pub events_per_second: u32,
}

impl Settings {
    pub fn from_environment() -> Self {
        Self {
            seed: asked("CHAOS_SEED").unwrap_or_else(|| fastrand::u64(..1_000_000_000)),
            seconds: asked("CHAOS_SECONDS").unwrap_or(20),
            clients: asked("CHAOS_CLIENTS").unwrap_or(24),
            events_per_second: asked("CHAOS_RATE").unwrap_or(400),
        }
    }
}

fn asked<T: FromStr>(name: &str) -> Option<T> {
    let value = env::var(name).ok().filter(|value| !value.is_empty())?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is no number: {value}")))
}

/// Tells how to repeat a run that fails, whatever it fails of.
struct Repeat(Settings);

impl Drop for Repeat {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Settings { seed, seconds, clients, events_per_second } = self.0;
            println!(
                "to repeat the same faults: \
                 CHAOS_CLIENTS={clients} CHAOS_RATE={events_per_second} make chaos SEED={seed} SECONDS={seconds}"
            );
        }
    }
}

/// A run from which on every kind of fault has to hit.
const THOROUGH: Duration = Duration::from_secs(60);

/// Runs, reports, and panics when anything is wrong.
pub async fn run(settings: Settings) {
    println!("{settings:?}");
    let _repeat = Repeat(settings);
    let mut random = fastrand::Rng::with_seed(settings.seed);
    let mut world = World::of_brokers(Network::best()).await;
    world.add_node(0).await;
    world.add_node(LOSES).await;
    world.until_stream().await;
    let nodes: Vec<_> = world.nodes.iter().map(Node::clients).collect();
    for number in 0..settings.clients {
        let wanted = patterns(number).iter().map(|pattern| Subscription::new(pattern)).collect();
        let (name, seed) = (format!("c{number}"), random.u64(..));
        world.clients.push(ChaosClient::start(name, nodes.clone(), habits(number), seed, wanted));
    }
    for client in &world.clients {
        until(&format!("all subscriptions of {}", client.name), || async {
            let state = client.state();
            assert!(state.wrong.is_sound(), "{}, before any fault: {}", client.name, state.wrong);
            state.has_reached(0).then_some(())
        })
        .await;
    }
    let publisher = Publisher::start(world.jetstream().clone(), random.u64(..), settings.events_per_second);

    let diary = RefCell::new(Diary::new());
    let time = Duration::from_secs(settings.seconds);
    let (end, can_cut) = (Instant::now() + time, world.network.can_cut());
    let schedules = [Fault::BROKER, Fault::EDGE].map(|kinds| Schedule::new(random.u64(..), kinds, can_cut));
    let servers = world.cluster.servers().iter().map(|server| server.place.clone()).collect();
    let own_address = world.network.own_address();
    let most_consumers = Cell::new(0);
    let watched = watch_consumers(world.jetstream().clone(), &most_consumers);
    let World { clients, nodes: world_nodes, cluster, .. } = &mut world;
    let mut brokers = Brokers { cluster };
    let mut edge = Edge { nodes: world_nodes, clients, servers, own_address };
    let [at_brokers, at_edge] = schedules;
    let faults = async {
        tokio::join!(
            inflict_all(&mut brokers, at_brokers, end, &diary),
            inflict_all(&mut edge, at_edge, end, &diary),
            latecomers(clients, nodes, &mut random, time / 2),
        )
    };
    let latecomers = tokio::select! {
        ((), (), latecomers) = faults => latecomers,
        never = watched => match never {},
    };
    world.clients.extend(latecomers);

    let acknowledged = publisher.finish().await;
    // A copy that NATS has not brought up by then is NATS' affair: the leader tells what is stored.
    world.cluster.until_healthy(None).await;
    let (_, state) = world.cluster.leader(STREAM).await;
    let behind = behind(&world.clients, state.last).await;
    let stored = stored::read(world.jetstream(), STREAM, state.last).await;
    let logs: Vec<Log> = world.clients.iter().flat_map(logs).collect();
    let mut verdict = judge(&stored, &acknowledged.ledger, &logs);
    world.clients.iter().for_each(|client| verdict.merge(&client.name, &client.state().wrong));
    let evidence = Evidence {
        healed: world.nodes.iter().find(|node| node.loses() > 0).expect("one loses").healed().await,
        consumers: world.cluster.consumers().await.max(most_consumers.get()),
        verdict,
        behind,
        diary: diary.into_inner(),
        thorough: time >= THOROUGH,
    };
    evidence.report(&world.clients, &logs, &stored, &acknowledged);
    assert_eq!(evidence.failures(), Vec::<String>::new());
}

/// What a client is interested in: literals and wildcards, alone and
/// overlapping, little and everything.
fn patterns(number: usize) -> Vec<String> {
    let group = number / 6 % GROUPS;
    match number % 6 {
        0 => vec!["chaos.>".into()],
        1 => (0..SUBJECTS_OF_A_GROUP).map(|number| subject(group, number)).collect(),
        2 => vec![format!("chaos.g{group}.*"), subject(group, 1), subject((group + 1) % GROUPS, 2)],
        3 => vec!["chaos.*.s2".into(), "chaos.>".into(), subject(group, 2)],
        4 => vec![format!("chaos.g{group}.>"), "chaos.*.s1".into(), "chaos.*.*".into()],
        _ => vec![subject(group, 3)],
    }
}

/// Every kind of interest has clients of each transport, and some that change theirs with each
/// connection.
fn habits(number: usize) -> Habits {
    match Transport::ALL.get((number + number / 6) % (Transport::ALL.len() + 1)) {
        Some(transport) => Habits::only(*transport),
        None => Habits::any(),
    }
}

/// Clients that come in the middle and want what they have missed, all of it
/// or from somewhere on, as others saw it.
async fn latecomers(
    clients: &[ChaosClient],
    nodes: Vec<SocketAddr>,
    random: &mut fastrand::Rng,
    after: Duration,
) -> Vec<ChaosClient> {
    sleep(after).await;
    let seen: Vec<Position> =
        clients.iter().filter_map(|client| client.state().subscriptions[0].checked.rule.positions().pop()).collect();
    let mut latecomers = Vec::new();
    for number in 0..6 {
        let position = random.choice(&seen).expect("clients that are live").clone();
        let seq = if number < 2 { 0 } else { random.u64(..=position.seq) };
        let patterns = patterns(number);
        let wanted = patterns.iter().map(|pattern| Subscription::after(pattern, Position { seq, ..position.clone() }));
        let (name, seed) = (format!("late{number}"), random.u64(..));
        latecomers.push(ChaosClient::start(name, nodes.clone(), habits(number), seed, wanted.collect()));
    }
    latecomers
}

/// Looks again and again: a consumer that lives for a moment counts too.
async fn watch_consumers(jetstream: Arc<JetStream>, most: &Cell<u64>) -> Infallible {
    loop {
        most.set(most.get().max(jetstream.consumers(STREAM).await.unwrap_or_default()));
        sleep(Duration::from_millis(200)).await;
    }
}

/// Waits until everybody has everything; returns who has not.
pub async fn behind(clients: &[ChaosClient], last: u64) -> Vec<String> {
    let all = || async {
        clients.iter().for_each(ChaosClient::must_live);
        clients.iter().all(|client| client.state().has_reached(last)).then_some(())
    };
    if within(PATIENCE, all).await.is_some() {
        return Vec::new();
    }
    let mut behind = Vec::new();
    for client in clients {
        let state = client.state();
        for subscription in state.subscriptions.iter().filter(|subscription| !subscription.has_reached(last)) {
            let rule = &subscription.checked.rule;
            let (at, live) = (rule.reached(STREAM), rule.is_live());
            let (name, node, ends) = (&client.name, state.node, &state.ends);
            behind.push(format!(
                "{name} {}: at {at:?} of {last}, live: {live}, on node {node:?}, connections ended {ends:?}",
                subscription.pattern()
            ));
        }
    }
    behind
}

pub fn logs(client: &ChaosClient) -> Vec<Log> {
    client.state().subscriptions.iter().map(|subscription| subscription.log(&client.name)).collect()
}

/// What is known at the end.
struct Evidence {
    verdict: Verdict,
    behind: Vec<String>,
    healed: f64,
    consumers: u64,
    diary: Diary,
    /// Whether there was time to try each kind of fault until it hits.
    thorough: bool,
}

impl Evidence {
    fn report(&self, clients: &[ChaosClient], logs: &[Log], stored: &Ledger, acknowledged: &Acknowledged) {
        let [stored, promised] = [stored, &acknowledged.ledger].map(|ledger| ledger.count());
        let states: Vec<_> = clients.iter().map(ChaosClient::state).collect();
        let subscriptions = || states.iter().flat_map(|state| &state.subscriptions);
        let mut table = Table::default();
        table.row("events stored", stored);
        table.row("events acknowledged", promised);
        table.row("stored without acknowledgement", stored.saturating_sub(promised));
        table.row("publish attempts repeated", acknowledged.repeated);
        table.row("publish attempts that were duplicates", acknowledged.duplicates);
        table.row("clients", clients.len());
        table.row("subscriptions", logs.len());
        table.row("events delivered", logs.iter().map(|log| log.received.len()).sum::<usize>());
        table.row(
            "copies dropped by the rule",
            subscriptions().map(|subscription| subscription.duplicates).sum::<u64>(),
        );
        table.row("reconnects", states.iter().map(|state| state.all_welcomes().saturating_sub(1)).sum::<u64>());
        for transport in Transport::ALL {
            let welcomes = states.iter().filter_map(|state| state.welcomes.get(transport.name()));
            table.row(format!("connections by {}", transport.name()), welcomes.sum::<u64>());
        }
        let changed = states.iter().filter(|state| state.welcomes.len() > 1).map(|state| state.switches);
        table.row("changes of node or transport by who changes both", changed.sum::<u64>());
        let all = states.iter().filter(|state| state.takes_all());
        let silence = all.map(|state| state.longest_silence).max().unwrap_or_default();
        table.row("longest silence of who takes all", format!("{:.1} s", silence.as_secs_f64()));
        table.row("lost republished messages healed", self.healed);
        table.row("consumers in JetStream", self.consumers);
        for (fault, (hits, misses)) in self.diary.tally() {
            table.row(
                format!("{fault:?}"),
                if misses == 0 { format!("{hits}") } else { format!("{hits}, missed {misses}") },
            );
        }
        let mut ends = BTreeMap::<&String, u64>::new();
        for (end, count) in states.iter().flat_map(|state| &state.ends) {
            *ends.entry(end).or_default() += count;
        }
        for (end, count) in ends {
            table.row(format!("connections ended: {end}"), count);
        }
        println!("{table}{}", self.verdict);
    }

    fn failures(&self) -> Vec<String> {
        let mut failures: Vec<String> = self.behind.iter().map(|behind| format!("behind: {behind}")).collect();
        if !self.verdict.is_sound() {
            failures.push(format!("the verdict is\n{}", self.verdict));
        }
        if self.consumers > 0 {
            failures.push(format!("{} consumers exist; nobody may need one", self.consumers));
        }
        if self.healed == 0.0 {
            failures.push("no lost republished message was healed: was none lost?".into());
        }
        if self.thorough {
            failures.extend(self.diary.never_hit().iter().map(|fault| format!("{fault:?} never hit")));
        }
        failures.truncate(40);
        failures
    }
}
