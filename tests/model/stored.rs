//! Stored events on their way to who subscribes, resumes, lags, leaves and is granted less while they flow: each once,
//! in order, and nobody is left behind.

use notifier::{
    close::CloseReason,
    config::{Overflow, Size},
    hub::Wish,
    proto::{Event, server_frame::Body},
};
use shuttle::future::{JoinHandle, block_on, spawn};

use crate::{
    explore::{a_while, any, holds, holds_for_many},
    node::{Client, Node, SHORT, number, pattern},
};

/// The last event. Those with odd numbers are on `shop.a`, the others on `shop.b`.
const LAST: u64 = 6;

/// Bytes that a socket takes at once, at most: one event, so that a client lags more often than not.
const SOCKET: usize = 120;

/// More than take a turn at once: it has a task of its own.
const MANY: usize = 260;

/// Everything in memory, or hardly more than one event.
async fn node() -> Node {
    Node::new(if any(2) == 0 { Size::kib(1024) } else { Size::from(500) }, SHORT, Overflow::Close).await
}

fn subject(number: u64) -> &'static str {
    if number % 2 == 1 { "shop.a" } else { "shop.b" }
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

/// What a client has of the stream.
#[derive(Default)]
struct Progress {
    /// Everything up to here, once it is known where it began.
    at: Option<u64>,
    /// Whether it is subscribed.
    live: bool,
    /// Which events are for it.
    share: Share,
    /// The last event that the connection was sent.
    seen: u64,
    /// Whether another subscription of the connection may bring what is not for this one.
    others: bool,
}

/// Which of the events that match are for somebody.
#[derive(Clone, Copy, Default, PartialEq)]
enum Share {
    #[default]
    All,
    /// From some event on those on `shop.a` only.
    Less,
    /// Those on `shop.a`.
    Half,
}

impl Progress {
    fn after(seq: u64) -> Self {
        Self { at: Some(seq), ..Self::default() }
    }

    fn is_done(&self) -> bool {
        self.live && self.at >= Some(if self.share == Share::All { LAST } else { LAST - 1 })
    }

    /// Takes a frame; it has to be the next one.
    fn take(&mut self, frame: &Body) {
        match frame {
            Body::Subscribed(subscribed) => {
                let [position] = &subscribed.positions[..] else { panic!("{subscribed:?}") };
                assert!(!self.live, "told twice");
                self.live = true;
                let had = self.at.unwrap_or(position.seq);
                assert!(had == position.seq || self.passes_over(had, position.seq + 1), "{position:?} behind {had}");
                self.at = Some(position.seq);
            }
            Body::Replay(replay) => {
                assert!(!self.live && !replay.snapshot);
                replay.events.iter().for_each(|event| self.event(event));
            }
            Body::Event(event) => {
                assert!(self.live || self.others, "before `subscribed`");
                assert!(event.seq > self.seen, "{} behind {}", event.seq, self.seen);
                if !self.others || (self.live && self.at < Some(event.seq)) {
                    self.event(event);
                }
                self.seen = event.seq;
            }
            Body::Ping(ping) => {
                for position in &ping.positions {
                    let has = self.at.expect("a beginning");
                    assert!(has >= position.seq, "told to have {} with {has}", position.seq);
                }
            }
            other => panic!("{other:?}"),
        }
    }

    fn event(&mut self, event: &Event) {
        assert_eq!(event.seq, number(event));
        let had = self.at.expect("a beginning");
        let denied = self.share == Share::Half && event.seq.is_multiple_of(2);
        assert!(!denied && (event.seq == had + 1 || self.passes_over(had, event.seq)), "{} behind {had}", event.seq);
        self.at = Some(event.seq);
    }

    /// Whether what comes between is the one event that is not for it.
    fn passes_over(&self, had: u64, next: u64) -> bool {
        self.share != Share::All && next == had + 2 && (had + 1).is_multiple_of(2)
    }

    async fn read_on(&mut self, client: &mut Client) {
        while !self.is_done() {
            let frame = client.peer.frame().await.expect("it goes on");
            self.take(&frame);
        }
    }
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
                    client.join("shop.>", Wish::default());
                    let (beating, outbox, follower) =
                        (node.clone(), client.outbox.clone(), client.attachment.follower());
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
        client.join("shop.>", Wish::default());
        let published = publish(&node, 1);
        let Client { mut attachment, outbox, mut peer } = client;
        let other = spawn(async move {
            a_while(6).await;
            let pattern = pattern("shop.a");
            attachment.join(&pattern, Wish::default());
            a_while(12).await;
            assert!(attachment.leave(&pattern));
            attachment
        });
        while !progress.is_done() {
            match peer.frame().await.expect("it goes on") {
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
            loop {
                match client.peer.frame().await.expect("it goes on") {
                    Body::Goaway(_) => break,
                    frame => progress.take(&frame),
                }
            }
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
        client.join("shop.>", if any(2) == 0 { Wish::default() } else { node.after(0) });
        client.join("shop.b", Wish::default());
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
        client.join("shop.>", if resumes { node.after(0) } else { Wish::default() });
        let published = publish(&node, 1);
        a_while(30).await;
        progress.share = Share::Less;
        let ended = client.attachment.regrant(&node.grants("narrow"));
        assert!(ended.is_empty());
        client.mark();
        loop {
            match client.peer.frame().await.expect("it goes on") {
                Body::Goaway(_) => break,
                frame => progress.take(&frame),
            }
        }
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
    holds_for_many(crowded);
}
