//! Notifier carries domain events from NATS to browsers. `docs/architecture.md`
//! tells how an event walks through these modules. They stand on floors, top
//! floor first, with a blank line between two floors: a module imports only from
//! floors below its own, and `tests/layers.rs` keeps it so.

pub mod cli;

pub mod node;

pub mod server;

pub mod control;

pub mod session;

pub mod services;

pub mod fetch;
pub mod hub;
pub mod request;

pub mod journal;
pub mod publish;

pub mod client;
pub mod cluster;
pub mod quota;

pub mod admission;
pub mod broker;
pub mod codec;
pub mod outbox;

pub mod access;
pub mod socket;

pub mod tasks;
pub mod telemetry;
pub mod tls;

pub mod classes;
pub mod encoded_message;
pub mod event;
pub mod event_log;
pub mod metrics;

pub mod config;
pub mod error;
pub mod framing;
pub mod pattern_map;
pub mod retry;
pub mod trie;

pub mod clock;
pub mod close;
pub mod dial;
pub mod effort;
pub mod origin;
pub mod proto;
pub mod rate;
pub mod retry_log;
pub mod subject;
pub mod sync;
