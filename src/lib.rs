//! Notifier carries domain events from NATS to browsers. `docs/architecture.md`
//! tells how an event walks through these modules, top floor first; a module
//! imports only from floors below its own, and `tests/layers.rs` keeps it so.

pub mod cli;
pub mod client;
pub mod node;
pub mod server;
pub mod control;
pub mod session;
pub mod hub;
pub mod fetch;
pub mod journal;
pub mod request;
pub mod publish;
pub mod codec;
pub mod broker;
pub mod access;
pub mod grants;
pub mod auth;
pub mod revocation;
pub mod outbox;
pub mod socket;
pub mod tls;
pub mod telemetry;
pub mod quota;
pub mod gate;
pub mod rate;
pub mod drain;
pub mod metrics;
pub mod classes;
pub mod config;
pub mod error;
pub mod close;
pub mod event_log;
pub mod identity;
pub mod template;
pub mod trie;
pub mod pattern_map;
pub mod subject;
pub mod effort;
pub mod origin;
pub mod dial;
pub mod retry_log;
pub mod calendar;
pub mod proto;
pub mod sync;
