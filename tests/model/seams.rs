//! The narrow moments, each with as few steps around it as can be: what takes two switches at certain places is found
//! in a short run, and hardly ever in a long one.

use std::ops::RangeInclusive;

use notifier::{
    config::{Overflow, Size},
    hub::{PositionHandle, SubscribeOptions},
    proto::server_frame::Body,
};
use shuttle::future::{JoinHandle, block_on, spawn};

use crate::{
    explore::{a_while, holds_in_many},
    node::{Client, ENDLESS, MANY, Node, SHORT, mark, number},
    progress::Progress,
};

/// Bytes and frames that may wait for one client who is to lag: one event.
const TINY: (usize, usize) = (100, 1);

/// Bytes that its socket takes at once, at most.
const SOCKET: usize = 60;

/// Bytes that the socket of one who never lags takes at once, at most.
const ALL: usize = 100_000;

/// A node whose stream is known.
async fn node(queue: (usize, usize)) -> Node {
    let node = Node::new(Size::kib(1024), queue, Overflow::Close).await;
    node.ready().await;
    node
}

/// A client who has joined the stream at its beginning, and whose socket takes so many bytes at once, at most.
async fn follower(node: &Node, socket: usize) -> (Client, Progress) {
    let mut client = node.connect(socket);
    let mut progress = Progress::after(0);
    client.join("shop.>", SubscribeOptions::default());
    while !progress.live {
        progress.take(&client.peer.next().await);
    }
    (client, progress)
}

/// Publishes events, each after a while.
fn publish(node: &Node, subject: &'static str, numbers: RangeInclusive<u64>, between: usize) -> JoinHandle<()> {
    let node = node.clone();
    spawn(async move {
        for number in numbers {
            a_while(between).await;
            node.publish(subject, number).await;
        }
    })
}

/// Reads up to an event.
async fn read(client: &mut Client, progress: &mut Progress, last: u64) {
    while progress.at < Some(last) {
        progress.take(&client.peer.next().await);
    }
}

fn told() {
    block_on(async {
        let node = node(ENDLESS).await;
        let (mut client, mut progress) = follower(&node, ALL).await;
        let published = publish(&node, "shop.a", 1..=2, 1);
        node.beat(&client.outbox, &client.attachment.position_handle());
        read(&mut client, &mut progress, 2).await;
        published.await.expect("a publisher");
        client.end().await.iter().for_each(|frame| progress.take(frame));
        node.end().await;
    });
}

#[test]
fn a_checkpoint_speaks_of_no_event_that_is_still_handed_out() {
    holds_in_many(told);
}

/// Publishes some events one by one: each is handed out, to this follower as to all, before the next one comes.
async fn one_by_one(node: &Node, follower: &PositionHandle, subject: &str, events: u64) {
    for number in 1..=events {
        node.publish(subject, number).await;
        node.handed_out(follower, number).await;
    }
}

fn lagging(others: usize) {
    block_on(async {
        let node = node(TINY).await;
        let crowd = node.crowd(others, "shop.>");
        let (mut client, mut progress) = follower(&node, SOCKET).await;
        // One is on its way, one waits, and there is no room for the third.
        one_by_one(&node, &crowd.0[0].position_handle(), "shop.a", 3).await;
        let published = publish(&node, "shop.a", 4..=8, 8);
        read(&mut client, &mut progress, 8).await;
        published.await.expect("a publisher");
        drop(crowd);
        node.end_with(client).await;
    });
}

#[test]
fn who_lags_is_up_again_without_a_loss() {
    holds_in_many(|| lagging(1));
}

#[test]
fn who_is_up_again_during_a_turn_gets_nothing_of_it_twice() {
    holds_in_many(|| lagging(MANY));
}

fn anew() {
    block_on(async {
        let node = node(SHORT).await;
        let crowd = node.crowd(1, "shop.>");
        let (mut client, mut progress) = follower(&node, SOCKET).await;
        // One is on its way, two wait, and there is no room for the fourth.
        one_by_one(&node, &crowd.0[0].position_handle(), "shop.a", 4).await;
        client.leave("shop.>");
        client.mark();
        client.join("shop.>", node.after(0));
        client.until_mark(|frame| progress.take(frame)).await;
        let mut progress = Progress::after(0);
        let published = publish(&node, "shop.a", 5..=6, 8);
        progress.read_on(&mut client).await;
        published.await.expect("a publisher");
        drop(crowd);
        node.end_with(client).await;
    });
}

#[test]
fn who_lagged_and_begins_anew_is_served_by_one_task() {
    holds_in_many(anew);
}

fn is_subscribed(frame: &Body) -> bool {
    matches!(frame, Body::Subscribed(_))
}

