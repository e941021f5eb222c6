//! The whole node, driven as its users drive it: real sockets on free ports, a
//! real nats-server, and clients that only speak the protocol.

#![allow(unreachable_pub)] // a test binary has no outside

mod world;

mod acknowledgements;
mod admission;
mod assets;
mod attacks;
mod bounds;
mod broker_outage;
mod browsers;
mod cluster;
mod compatibility;
mod connecting;
mod contract;
mod covered;
mod credentials;
mod drain;
mod durable;
mod epochs;
mod events;
mod exactly_once;
mod first_hour;
mod frames;
mod grants;
mod handshake;
mod identity;
mod in_flight;
mod internal;
mod jetstream_prefix;
mod keep_alive;
mod lifetime;
mod nats;
mod outbox;
mod overlap;
mod path_prefix;
mod peers;
mod permissions;
mod protocol;
mod public_probes;
mod publish;
mod quotas;
mod reading;
mod refused;
mod replaces;
mod request;
mod revocation;
mod routes;
mod rules;
mod slow_consumer;
mod streams;
mod subscribe;
mod subscription_ids;
mod tls;
