//! Live events on their way to who subscribes, overlaps, leaves, has no room and is granted less while they flow.

use notifier::{
    config::{Overflow, Size},
    hub::SubscribeOptions,
    proto::{Event, server_frame::Body},
};
use shuttle::future::{JoinHandle, block_on, spawn};
use tokio::sync::oneshot;

use crate::{
    explore::{a_while, holds},
    node::{Client, ENDLESS, MANY, Node, SHORT, number, pattern},
};

/// The last event. Those with odd numbers are on `news.a`, the others on `news.b`.
const LAST: u64 = 6;

/// Published when all others are and everybody is subscribed, on `news.a`.
const END: u64 = LAST + 1;

/// Bytes that a socket takes at once, at most: some events.
const SOCKET: usize = 400;

/// One event, at most.
const NARROW: usize = 60;

async fn node() -> Node {
    Node::new(Size::kib(1024), ENDLESS, Overflow::Close).await
}

fn subject(number: u64) -> &'static str {
    if number % 2 == 1 { "news.a" } else { "news.b" }
}

fn publish(node: &Node) -> JoinHandle<()> {
    let node = node.clone();
    spawn(async move {
        for number in 1..=LAST {
            node.publish(subject(number), number).await;
        }
    })
}

/// What a client has got.
#[derive(Default)]
struct Progress {
    live: bool,
    last: Option<u64>,
    /// Whether it was told that it misses some.
    misses: bool,
    /// Whether it may miss those on `news.b`, and whether it has to.
    less: bool,
    half: bool,
}

impl Progress {
    fn is_done(&self) -> bool {
        self.last == Some(END)
    }

    /// Takes a frame; an event has to be the next one.
    fn take(&mut self, frame: &Body) {
        match frame {
            Body::Subscribed(_) => self.live = true,
            Body::Event(event) => self.event(event),
            Body::Gap(gap) => {
                assert_eq!(gap.reason, "overflow");
                self.misses = true;
            }
            other => panic!("{other:?}"),
        }
    }

    fn event(&mut self, event: &Event) {
        assert!(self.live, "before `subscribed`");
        let number = number(event);
        if let Some(last) = self.last {
            let passes_over = self.less && number == last + 2 && subject(last + 1) == "news.b";
            let misses = self.misses && number > last;
            assert!(number == last + 1 || passes_over || misses, "{number} behind {last}");
        }
        assert!(!self.half || subject(number) == "news.a");
        self.misses = false;
        self.last = Some(number);
    }

    async fn read_on(&mut self, client: &mut Client) {
        while !self.is_done() {
            let frame = client.peer.next().await;
            self.take(&frame);
        }
    }

    async fn until_live(&mut self, client: &mut Client) {
        while !self.live {
            let frame = client.peer.next().await;
            self.take(&frame);
        }
    }
}

/// Two who join at any moment, in front of so many others.
fn joining(others: usize) {
    block_on(async move {
        let node = node().await;
        let crowd = node.crowd(others, "news.>");
        let published = publish(&node);
        let (clients, told): (Vec<_>, Vec<_>) = (0..2)
            .map(|_| {
                let (tell, told) = oneshot::channel();
                let node = node.clone();
                let client = spawn(async move {
                    let mut client = node.connect(SOCKET);
                    let mut progress = Progress::default();
                    client.join("news.>", SubscribeOptions::default());
                    progress.until_live(&mut client).await;
                    tell.send(()).expect("awaited");
                    progress.read_on(&mut client).await;
                    assert!(client.end().await.is_empty());
                });
                (client, told)
            })
            .unzip();
        published.await.expect("a publisher");
        for told in told {
            told.await.expect("told");
        }
        node.publish("news.a", END).await;
        for client in clients {
            client.await.expect("a client");
        }
        drop(crowd);
        node.end().await;
    });
}

#[test]
fn who_joins_gets_each_event_from_there_on() {
    holds(|| joining(0));
}

#[test]
fn a_long_list_with_a_task_of_its_own_does_the_same() {
    holds(|| joining(MANY));
}

fn overlapping() {
    block_on(async {
        let node = node().await;
        let mut client = node.connect(SOCKET);
        let mut progress = Progress::default();
        client.join("news.>", SubscribeOptions::default());
        progress.until_live(&mut client).await;
        let published = publish(&node);
        let Client { mut attachment, outbox, peer } = client;
        let other = spawn(async move {
            for _ in 0..2 {
                a_while(8).await;
                attachment.join(&pattern("news.a"), SubscribeOptions::default()).expect("room");
                a_while(8).await;
                assert!(attachment.leave(&pattern("news.a")));
            }
            attachment
        });
        published.await.expect("a publisher");
        node.publish("news.a", END).await;
        let mut client = Client { attachment: other.await.expect("another"), outbox, peer };
        progress.last = Some(0);
        progress.read_on(&mut client).await;
        client.end().await.iter().for_each(|frame| assert!(matches!(frame, Body::Subscribed(_)), "{frame:?}"));
        node.end().await;
    });
}