fn again() {
    block_on(async {
        let node = node(ENDLESS).await;
        let (mut client, mut progress) = follower(&node, ALL).await;
        let published = publish(&node, "shop.a", 1..=3, 4);
        a_while(20).await;
        client.join("shop.>", SubscribeOptions::default());
        let mut told = false;
        while !told || progress.at < Some(3) {
            let frame = client.peer.next().await;
            assert!(!(told && is_subscribed(&frame)), "told a third time");
            told |= is_subscribed(&frame);
            progress.take_again(&frame);
        }
        published.await.expect("a publisher");
        node.end_with(client).await;
    });
}

#[test]
fn who_subscribes_again_is_told_again_and_misses_nothing() {
    holds_in_many(again);
}

fn early() {
    block_on(async {
        let node = Node::new(Size::kib(1024), ENDLESS, Overflow::Close).await;
        let mut client = node.connect(ALL);
        let published = publish(&node, "shop.a", 1..=3, 4);
        for _ in 0..2 {
            client.join("shop.>", SubscribeOptions::default());
        }
        let mut progress = Progress::default();
        while progress.at < Some(3) {
            progress.take_again(&client.peer.next().await);
        }
        published.await.expect("a publisher");
        client.end().await.iter().for_each(|frame| progress.take_again(frame));
        node.end().await;
    });
}

#[test]
fn who_subscribes_twice_before_the_stream_is_known_misses_nothing() {
    holds_in_many(early);
}

fn less() {
    block_on(async {
        let node = node(SHORT).await;
        let crowd = node.crowd(1, "shop.>");
        let mut client = node.connect(SOCKET);
        client.attachment.regrant(&node.grants("wide"));
        client.subscribe("shop.>").await;
        // There is no room for the last ones.
        one_by_one(&node, &crowd.0[0].position_handle(), "shop.b", 6).await;
        let Client { mut attachment, outbox, mut peer } = client;
        let regranted = {
            let (node, outbox) = (node.clone(), outbox.clone());
            spawn(async move {
                a_while(60).await;
                assert!(attachment.regrant(&node.grants("narrow")).is_empty());
                mark(&outbox);
                node.publish("shop.a", 7).await;
                attachment
            })
        };
        let (mut less, mut last) = (false, 0);
        while last < 7 {
            match peer.next().await {
                Body::Goaway(_) => less = true,
                Body::Event(event) => {
                    assert!(event.subject == "shop.a" || !less, "denied");
                    assert!(number(&event) == last + 1 || number(&event) == 7, "{} behind {last}", number(&event));
                    last = number(&event);
                }
                other => panic!("{other:?}"),
            }
        }
        let client = Client { attachment: regranted.await.expect("an attachment"), outbox, peer };
        drop(crowd);
        node.end_with(client).await;
    });
}

#[test]
fn who_lags_and_is_granted_less_gets_nothing_more_of_what_is_denied() {
    holds_in_many(less);
}

fn one_of_two() {
    block_on(async {
        let node = node(ENDLESS).await;
        let mut client = node.connect(ALL);
        for subject in ["shop.a", "shop.b"] {
            client.subscribe(subject).await;
        }
        // Behind the client, so that a turn goes on once the client has been asked.
        let crowd = node.crowd(MANY, "shop.>");
        node.publish("shop.b", 1).await;
        let published = publish(&node, "shop.a", 2..=3, 1);
        a_while(60).await;
        client.leave("shop.b");
        client.mark();
        let (mut given_up, mut last) = (false, 0);
        while !given_up || last < 3 {
            match client.peer.next().await {
                Body::Goaway(_) => given_up = true,
                Body::Event(event) => {
                    assert!(event.subject == "shop.a" || !given_up, "of what is given up");
                    last = number(&event);
                }
                other => panic!("{other:?}"),
            }
        }
        published.await.expect("a publisher");
        drop(crowd);
        node.end_with(client).await;
    });
}

#[test]
fn who_gives_up_one_of_two_gets_nothing_more_of_it() {
    holds_in_many(one_of_two);
}

fn live() {
    block_on(async {
        let node = node(ENDLESS).await;
        let mut earlier = node.connect(ALL);
        earlier.subscribe("news.>").await;
        let published = publish(&node, "news.a", 1..=2, 1);
        let mut client = node.connect(ALL);
        client.subscribe("news.>").await;
        published.await.expect("a publisher");
        node.publish("news.a", 3).await;
        let mut last = 0;
        while last < 3 {
            match client.peer.next().await {
                Body::Event(event) => {
                    assert!(last == 0 || number(&event) == last + 1);
                    last = number(&event);
                }
                other => panic!("{other:?}"),
            }
        }
        drop(earlier);
        node.end_with(client).await;
    });
}

#[test]
fn who_joins_a_topic_is_told_before_its_first_event() {
    holds_in_many(live);
}
