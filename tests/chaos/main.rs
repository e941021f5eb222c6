//! Chaos: nodes, brokers and network fail while events flow, and at the end
//! every client must have exactly what was acknowledged, in order.
//!
//! `make chaos SEED=1 SECONDS=60` repeats a run's faults; what they meet
//! depends on timing and differs from run to run.

#![cfg(target_os = "linux")] // signals, /proc, addresses of 127/8, namespaces
#![allow(unreachable_pub)] // a test binary has no outside

mod alternating;
mod client;
mod cluster;
mod faults;
mod harness;
mod http;
mod jetstream;
mod life;
mod netns;
mod network;
mod nodes;
mod patience;
mod process;
mod publisher;
mod report;
mod run;
mod schedule;
mod sockets;
mod state;
mod stored;
#[path = "../it/world/stream_message.rs"]
mod stream_message;
mod subscription;
mod transport;
mod world;

#[tokio::test(flavor = "multi_thread")]
async fn every_client_receives_exactly_what_was_acknowledged() {
    let _turn = world::turn().await;
    run::run(run::Settings::from_environment()).await;
}
