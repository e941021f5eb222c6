//! The outbox: written at once, queued, drained, held, closed, by many at the same time.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use notifier::{
    close::CloseReason,
    encoded_message::EncodedMessage,
    framing::{Framing, MessageKind},
    outbox::Outbox,
    socket::Flaw,
};
use shuttle::future::{JoinHandle, block_on, spawn};

use crate::{
    explore::{a_while, any, fails, holds},
    ground::{Ground, LONG, Values, connection},
    peer::{Message, Peer},
};

/// What happens before the peer reads.
type Story = Pin<Box<dyn Future<Output = Peer> + Send>>;

/// Chunks of each writer.
const CHUNKS: usize = 3;

/// How somebody sends.
#[derive(Clone, Copy)]
enum Way {
    Push,
    /// Waits for room.
    Offer,
    /// Two and two together.
    Hold,
    /// Sends nothing, and waits for room as often.
    Watch,
}

/// What has come, and what was said of it.
struct Outcome {
    /// Numbers of each writer.
    lines: Vec<Vec<usize>>,
    /// How many each writer was told are taken.
    taken: Vec<usize>,
    closes: Vec<u16>,
    /// Whether a message ended in the middle.
    torn: bool,
}

impl Outcome {
    /// Of each writer what was taken first has come, in order, and at most one Close, at the end.
    fn check(&self) {
        for (lines, taken) in self.lines.iter().zip(&self.taken) {
            assert_eq!(lines, &(0..lines.len()).collect::<Vec<_>>());
            assert!(lines.len() <= *taken, "{lines:?} of {taken}");
        }
        assert!(self.closes.len() <= 1);
    }

    fn came(&self) -> usize {
        self.lines.iter().map(Vec::len).sum()
    }

    fn taken(&self) -> usize {
        self.taken.iter().sum()
    }
}

/// Sends some chunks; how many were taken, which says nothing where a hold was broken by the end of the connection.
async fn send(outbox: Arc<Outbox>, writer: usize, way: Way) -> usize {
    let mut taken = 0;
    while taken < CHUNKS {
        let next = chunk(writer, taken);
        let sent = match way {
            Way::Push => outbox.push(&next),
            Way::Offer => outbox.as_room_allows(|| Some(outbox.offer(&next))).await,
            Way::Hold => {
                let _held = outbox.hold();
                let first = outbox.push(&next);
                if first && taken + 1 < CHUNKS && outbox.push(&chunk(writer, taken + 1)) {
                    taken += 1;
                }
                first
            }
            Way::Watch => outbox.room().await,
        };
        if !sent {
            break;
        }
        taken += 1;
    }
    if matches!(way, Way::Watch) { 0 } else { taken }
}

fn chunk(writer: usize, number: usize) -> EncodedMessage {
    EncodedMessage::data(Framing::WebSocket(MessageKind::Text), |body| {
        body.extend(format!("{writer} {number} ").bytes());
        body.resize(body.len() + any(20), b'x');
    })
    .carrying(1)
}

fn writers(outbox: &Arc<Outbox>, ways: &[Way]) -> Vec<JoinHandle<usize>> {
    ways.iter().enumerate().map(|(writer, way)| spawn(send(outbox.clone(), writer, *way))).collect()
}

async fn all(writers: Vec<JoinHandle<usize>>) -> Vec<usize> {
    let mut taken = Vec::new();
    for writer in writers {
        taken.push(writer.await.expect("a writer"));
    }
    taken
}

/// Reads to the end.
async fn read(mut peer: Peer, writers: usize) -> Outcome {
    let (mut lines, mut closes) = (vec![Vec::new(); writers], Vec::new());
    while let Some(message) = peer.message().await {
        match message {
            Message::Text(text) => {
                assert!(closes.is_empty(), "behind the Close");
                for line in text.split(|byte| *byte == b'\n') {
                    let line = String::from_utf8(line.to_vec()).expect("text");
                    let mut words = line.split(' ');
                    let mut number = || words.next().expect("a word").parse::<usize>().expect("a number");
                    let (writer, number) = (number(), number());
                    lines[writer].push(number);
                }
            }
            Message::Ping => panic!("nobody pings"),
            Message::Close(code) => closes.push(code),
        }
    }
    Outcome { lines, taken: Vec::new(), closes, torn: peer.is_torn() }
}

/// A run: bounds of the queue, whether and how the peer stalls, who writes, and what happens meanwhile.
struct Run {
    bounds: (usize, usize),
    stall_time: Duration,
    flaw: Option<Flaw>,
    ways: &'static [Way],
    meanwhile: fn(Arc<Outbox>, Peer) -> Story,
}

impl Run {
    const UNBOUNDED: Self = Self {
        bounds: (usize::MAX, usize::MAX),
        stall_time: LONG,
        flaw: None,
        ways: &[Way::Push, Way::Push, Way::Hold],
        meanwhile: |_, peer| Box::pin(async { peer }),
    };

    /// What came of it, and why the connection ended before it was closed in the end.
    fn run(self) -> (Values, Outcome, Option<CloseReason>) {
        block_on(async {
            let ground = Ground::new();
            let policy = ground.policy(self.bounds.0, self.bounds.1, self.stall_time);
            let (outbox, peer) = connection(policy, 1 + any(60), self.flaw);
            let writers = writers(&outbox, self.ways);
            let count = self.ways.len();
            let (meanwhile, told) = (self.meanwhile, outbox.clone());
            let reader = spawn(async move { read(meanwhile(told, peer).await, count).await });
            let taken = all(writers).await;
            let closed = outbox.closed();
            outbox.close(CloseReason::Normal);
            assert!(!outbox.push(&chunk(0, CHUNKS)), "closed");
            let outcome = Outcome { taken, ..reader.await.expect("a reader") };
            drop(outbox);
            let values = ground.end().await;
            outcome.check();
            (values, outcome, closed)
        })
    }
}

