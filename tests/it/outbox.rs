//! The queue of one client, on a real socket pair: what is written at once,
//! what waits, what is joined, and what happens at the limits.

use std::{sync::Arc, time::Duration};

use notifier::{
    close::CloseReason,
    encoded_message::EncodedMessage,
    framing::{Framing, MessageKind},
    metrics::Metrics,
    outbox::{Outbox, Policy},
    socket::Wire,
    tasks::Tasks,
};
use tokio::net::{TcpListener, TcpStream};

use super::world::{PATIENCE, frame, soon};

/// A time that has passed before a test would notice.
const SHORT: Duration = Duration::from_millis(100);

/// An outbox, and the peer that may read.
async fn pair(bytes: usize, frames: usize, close_time: Duration) -> (Arc<Outbox>, TcpStream, Arc<Metrics>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let peer = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("a connection");
    let (stream, _) = listener.accept().await.expect("a connection");
    let metrics = Arc::new(Metrics::new().expect("metrics"));
    let stall_time = Duration::from_secs(30);
    let tasks = Tasks::new(metrics.clone());
    let policy = Policy { bytes, frames, close_time, stall_time, tasks, metrics: metrics.clone() };
    (Outbox::new(Wire::new(stream), Framing::WebSocket(MessageKind::Text), Arc::new(policy)), peer, metrics)
}

/// A text chunk of one line: a number, then as many bytes as asked for.
fn chunk(number: usize, size: usize) -> EncodedMessage {
    EncodedMessage::data(Framing::WebSocket(MessageKind::Text), |body| {
        body.extend(format!("{number} ").bytes());
        body.resize(body.len() + size, b'x');
    })
}

/// The numbers of all lines up to the close, how many messages carried them,
/// and the close code.
async fn drain(peer: &mut TcpStream) -> (Vec<usize>, usize, u16) {
    let (mut numbers, mut messages) = (Vec::new(), 0);
    soon("the close", async {
        loop {
            match frame(peer).await {
                (0x81, body) => {
                    messages += 1;
                    for line in body.split(|byte| *byte == b'\n') {
                        let text = String::from_utf8_lossy(line);
                        numbers.push(text.split(' ').next().expect("a number").parse().expect("a number"));
                    }
                }
                (0x88, body) => return (numbers, messages, u16::from_be_bytes([body[0], body[1]])),
                (0x8a, _) => {}
                other => panic!("{other:?}"),
            }
        }
    })
    .await
}

#[tokio::test]
async fn what_a_socket_takes_is_written_at_once() {
    let (outbox, mut peer, metrics) = pair(1_000, 10, PATIENCE).await;
    for number in 0..3 {
        assert!(outbox.push(&chunk(number, 10)));
    }
    assert!(metrics.render().contains("notifier_outboxes_waiting 0"));
    outbox.close(CloseReason::Draining);
    assert!(!outbox.push(&chunk(9, 1)));
    assert_eq!(drain(&mut peer).await, (vec![0, 1, 2], 3, 4001));
}

#[tokio::test]
async fn what_waits_leaves_in_order_joined_into_fewer_messages() {
    let (outbox, mut peer, metrics) = pair(usize::MAX, usize::MAX, PATIENCE).await;
    let total = 30_000;
    for number in 0..total {
        // Control frames go their own way, in their place.
        if number % 1_000 == 0 {
            assert!(outbox.push(&EncodedMessage::pong(b"")));
        }
        assert!(outbox.push(&chunk(number, 500)));
    }
    assert!(metrics.render().contains("notifier_outboxes_waiting 1"));
    outbox.close(CloseReason::Draining);
    let (numbers, messages, code) = drain(&mut peer).await;
    assert_eq!(numbers, (0..total).collect::<Vec<_>>());
    assert!(messages < total * 9 / 10, "{messages}");
    assert_eq!(code, 4001);
    let text = metrics.render();
    assert!(text.contains("notifier_outboxes_waiting 0") && text.contains("notifier_outbox_bytes 0"), "{text}");
}

