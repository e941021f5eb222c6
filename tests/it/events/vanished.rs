//! Readers that vanish without a word, and those that only read slowly.

use std::time::Duration;

use notifier::config::{Overflow, Span};
use serde_json::json;
use socket2::{SockFilter, SockRef};
use tokio::net::{TcpSocket, TcpStream};

use super::live;
use crate::world::{TestNode, event_stream::EventReader, soon};

/// `BPF_RET | BPF_K`: an answer that is the same for each packet.
const RETURN: u16 = 0x06;

/// Live, with a second handle of its socket. Its kernel keeps little that it does not read.
async fn narrow(node: &TestNode) -> (EventReader, std::net::TcpStream) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("a size");
    let stream = soon("a connection", socket.connect(node.address)).await.expect("a connection");
    let stream = stream.into_std().expect("a socket");
    let handle = stream.try_clone().expect("a second handle");
    let line = TcpStream::from_std(stream).expect("a socket");
    let mut reader = EventReader::over(Box::new(line), "GET", "?subject=load", &[], "").await;
    reader.expect("welcome").await;
    reader.expect("subscribed").await;
    (reader, handle)
}

#[tokio::test]
async fn a_reader_that_vanished_is_found_out() {
    let node = TestNode::with(|config| config.server.heartbeat = Duration::from_millis(300).into()).await;
    let ((vanished, socket), mut other) = (narrow(&node).await, live(&node, "?subject=load").await);
    // No packet reaches it any more, and it acknowledges none, as behind a cable that is cut.
    SockRef::from(&socket).attach_filter(&[SockFilter::new(RETURN, 0, 0, 0)]).expect("a filter");
    node.until_metric("notifier_connections", |open| open == 1.0).await;
    assert_eq!(node.metric("notifier_connections_closed_total{reason=\"lost\"}").await, 1.0);
    assert_eq!(node.metric("notifier_subscriptions").await, 1.0);
    node.publish("load", "1").await;
    assert_eq!(other.events(1).await, [json!(1)]);
    drop(vanished);
}

#[tokio::test]
async fn a_reader_that_is_slow_is_none_that_vanished() {
    let node = TestNode::with(|config| {
        config.server.heartbeat = Duration::from_millis(500).into();
        config.limits.send_buffer = "16KiB".parse().expect("a size");
        config.limits.outbox_bytes = "4MiB".parse().expect("a size");
        config.limits.live_overflow = Overflow::Close;
        config.limits.stall_time = Span::seconds(60);
    })
    .await;
    let ((mut slow, _), mut other) = (narrow(&node).await, live(&node, "?subject=other").await);
    // It has been pinged, so its connection may end for want of acknowledgements.
    slow.ping().await;
    // The first one is more than the kernel takes, so the node knows at once that it is slow.
    let filling = "x".repeat(60_000);
    for number in 0..5 {
        node.publish("load", json!([number, filling]).to_string()).await;
    }
    node.until_metric("notifier_outboxes_waiting", |waiting| waiting == 1.0).await;
    for _ in 0..5 {
        other.ping().await; // more than twice as long as one that vanished is given
    }
    for (number, event) in slow.events(5).await.iter().enumerate() {
        assert_eq!(event[0], number);
    }
    assert_eq!(node.metric("notifier_connections").await, 2.0);
}
