//! What the tests are made of: nodes, a nats-server, clients.

pub mod cable;
pub mod certificates;
pub mod client;
pub mod event_stream;
pub mod fake_nats;
pub mod frame;
pub mod nats_server;
pub mod node;
pub mod peer;
pub mod port;
pub mod shop;
pub mod signing;
pub mod small_disk;
pub mod stream_message;
pub mod tokens;

use std::{future::Future, time::Duration};

use notifier::socket::SocketError;

pub use cable::Cable;
pub use certificates::Authority;
pub use client::Ws;
pub use fake_nats::FakeNats;
pub use frame::frame;
pub use nats_server::NatsServer;
pub use node::TestNode;
pub use peer::Peer;
pub use shop::{Kind, Shop};

/// How long anything may take that is expected to happen. Only a failing test
/// waits this long.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Whether tests that can be smaller run in full size (`make test-full`).
pub fn full_size() -> bool {
    std::env::var("TEST_SIZE").is_ok_and(|size| size == "full")
}

/// The result of something that has to happen soon.
pub async fn soon<T>(what: &str, event: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, event).await.unwrap_or_else(|_| panic!("{what} did not happen in time"))
}

/// The code and reason, if the peer has closed instead of sending something.
pub fn close_of(received: Result<(), SocketError>) -> Option<(u16, String)> {
    match received {
        Ok(()) => None,
        Err(SocketError::Closed { code, reason }) => Some((code, reason)),
        Err(error) => panic!("no close frame: {error}"),
    }
}

/// Asks again and again until the answer is yes: for what no event announces.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut question: impl FnMut() -> F) {
    soon(what, async {
        while !question().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

/// An address that nobody listens on, and that nobody gets by chance.
pub fn free_address() -> String {
    format!("127.0.0.1:{}", port::free_port())
}