#[test]
fn two_patterns_of_one_connection_bring_each_event_once_while_the_later_one_comes_and_goes() {
    holds(overlapping);
}

fn leaving() {
    block_on(async {
        let node = node().await;
        let published = publish(&node);
        let mut client = node.connect(SOCKET);
        for _ in 0..2 {
            let mut progress = Progress::default();
            client.join("news.>", SubscribeOptions::default());
            a_while(30).await;
            client.leave("news.>");
            client.mark();
            client.until_mark(|frame| progress.take(frame)).await;
        }
        let mut progress = Progress::default();
        client.join("news.>", SubscribeOptions::default());
        progress.until_live(&mut client).await;
        published.await.expect("a publisher");
        node.publish("news.a", END).await;
        progress.read_on(&mut client).await;
        node.end_with(client).await;
    });
}

#[test]
fn once_given_up_nothing_comes_and_who_comes_back_gets_each_event_from_there_on() {
    holds(leaving);
}

fn overflowing() {
    block_on(async {
        let node = Node::new(Size::kib(1024), SHORT, Overflow::Drop).await;
        let mut client = node.connect(NARROW);
        let mut progress = Progress::default();
        client.join("news.>", SubscribeOptions::default());
        progress.until_live(&mut client).await;
        progress.last = Some(0);
        let mut witness = node.witness("news.>").await;
        let (mut got, mut seen) = (0, 0);
        // One by one, and nobody reads them: there is no room for the last ones.
        for number in 1..=LAST {
            node.publish(subject(number), number).await;
            assert!(matches!(witness.peer.frame().await, Some(Body::Event(_))));
            seen += 1;
        }
        node.publish("news.a", END).await;
        while !progress.is_done() {
            let frame = client.peer.next().await;
            got += events(&frame);
            progress.take(&frame);
            if progress.misses {
                // It may have been the last one that was missed. Who tells it has to get on: nobody is faster for ever.
                notifier::sync::yield_now().await;
                node.publish("news.a", END).await;
            }
        }
        got += client.end().await.iter().map(events).sum::<usize>();
        seen += witness.end().await.iter().map(events).sum::<usize>();
        let values = node.end().await;
        assert_eq!(values.of("notifier_deliveries_total"), (got + seen) as f64);
        assert!(values.of("notifier_undelivered_total") > 0.0);
    });
}

/// One, if it is an event.
fn events(frame: &Body) -> usize {
    usize::from(matches!(frame, Body::Event(_)))
}

#[test]
fn who_has_no_room_is_told_what_it_misses_and_events_flow_again() {
    holds(overflowing);
}

fn granted_less() {
    block_on(async {
        let node = node().await;
        let mut client = node.connect(SOCKET);
        client.attachment.regrant(&node.grants("wide"));
        let mut progress = Progress::default();
        client.join("news.>", SubscribeOptions::default());
        let published = publish(&node);
        a_while(30).await;
        progress.less = true;
        let ended = client.attachment.regrant(&node.grants("narrow"));
        assert!(ended.is_empty());
        client.mark();
        client.until_mark(|frame| progress.take(frame)).await;
        progress.half = true;
        progress.until_live(&mut client).await;
        published.await.expect("a publisher");
        node.publish("news.a", END).await;
        progress.read_on(&mut client).await;
        node.end_with(client).await;
    });
}

#[test]
fn what_is_denied_does_not_come_and_all_else_does() {
    holds(granted_less);
}

fn mixed() {
    block_on(async {
        let node = node().await;
        node.ready().await;
        let stored = {
            let node = node.clone();
            spawn(async move {
                for number in 1..=LAST {
                    node.publish("shop.a", number).await;
                }
            })
        };
        let mut client = node.connect(SOCKET);
        client.join(">", node.after(0));
        let (mut live, mut had, mut last) = (false, 0, None);
        while !live || had < LAST || last != Some(END) {
            match client.peer.next().await {
                Body::Subscribed(_) => {
                    assert!(!live, "told twice");
                    live = true;
                    for number in 1..=END {
                        node.publish("news.a", number).await;
                    }
                }
                Body::Replay(replay) => {
                    for event in replay.events {
                        assert!(!live && event.seq == had + 1, "{event:?} behind {had}");
                        had = event.seq;
                    }
                }
                Body::Event(event) if event.seq > 0 => {
                    assert!(live && event.seq == had + 1, "{event:?} behind {had}");
                    had = event.seq;
                }
                Body::Event(event) => {
                    assert_eq!(number(&event), last.map_or(1, |last| last + 1));
                    last = Some(number(&event));
                }
                other => panic!("{other:?}"),
            }
        }
        stored.await.expect("a publisher");
        node.end_with(client).await;
    });
}

#[test]
fn a_pattern_that_is_stored_in_part_brings_both_parts() {
    holds(mixed);
}
