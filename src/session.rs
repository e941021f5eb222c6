//! One client's connection, from the upgrade to the last byte.
//!
//! Until `connect` has been heard, a short-lived task with timers serves it.
//! After that one small task is left, which does nothing but wait for bytes:
//! what the client receives is written by those who have it (see `outbox`),
//! heartbeats come from the roster.

mod asker;
mod connection;
mod end;
mod expiry;
mod fetching;
mod heartbeat;
mod in_flight;
mod inbound;
mod life;
mod listed;
mod open;
mod publishing;
mod queue;
mod roster;
mod shared;
mod state;
mod welcome;

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::timeout;

pub use listed::Listed;
pub use roster::Roster;
pub use shared::Shared;

use crate::{close::CloseReason, codec::Encoding, config::Secret, gate::Permit, socket::Wire};
use connection::Session;
use end::End;
use life::Life;

/// Serves a connection until `connect` and then leaves it to a task of its
/// own. `ahead` is what the client sent right behind its upgrade request,
/// `token` what the request itself brought.
pub async fn serve(
    wire: Wire,
    ahead: Bytes,
    token: Option<Secret>,
    encoding: Encoding,
    permit: Arc<Permit>,
    shared: Arc<Shared>,
) {
    let mut session = Session::new(wire, encoding, permit, &shared);
    let connected = timeout(shared.limits.connect_time.duration(), session.until_connected(ahead, token.as_ref()));
    let end = tokio::select! {
        connected = connected => match connected {
            Ok(Ok(())) => {
                session.settle();
                return shared.tasks.spawn(Life::of(session));
            }
            Ok(Err(end)) => end,
            Err(_) => End::Close(CloseReason::ConnectTimeout),
        },
        // Not on the roster yet, so the farewell would pass it over.
        () = shared.leaving.cancelled() => End::Close(CloseReason::Draining),
    };
    session.end(end).await;
}
