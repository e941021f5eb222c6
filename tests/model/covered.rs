//! Patterns that come by the feed of a wider one, which is given up and taken again while events flow.

use std::collections::BTreeMap;

use notifier::{
    config::{Overflow, Size},
    hub::SubscribeOptions,
    proto::server_frame::Body,
    sync::let_a_while_pass,
};
use shuttle::future::{JoinHandle, block_on, spawn};
use tokio::sync::oneshot;

use crate::{
    explore::{a_while, holds},
    node::{Client, ENDLESS, Node, number},
};

/// Numbers of events on each subject: four times so many.
const PART: u64 = 2;
const LAST: u64 = 4 * PART + 1;

const SUBJECTS: [&str; 2] = ["news.a", "news.b"];

/// A client that gets each event of these subjects from some on, in order, and is told when the last ones are there.
struct Narrow {
    live: oneshot::Receiver<()>,
    done: JoinHandle<()>,
}

impl Narrow {
    fn new(node: &Node, pattern: &'static str, subjects: &'static [&'static str]) -> Self {
        let (tell, live) = oneshot::channel();
        let mut client = node.connect(usize::MAX - 1);
        client.join(pattern, SubscribeOptions::default());
        let done = spawn(async move {
            assert!(matches!(client.peer.next().await, Body::Subscribed(_)));
            tell.send(()).expect("awaited");
            let mut had = BTreeMap::new();
            while !subjects.iter().all(|subject| had.get(*subject) == Some(&LAST)) {
                let Body::Event(event) = client.peer.next().await else { panic!("no event") };
                assert!(subjects.contains(&event.subject.as_str()));
                let number = number(&event);
                if let Some(last) = had.insert(event.subject, number) {
                    assert_eq!(number, last + 1, "{pattern}");
                }
            }
            assert!(client.end().await.is_empty());
        });
        Self { live, done }
    }
}

async fn node() -> Node {
    Node::new(Size::kib(1024), ENDLESS, Overflow::Close).await
}

/// Publishes a part of the events, and waits until what all feeds bring of it was handed out.
async fn publish(node: &Node, witness: &mut Client, part: u64) {
    for number in part * PART + 1..=(part + 1) * PART {
        for subject in SUBJECTS {
            node.publish(subject, number).await;
        }
    }
    // An intake looks at the second when it is through with what came together with the first.
    for _ in 0..2 {
        node.publish("other", 0).await;
        assert!(matches!(witness.peer.next().await, Body::Event(_)));
    }
}

/// One who wants all, gives it up, and perhaps wants it again.
fn wide(node: &Node, mut client: Client, again: bool) -> JoinHandle<()> {
    let node = node.clone();
    spawn(async move {
        a_while(20).await;
        client.leave("news.>");
        if again {
            a_while(20).await;
            client.join("news.>", SubscribeOptions::default());
            a_while(20).await;
        }
        drop(client.end().await);
        drop(node);
    })
}

fn giving_up(again: bool, gone: bool, late: bool) {
    block_on(async move {
        let node = node().await;
        let mut witness = node.witness("other").await;
        let all = node.witness("news.>").await;
        let narrow = [
            Narrow::new(&node, "news.b", &["news.b"]),
            Narrow::new(&node, "news.*", &SUBJECTS),
            Narrow::new(&node, "news.a", &["news.a"]),
        ];
        let mut done = Vec::new();
        for Narrow { live, done: one } in narrow {
            live.await.expect("told");
            done.push(one);
        }
        // Somebody else who has the same, and goes.
        let other = gone.then(|| {
            let mut other = node.connect(usize::MAX - 1);
            other.join("*.a", SubscribeOptions::default());
            other.join("news.*", SubscribeOptions::default());
            spawn(async move {
                a_while(30).await;
                drop(other.end().await);
            })
        });
        let wide = wide(&node, all, again);
        for part in 0..4 {
            publish(&node, &mut witness, part).await;
            if late && part == 1 {
                let Narrow { live, done: one } = Narrow::new(&node, "news.a", &["news.a"]);
                live.await.expect("told");
                done.push(one);
            }
            // Time passes at any moment of what comes next.
            let_a_while_pass();
        }
        wide.await.expect("one who wants all");
        if let Some(other) = other {
            other.await.expect("another");
        }
        for subject in SUBJECTS {
            node.publish(subject, LAST).await;
        }
        for one in done {
            one.await.expect("a client");
        }
        assert!(witness.end().await.is_empty());
        node.end().await;
    });
}

#[test]
fn who_comes_by_a_wider_pattern_gets_each_event_once_when_that_is_given_up() {
    holds(|| giving_up(false, false, false));
}

#[test]
fn the_same_when_it_is_taken_again_and_given_up_again() {
    holds(|| giving_up(true, false, false));
}

#[test]
fn the_same_when_others_come_and_go_meanwhile() {
    holds(|| giving_up(true, true, true));
}

/// The pattern between the widest and the narrowest goes while it takes over from the widest.
fn one_by_one() {
    block_on(async {
        let node = node().await;
        let mut witness = node.witness("other").await;
        let all = node.witness("news.>").await;
        let mut between = node.witness("news.*").await;
        let Narrow { live, done } = Narrow::new(&node, "news.a", &["news.a"]);
        live.await.expect("told");
        let wide = wide(&node, all, false);
        let middle = spawn(async move {
            a_while(40).await;
            between.leave("news.*");
            drop(between.end().await);
        });
        for part in 0..4 {
            publish(&node, &mut witness, part).await;
            let_a_while_pass();
        }
        wide.await.expect("one who wants all");
        middle.await.expect("one between");
        node.publish("news.a", LAST).await;
        done.await.expect("a client");
        assert!(witness.end().await.is_empty());
        node.end().await;
    });
}

#[test]
fn two_hand_overs_one_after_the_other_lose_and_double_nothing() {
    holds(one_by_one);
}
