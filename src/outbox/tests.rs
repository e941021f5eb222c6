use tokio::{
    net::{TcpListener, TcpStream},
    runtime,
};

use super::*;
use crate::{framing::MessageKind, metrics::Metrics, tasks::Tasks};

/// With the two counts of an `Arc` it fills a size class of the allocator.
#[test]
fn it_fits_into_96_bytes() {
    assert!(size_of::<Outbox>() + 16 <= 96, "{} bytes", size_of::<Outbox>());
}

#[test]
fn what_waits_when_the_runtime_ends_counts_no_longer() {
    let metrics = Arc::new(Metrics::new().expect("metrics"));
    let series = |bytes: usize, outboxes: usize| {
        let says = |series: &str, value: usize| metrics.render().contains(&format!("\n{series} {value}\n"));
        says("notifier_outbox_bytes", bytes) && says("notifier_outboxes_waiting", outboxes)
    };
    let pong = EncodedMessage::pong(b"");
    let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (outbox, _peer) = runtime.block_on(async {
        let (tasks, metrics) = (Tasks::new(metrics.clone()), metrics.clone());
        let (close_time, stall_time) = (Duration::from_secs(5), Duration::from_secs(30));
        let policy = Policy { bytes: 1 << 24, frames: 16, close_time, stall_time, tasks, metrics };
        let text = Framing::WebSocket(MessageKind::Text);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let peer = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("a connection");
        let (stream, _) = listener.accept().await.expect("a connection");
        let outbox = Outbox::new(Wire::new(stream), text, Arc::new(policy));
        // More than both sockets hold, and one behind it.
        let large = EncodedMessage::data(text, |body| body.resize(8 << 20, b'x'));
        assert!(outbox.push(&large) && outbox.push(&pong));
        (outbox, peer)
    });
    assert!(series(pong.len(), 1));
    drop(runtime);
    drop(outbox);
    assert!(series(0, 0));
}