#[tokio::test]
async fn a_full_queue_closes_and_drops_what_has_not_begun() {
    for (bytes, frames) in [(10_000, usize::MAX), (usize::MAX, 20)] {
        let (outbox, mut peer, metrics) = pair(bytes, frames, PATIENCE).await;
        let mut sent = 0;
        while outbox.push(&chunk(sent, 1_000)) {
            sent += 1;
            assert!(sent < 100_000, "never full");
        }
        assert_eq!(outbox.closed(), Some(CloseReason::SlowConsumer));
        // What waited is freed at once; the Close frame itself may wait.
        let text = metrics.render();
        let waiting = text.lines().find_map(|line| line.strip_prefix("notifier_outbox_bytes ")).expect("a series");
        assert!(waiting.parse::<f64>().expect("a number") < 100.0, "{waiting}");
        let (numbers, _, code) = drain(&mut peer).await;
        assert_eq!(numbers, (0..numbers.len()).collect::<Vec<_>>());
        assert!(numbers.len() < sent);
        assert_eq!(code, 4002);
    }
}

#[tokio::test]
async fn one_event_larger_than_the_limit_reaches_a_client_that_reads() {
    let (outbox, mut peer, _) = pair(10_000, 10, PATIENCE).await;
    assert!(outbox.push(&chunk(0, 10_000_000)));
    outbox.close(CloseReason::Draining);
    assert_eq!(drain(&mut peer).await, (vec![0], 1, 4001));
}

#[tokio::test]
async fn a_peer_that_never_answers_a_close_is_cut_off() {
    let (outbox, mut peer, _) = pair(1_000, 10, SHORT).await;
    outbox.close(CloseReason::PingTimeout);
    let mut buffer = [0; 16];
    soon("the end of the reading side", async {
        loop {
            outbox.wire().writable().await.expect("writable");
            match outbox.wire().try_read(&mut buffer) {
                Ok(0) => return,
                _ => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    })
    .await;
    assert_eq!(drain(&mut peer).await.2, 4003);
}

#[tokio::test]
async fn a_peer_that_has_gone_is_noticed_and_nothing_is_kept_for_it() {
    let (outbox, peer, metrics) = pair(usize::MAX, usize::MAX, PATIENCE).await;
    drop(peer);
    let mut number = 0;
    soon("the loss", async {
        while outbox.push(&chunk(number, 1_000)) {
            number += 1;
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(outbox.closed(), Some(CloseReason::Lost));
    soon("the drain's end", async {
        while !metrics.render().contains("notifier_outboxes_waiting 0") {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_held_leaves_as_one_message_and_ignores_the_bounds() {
    let (outbox, mut peer, metrics) = pair(1, 1, SHORT).await;
    let held = outbox.hold();
    for number in 0..3 {
        assert!(outbox.push(&chunk(number, 10)));
    }
    drop(held);
    let (first, body) = frame(&mut peer).await;
    assert_eq!((first, body.split(|byte| *byte == b'\n').count()), (0x81, 3));
    // Nothing was pushed meanwhile: nothing is sent.
    drop(outbox.hold());
    outbox.push(&chunk(3, 0));
    assert_eq!(frame(&mut peer).await.1, b"3 ");
    assert!(metrics.render().contains("notifier_outboxes_waiting 0"));
}

#[tokio::test]
async fn a_close_while_it_is_held_goes_behind_what_is_held() {
    let (outbox, mut peer, _) = pair(1_000, 10, SHORT).await;
    let held = outbox.hold();
    outbox.push(&chunk(1, 0));
    outbox.close(CloseReason::Normal);
    assert!(!outbox.push(&chunk(2, 0)));
    drop(held);
    assert_eq!(drain(&mut peer).await, (vec![1], 1, CloseReason::Normal.code()));
}
