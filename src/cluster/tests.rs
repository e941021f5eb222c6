//! Nodes on the bus of the embedded broker.

use serde::Deserialize;

use super::*;
use crate::{
    broker::{self, BusMessage},
    config::{BrokerKind, Config},
    tasks::Tasks,
};

/// How long an answer may take; only a failing test, or one of a silent node, waits for it.
const DEADLINE: Duration = Duration::from_millis(200);

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Word {
    word: String,
}

fn said(word: &str) -> Word {
    Word { word: word.into() }
}

struct World {
    bus: Arc<dyn Bus>,
    metrics: Arc<Metrics>,
}

impl World {
    async fn new() -> Self {
        let mut config = Config::default();
        config.broker.kind = BrokerKind::Memory;
        let metrics = Arc::new(Metrics::new().expect("metrics"));
        let (broker, _) = broker::connect(&config, &metrics, &Tasks::new(metrics.clone())).await.expect("a broker");
        Self { bus: broker.bus().clone(), metrics }
    }

    fn cluster(&self, node: &str) -> Arc<Cluster> {
        Arc::new(Cluster::new(node.into(), self.bus.clone(), self.metrics.clone()))
    }

    /// A node that listens.
    async fn listening(&self, node: &str) -> (Arc<Cluster>, ClusterSubscription) {
        let cluster = self.cluster(node);
        let subscription = cluster.listen().await.expect("the bus goes on");
        (cluster, subscription)
    }

    /// A node that answers each question with its name and the question.
    async fn answering(&self, node: &str) -> Arc<Cluster> {
        let (cluster, mut subscription) = self.listening(node).await;
        let answering = cluster.clone();
        let task = async move {
            while let Some(heard) = subscription.next::<Word>().await {
                if let Some(reply_to) = heard.reply_to {
                    answering.answer(&reply_to, &said(&format!("{} {}", answering.node(), heard.body.word))).await;
                }
            }
        };
        tokio::spawn(task);
        cluster
    }
}

/// Asks, and gives the answers in the order of their nodes.
async fn ask(cluster: &Cluster, responders: Responders) -> (Vec<(String, String)>, Gathered) {
    let mut answers = Vec::new();
    let gathered = cluster
        .request(&said("hi"), responders, DEADLINE, |node, answer: Word| answers.push((node, answer.word)))
        .await;
    answers.sort();
    (answers, gathered)
}

fn words(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter().map(|(node, word)| ((*node).into(), (*word).into())).collect()
}

const COMPLETE: Gathered = Gathered { reached: true, partial: false, missing: Vec::new(), echoed: false };

#[tokio::test]
async fn a_node_that_is_alone_is_answered_by_nobody_at_once() {
    let world = World::new().await;
    let (cluster, _subscription) = world.listening("a").await;
    assert!(cluster.is_alone());
    assert_eq!(ask(&cluster, Responders::AllAndUnknown).await, (Vec::new(), COMPLETE));
    assert!(world.metrics.render().contains("\nnotifier_cluster_nodes 1\n"));
}

#[tokio::test]
async fn what_one_node_says_all_others_hear_and_it_does_not() {
    let world = World::new().await;
    let (a, mut own) = world.listening("a").await;
    let (b, mut others) = world.listening("b").await;
    assert!(a.broadcast(&said("one")).await && b.broadcast(&said("two")).await);
    let heard = others.next::<Word>().await.expect("a message");
    assert_eq!((heard.body, heard.hello, heard.reply_to), (said("one"), false, None));
    assert_eq!(own.next::<Word>().await.expect("a message").body, said("two"));
}

#[tokio::test]
async fn a_request_is_complete_as_soon_as_all_have_answered() {
    let world = World::new().await;
    let (a, _own) = world.listening("a").await;
    let _b = world.answering("b").await;
    let _c = world.answering("c").await;
    for responders in [Responders::AllAndUnknown, Responders::All] {
        let begun = Instant::now();
        let (answers, gathered) = ask(&a, responders).await;
        assert_eq!(answers, words(&[("b", "b hi"), ("c", "c hi")]));
        assert_eq!(Gathered { echoed: false, ..gathered }, COMPLETE);
        assert!(begun.elapsed() < DEADLINE, "{:?}", begun.elapsed());
    }
    assert!(a.has_discovered());
    a.forget_discovery();
    assert!(!a.has_discovered());
}

