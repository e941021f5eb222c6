//! Two nodes, hundreds of clients (thousands in full size), wildcards mixed in:
//! everybody gets exactly what was asked for, once, in publish order per subject.

use std::{collections::HashMap, sync::Arc};

use futures_util::future::join_all;
use notifier::{
    client::Client,
    codec::Encoding,
    config::Config,
    proto::{Connect, Subscription, server_frame::Body},
    subject::{Pattern, Subject},
};

use super::world::{NatsServer, PATIENCE, TestNode, eventually, full_size};

const GROUPS: usize = 20;
const SUBJECTS: usize = 200;
/// Events between two waits for the nodes.
const PACE: usize = 500;

/// Subject number `n`: group, then place.
fn subject(n: usize) -> String {
    format!("count.g{}.s{n}", n % GROUPS)
}

/// What client number `n` asks for: mostly single subjects, some overlapping
/// wildcards, a few everything.
fn patterns(n: usize) -> Vec<String> {
    match n % 100 {
        0 => vec!["count.>".into()],
        1..=10 => vec![format!("count.g{}.*", n % GROUPS), subject(n % SUBJECTS)],
        11..=15 => vec![format!("count.*.s{}", n % SUBJECTS), format!("count.g{}.>", n % GROUPS)],
        _ => vec![subject(n % SUBJECTS), subject((n + 7) % SUBJECTS)],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_gets_exactly_what_was_asked_for_once_and_in_order() {
    let (clients, events) = if full_size() { (2_000, 10_000) } else { (500, 5_000) };
    let nats = NatsServer::start().await;
    // Not about slow readers: on a busy machine these clients are.
    let patient = |config: &mut Config| {
        config.limits.outbox_bytes = "64MiB".parse().expect("a size");
        config.limits.outbox_frames = events * 2;
    };
    let nodes = [TestNode::nats_with(&nats, patient).await, TestNode::nats_with(&nats, patient).await];
    let published: Arc<Vec<Subject>> =
        Arc::new((0..events).map(|n| Subject::parse(&subject(n * 31 % SUBJECTS)).expect("a subject")).collect());

    let mut receiving = Vec::new();
    for n in 0..clients {
        let asked = patterns(n);
        let subscriptions =
            asked.iter().map(|subject| Subscription { subject: subject.clone(), ..Subscription::default() }).collect();
        let connect = Connect { subscriptions, ..Connect::default() };
        let url = format!("ws://{}", nodes[n % 2].address);
        let (client, _) = Client::connect(&url, Encoding::OFFERED[n / 2 % 2], connect).await.expect("welcomed");
        let expected = expected(&asked, &published);
        receiving.push(tokio::spawn(receive(client, asked.len(), expected)));
    }
    let asked: usize = (0..clients).map(|n| patterns(n).len()).sum();
    eventually("all subscriptions", || async {
        let open = [nodes[0].metric("notifier_subscriptions").await, nodes[1].metric("notifier_subscriptions").await];
        open[0] + open[1] == asked as f64
    })
    .await;
    // A subscription counts when it is asked for; the patterns' feeds open after that.
    let mut probes = Vec::new();
    for node in &nodes {
        let mut probe = node.client().await;
        probe.subscribe("probe").await;
        probes.push(probe);
    }

    let service = nats.client().await;
    for (n, subject) in published.iter().enumerate() {
        service.publish(subject.as_str().to_owned(), n.to_string().into()).await.expect("published");
        if n % PACE == PACE - 1 {
            // NATS drops what a node does not take: no faster than both nodes read.
            service.publish("probe", "1".into()).await.expect("published");
            for probe in &mut probes {
                probe.event().await;
            }
        }
    }
    let received = tokio::time::timeout(PATIENCE * 6, join_all(receiving)).await.expect("all that is expected comes");
    let received: usize = received.into_iter().map(|client| client.expect("no client failed")).sum();
    let delivered =
        nodes[0].metric("notifier_deliveries_total").await + nodes[1].metric("notifier_deliveries_total").await;
    let probed = 2 * (events / PACE);
    assert_eq!(delivered, (received + probed) as f64, "the nodes count what the clients count");
    for node in &nodes {
        for reason in ["slow_consumer", "broker_overflow", "bad_subject"] {
            assert_eq!(node.metric(&format!("notifier_drops_total{{reason=\"{reason}\"}}")).await, 0.0, "{reason}");
        }
    }
}

/// The numbers of the events that match, per subject, in publish order.
fn expected(asked: &[String], published: &[Subject]) -> HashMap<String, Vec<usize>> {
    let patterns: Vec<Pattern> = asked.iter().map(|text| Pattern::parse(text).expect("a pattern")).collect();
    let mut expected: HashMap<String, Vec<usize>> = HashMap::new();
    for (n, subject) in published.iter().enumerate() {
        if patterns.iter().any(|pattern| pattern.matches(subject)) {
            expected.entry(subject.to_string()).or_default().push(n);
        }
    }
    expected
}

/// Reads until all that is expected has come; a further event would show as
/// an end that is not clean. Returns how many came.
async fn receive(mut client: Client, asked: usize, expected: HashMap<String, Vec<usize>>) -> usize {
    let total: usize = expected.values().map(Vec::len).sum();
    let mut got: HashMap<String, Vec<usize>> = HashMap::new();
    let (mut live, mut count) = (0, 0);
    while live < asked || count < total {
        match client.next().await.expect("an open connection").body {
            Some(Body::Subscribed(_)) => live += 1,
            Some(Body::Event(event)) => {
                let number = std::str::from_utf8(&event.data).expect("a number").parse().expect("a number");
                got.entry(event.subject).or_default().push(number);
                count += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(got, expected);
    count
}
