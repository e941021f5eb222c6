//! Notifier carries domain events from NATS to browsers. `docs/architecture.md`
//! tells how an event walks through these modules, top floor first; a module
//! imports only from floors below its own, and `tests/layers.rs` keeps it so.

pub mod broker;
pub mod cli;
pub mod client;
pub mod close;
pub mod codec;
pub mod config;
pub mod drain;
pub mod error;
pub mod grants;
pub mod hub;
pub mod metrics;
pub mod node;
pub mod outbox;
pub mod proto;
pub mod publish;
pub mod server;
pub mod session;
pub mod socket;
pub mod subject;
pub mod telemetry;
pub mod trie;