#[tokio::test]
async fn a_request_that_a_known_node_does_not_answer_is_partial_at_the_deadline_and_names_the_node() {
    let world = World::new().await;
    let (a, mut own) = world.listening("a").await;
    let _b = world.answering("b").await;
    let (c, _listens_and_says_nothing) = world.listening("c").await;
    c.broadcast(&said("here")).await;
    own.next::<Word>().await.expect("a message");
    let begun = Instant::now();
    let (answers, gathered) = ask(&a, Responders::All).await;
    assert_eq!(answers, words(&[("b", "b hi")]));
    assert!(begun.elapsed() >= DEADLINE);
    assert!(gathered.reached && gathered.partial && gathered.missing == ["c"], "{gathered:?}");
    // Nobody is missed where only those answer who have something to say.
    assert!(!ask(&a, Responders::Any).await.1.partial);
}

#[tokio::test]
async fn a_request_that_a_node_does_not_answer_of_which_only_the_bus_knows_is_partial() {
    let world = World::new().await;
    let (a, _own) = world.listening("a").await;
    let (_b, _listens_and_says_nothing) = world.listening("b").await;
    let (answers, gathered) = ask(&a, Responders::All).await;
    assert!(answers.is_empty() && gathered.partial && gathered.missing.is_empty(), "{gathered:?}");
}

#[tokio::test]
async fn a_node_that_leaves_is_missed_by_nobody_and_says_nothing_more() {
    let world = World::new().await;
    let (a, mut own) = world.listening("a").await;
    let (b, theirs) = world.listening("b").await;
    b.broadcast(&said("here")).await;
    own.next::<Word>().await.expect("a message");
    assert!(world.metrics.render().contains("\nnotifier_cluster_nodes 2\n"));
    b.leave(&said("bye")).await;
    assert!(!b.broadcast(&said("too late")).await);
    b.answer("0", &said("too late")).await;
    drop(theirs);
    // Its last word stands before this one, and is told to nobody.
    let (c, _subscription) = world.listening("c").await;
    c.broadcast(&said("here")).await;
    assert_eq!(own.next::<Word>().await.expect("a message").body, said("here"));
    let (_, gathered) = ask(&a, Responders::All).await;
    assert!(gathered.partial && gathered.missing == ["c"], "{gathered:?}");
}

#[tokio::test]
async fn nodes_of_older_versions_are_counted_though_their_answers_do_not_say_whose_they_are() {
    let world = World::new().await;
    let (a, mut own) = world.listening("a").await;
    let mut older = world.bus.listen().await.expect("the bus goes on");
    let message = |text: &'static str| BusMessage { payload: text.into(), reply_to: None };
    let BusMessage { payload, reply_to } = message(r#"{"from":"0123456789abcdef","word":"older"}"#);
    world.bus.broadcast(payload, reply_to).await;
    assert_eq!(own.next::<Word>().await.expect("a message").body, said("older"));
    older.next().await.expect("its own message");
    assert!(ask(&a, Responders::All).await.1.partial);
    let asked = tokio::spawn({
        let a = a.clone();
        async move { ask(&a, Responders::All).await }
    });
    older.next().await.expect("the first question");
    let question = older.next().await.expect("a question");
    // It reads what it knows, and passes over the rest.
    let read: serde_json::Value = serde_json::from_slice(&question.payload).expect("JSON");
    assert!(read["from"].is_string() && read["word"] == "hi", "{read}");
    let inbox = question.reply_to.expect("an inbox");
    world.bus.answer(inbox, r#"{"node":"old","word":"yes"}"#.into()).await;
    let (answers, gathered) = asked.await.expect("an end");
    assert_eq!((answers, gathered.partial), (words(&[("old", "yes")]), false));
}

#[tokio::test]
async fn what_makes_no_sense_is_counted_and_harms_nobody() {
    let world = World::new().await;
    let (a, mut own) = world.listening("a").await;
    for text in ["", "[1]", r#"{"word":"nobody"}"#, r#"{"from":"1","other":1}"#] {
        world.bus.broadcast(text.into(), None).await;
    }
    let (b, _subscription) = world.listening("b").await;
    b.broadcast(&said("sense")).await;
    assert_eq!(own.next::<Word>().await.expect("a message").body, said("sense"));
    assert!(world.metrics.render().contains("notifier_control_messages_total{what=\"refused\"} 4\n"));
    // Of a later version perhaps: it lives, whatever it says.
    assert_eq!(ask(&a, Responders::All).await.1.missing, ["b"]);
}