fn pushed() {
    let (_, outcome, _) = Run::UNBOUNDED.run();
    assert_eq!((outcome.came(), outcome.torn), (outcome.taken(), false));
    assert_eq!(outcome.taken, [CHUNKS; 3]);
    assert_eq!(outcome.closes, [CloseReason::Normal.code()]);
}

#[test]
fn what_is_pushed_leaves_once_whole_and_in_order() {
    holds(pushed);
}

fn offered() {
    let ways = &[Way::Offer, Way::Offer, Way::Offer, Way::Watch];
    let (_, outcome, _) = Run { bounds: (40, 2), ways, ..Run::UNBOUNDED }.run();
    assert_eq!((outcome.came(), outcome.torn), (outcome.taken(), false));
    assert_eq!(outcome.taken, [CHUNKS, CHUNKS, CHUNKS, 0]);
}

#[test]
fn who_waits_for_room_gets_it() {
    holds(offered);
}

fn overflowing() {
    let ways = &[Way::Push, Way::Push, Way::Offer, Way::Watch];
    let (values, outcome, closed) = Run { bounds: (40, 2), ways, ..Run::UNBOUNDED }.run();
    assert!(matches!(closed, None | Some(CloseReason::SlowConsumer)), "{closed:?}");
    // One chunk was refused and counted as well: that for which there was no room.
    let dropped = values.of("notifier_drops_total") as usize - usize::from(closed.is_some());
    assert_eq!((outcome.came() + dropped, outcome.torn), (outcome.taken(), false));
    assert_eq!(outcome.closes, [closed.unwrap_or(CloseReason::Normal).code()]);
}

#[test]
fn a_slow_reader_is_closed_and_what_it_does_not_get_is_counted() {
    holds(overflowing);
}

fn closed_meanwhile() {
    const REASONS: [CloseReason; 3] = [CloseReason::Draining, CloseReason::Revoked, CloseReason::Normal];
    let ways = &[Way::Push, Way::Offer, Way::Hold, Way::Watch];
    let meanwhile = |outbox: Arc<Outbox>, peer| -> Story {
        spawn(async move {
            a_while(8).await;
            outbox.close(REASONS[any(REASONS.len())]);
        });
        Box::pin(async { peer })
    };
    let (values, outcome, _) = Run { bounds: (40, 4), ways, meanwhile, ..Run::UNBOUNDED }.run();
    let reason = CloseReason::ALL.iter().find(|reason| [reason.code()] == outcome.closes[..]).expect("one Close");
    let refused = usize::from(*reason == CloseReason::SlowConsumer);
    let dropped = values.of("notifier_drops_total") as usize - refused;
    assert_eq!((outcome.came() + dropped, outcome.torn), (outcome.taken(), false));
    assert!(dropped == 0 || reason.drops_queue(), "{reason:?}");
}

#[test]
fn whenever_it_is_closed_all_who_wait_are_told_and_nothing_leaves_behind_the_close() {
    holds(closed_meanwhile);
}

fn broken() {
    let ways = &[Way::Push, Way::Offer, Way::Hold, Way::Watch];
    let meanwhile = |_, peer: Peer| -> Story {
        let pipe = peer.pipe();
        spawn(async move {
            a_while(8).await;
            pipe.finish();
        });
        Box::pin(async { peer })
    };
    Run { bounds: (40, 2), ways, meanwhile, ..Run::UNBOUNDED }.run();
}

#[test]
fn a_connection_that_breaks_keeps_nobody_and_nothing() {
    holds(broken);
}

fn stalled() {
    let ways = &[Way::Push, Way::Offer, Way::Hold, Way::Watch];
    let meanwhile = |outbox: Arc<Outbox>, peer: Peer| -> Story {
        Box::pin(async move {
            // It reads nothing before it is given up, or nothing more is to come.
            while outbox.is_waiting() || outbox.closed().is_none() {
                notifier::sync::yield_now().await;
            }
            peer
        })
    };
    let (_, _, closed) = Run { bounds: (40, 2), stall_time: Duration::ZERO, ways, meanwhile, ..Run::UNBOUNDED }.run();
    assert!(matches!(closed, None | Some(CloseReason::SlowConsumer)), "{closed:?}");
}

#[test]
fn a_peer_that_takes_nothing_is_given_up() {
    holds(stalled);
}

/// What is wrong with these sockets is noticed, so it would be noticed of the outbox.
#[test]
fn a_socket_that_does_not_tell_that_it_has_room_is_found() {
    fails(|| drop(Run { flaw: Some(Flaw::Mute), ..Run::UNBOUNDED }.run()));
}

#[test]
fn a_byte_too_many_is_found() {
    fails(|| drop(Run { flaw: Some(Flaw::Greedy), ..Run::UNBOUNDED }.run()));
}

#[test]
fn bytes_that_are_lost_are_found() {
    fails(|| drop(Run { flaw: Some(Flaw::Lossy), ..Run::UNBOUNDED }.run()));
}
