//! Stored events on their way to who subscribes, resumes, lags, leaves and is granted less while they flow: each once,
//! in order, and nobody is left behind.

use notifier::{
    close::CloseReason,
    config::{Overflow, Size},
    hub::SubscribeOptions,
    proto::server_frame::Body,
};
use shuttle::future::{JoinHandle, block_on, spawn};

use crate::{
    explore::{a_while, any, holds},
    node::{Client, MANY, Node, SHORT, pattern},
    progress::{LAST, Progress, Share, subject},
};

/// Bytes that a socket takes at once, at most: one event, so that a client lags more often than not.
const SOCKET: usize = 120;

/// Everything in memory, or hardly more than one event.
async fn node() -> Node {
    Node::new(if any(2) == 0 { Size::kib(1024) } else { Size::from(500) }, SHORT, Overflow::Close).await
}

/// Publishes events from one number to the last.
fn publish(node: &Node, from: u64) -> JoinHandle<()> {
    let node = node.clone();
    spawn(async move {
        for number in from..=LAST {
            node.publish(subject(number), number).await;
        }
    })
}

fn joining() {
    block_on(async {
        let node = node().await;
        let published = publish(&node, 1);
        let clients: Vec<_> = (0..2)
            .map(|_| {
                let node = node.clone();
                spawn(async move {
                    let mut client = node.connect(SOCKET);
                    client.join("shop.>", SubscribeOptions::default());
                    let (beating, outbox, follower) =
                        (node.clone(), client.outbox.clone(), client.attachment.position_handle());
                    let beats = spawn(async move {
                        a_while(8).await;
                        beating.beat(&outbox, &follower);
                    });
                    let mut progress = Progress::default();
                    progress.read_on(&mut client).await;
                    beats.await.expect("a beat");
                    client.end().await.iter().for_each(|frame| progress.take(frame));
                })
            })
            .collect();
        published.await.expect("a publisher");
        for client in clients {
            client.await.expect("a client");
        }
        node.end().await;
    });
}

#[test]
fn who_joins_gets_each_event_from_there_on_and_what_a_checkpoint_says_is_true() {
    holds(joining);
}

fn resuming() {
    block_on(async {
        let node = node().await;
        node.ready().await;
        for number in 1..3 {
            node.publish(subject(number), number).await;
        }
        let published = publish(&node, 3);
        let mut client = node.connect(SOCKET);
        let mut progress = Progress::after(any(3) as u64);
        client.join("shop.>", node.after(progress.at.expect("a beginning")));
        progress.read_on(&mut client).await;
        published.await.expect("a publisher");
        node.end_with(client).await;
    });
}

#[test]
fn who_resumes_gets_each_event_that_it_lacks_once() {
    holds(resuming);
}

fn overlapping() {
    block_on(async {
        let node = node().await;
        node.ready().await;
        let mut client = node.connect(SOCKET);
        let mut progress = Progress { others: true, ..Progress::default() };
        client.join("shop.>", SubscribeOptions::default());
        let published = publish(&node, 1);
        let Client { mut attachment, outbox, mut peer } = client;
        let other = spawn(async move {
            a_while(6).await;
            let pattern = pattern("shop.a");
            attachment.join(&pattern, SubscribeOptions::default()).expect("room");
            a_while(12).await;
            assert!(attachment.leave(&pattern));
            attachment
        });
        while !progress.is_done() {
            match peer.next().await {
                // Of the second pattern.
                Body::Subscribed(subscribed) if subscribed.subject == "shop.a" => {}
                frame => progress.take(&frame),
            }
        }
        published.await.expect("a publisher");
        let client = Client { attachment: other.await.expect("another"), outbox, peer };
        // What was on its way for the second pattern still comes, in its place.
        for frame in client.end().await {
            if !matches!(frame, Body::Subscribed(_)) {
                progress.take(&frame);
            }
        }
        node.end().await;
    });
}

#[test]
fn two_patterns_of_one_connection_bring_each_event_once_while_one_comes_and_goes() {
    holds(overlapping);
}

fn leaving() {
    block_on(async {
        let node = node().await;
        node.ready().await;
        node.publish(subject(1), 1).await;
        let published = publish(&node, 2);
        let mut client = node.connect(SOCKET);
        let mut progress = Progress::after(0);
        for _ in 0..2 {
            client.join("shop.>", node.after(progress.at.expect("a beginning")));
            a_while(30).await;
            client.leave("shop.>");
            client.mark();
            client.until_mark(|frame| progress.take(frame)).await;
            progress.live = false;
        }
        client.join("shop.>", node.after(progress.at.expect("a beginning")));
        progress.read_on(&mut client).await;
        published.await.expect("a publisher");
        node.end_with(client).await;
    });
}

#[test]
fn once_given_up_nothing_comes_and_nothing_is_missed_by_who_comes_back() {
    holds(leaving);
}

fn vanishing() {
    block_on(async {
        let node = node().await;
        node.ready().await;
        node.publish(subject(1), 1).await;
        let published = publish(&node, 2);
        let mut client = node.connect(SOCKET);
        client.join("shop.>", if any(2) == 0 { SubscribeOptions::default() } else { node.after(0) });
        client.join("shop.b", SubscribeOptions::default());
        let (pipe, outbox) = (client.peer.pipe(), client.outbox.clone());
        let way = any(3);
        let end = spawn(async move {
            a_while(30).await;
            match way {
                0 => pipe.finish(),
                1 => outbox.close(CloseReason::Revoked),
                _ => {}
            }
        });
        let Client { attachment, outbox, mut peer } = client;
        let reader = spawn(async move { while peer.message().await.is_some() {} });
        a_while(30).await;
        drop(attachment);
        end.await.expect("an end");
        outbox.close(CloseReason::Normal);
        drop(outbox);
        reader.await.expect("a reader");
        published.await.expect("a publisher");
        node.end().await;
    });
}

#[test]
fn a_connection_that_ends_at_any_moment_leaves_nothing_behind() {
    holds(vanishing);
}

fn granted_less() {
    block_on(async {
        let node = node().await;
        node.ready().await;
        let mut client = node.connect(SOCKET);
        client.attachment.regrant(&node.grants("wide"));
        let resumes = any(2) == 0;
        let mut progress = if resumes { Progress::after(0) } else { Progress::default() };
        client.join("shop.>", if resumes { node.after(0) } else { SubscribeOptions::default() });
        let published = publish(&node, 1);
        a_while(30).await;
        progress.share = Share::Less;
        let ended = client.attachment.regrant(&node.grants("narrow"));
        assert!(ended.is_empty());
        client.mark();
        client.until_mark(|frame| progress.take(frame)).await;
        progress.share = Share::Half;
        progress.read_on(&mut client).await;
        published.await.expect("a publisher");
        client.end().await.iter().for_each(|frame| progress.take(frame));
        node.end().await;
    });
}

#[test]
fn what_is_denied_does_not_come_and_all_else_does() {
    holds(granted_less);
}

fn crowded() {
    block_on(async {
        let node = node().await;
        node.ready().await;
        let crowd = node.crowd(MANY, "shop.>");
        let published = publish(&node, 1);
        let mut client = node.connect(SOCKET);
        let mut progress = Progress::after(0);
        client.join("shop.>", node.after(0));
        progress.read_on(&mut client).await;
        published.await.expect("a publisher");
        drop(crowd);
        node.end_with(client).await;
    });
}

#[test]
fn a_turn_with_a_task_of_its_own_does_the_same() {
    holds(crowded);
}
