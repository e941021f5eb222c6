//! One client's connection, from the upgrade to the last byte.
//!
//! Until `connect` has been heard, a short-lived task with timers serves it.
//! After that one small task is left, which does nothing but wait for bytes:
//! what the client receives is written by those who have it (see `outbox`),
//! heartbeats come from the registry.

mod requester;
mod connection;
mod end;
mod expiry;
mod fetching;
mod heartbeat;
mod in_flight;
mod inbound;
mod task;
mod connection_info;
mod connection_guard;
mod publishing;
mod queue;
mod registry;
mod shared_frame;
mod node_services;
mod state;
mod welcome;

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::timeout;

pub use connection_info::ConnectionInfo;
pub use node_services::NodeServices;
pub use registry::Connections;

use crate::{admission::Permit, close::CloseReason, codec::Encoding, config::Secret, socket::Wire};
use connection::Session;
use end::End;
use task::ConnectionTask;

/// Serves a connection until `connect` and then leaves it to a task of its
/// own. `ahead` is what the client sent right behind its upgrade request,
/// `token` what the request itself brought.
pub async fn serve(
    wire: Wire,
    ahead: Bytes,
    token: Option<Secret>,
    encoding: Encoding,
    permit: Arc<Permit>,
    services: Arc<NodeServices>,
) {
    let mut session = Session::new(wire, encoding, permit, &services);
    let connected = timeout(services.limits.connect_time.duration(), session.until_connected(ahead, token.as_ref()));
    let end = tokio::select! {
        connected = connected => match connected {
            Ok(Ok(())) => {
                session.register();
                return services.tasks.spawn(ConnectionTask::of(session));
            }
            Ok(Err(end)) => end,
            Err(_) => End::Close(CloseReason::ConnectTimeout),
        },
        // Not in the registry yet, so the drain would pass it over.
        () = services.leaving.cancelled() => End::Close(CloseReason::Draining),
    };
    session.end(end).await;
}
