//! One client's connection, from the upgrade to the last byte.
//!
//! Until `connect` has been heard, a short-lived task with timers serves it.
//! After that one small task is left, which does nothing but wait for bytes:
//! what the client receives is written by those who have it (see `outbox`),
//! heartbeats come from the registry.

mod requester;
mod drain;
mod end;
mod event_stream_request;
mod event_stream_task;
mod expiry;
mod fetching;
mod heartbeat;
mod in_flight;
mod inbound;
mod keep_alive;
mod mailbox;
mod poll;
mod task;
mod token_expiry;
mod cancellable;
mod connection_info;
mod connection_guard;
mod publishing;
mod queue;
mod registry;
mod sessions;
mod shared_frame;
mod state;
mod subscriber;
mod websocket_session;
mod welcome;

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::timeout;

pub use connection_info::ConnectionInfo;
pub use event_stream_request::{EventStreamRequest, GrantedEventStream};
pub use poll::{PollBounds, poll};
pub use registry::Connections;
pub use sessions::Sessions;

use crate::{admission::Permit, close::CloseReason, codec::Encoding, config::Secret, socket::Wire};
use end::End;
use event_stream_task::EventStreamTask;
use subscriber::Subscriber;
use task::ConnectionTask;
use websocket_session::WebSocketSession;

/// Serves a connection until `connect` and then leaves it to a task of its
/// own. `ahead` is what the client sent right behind its upgrade request,
/// `token` what the request itself brought.
pub async fn serve(
    wire: Wire,
    ahead: Bytes,
    token: Option<Secret>,
    encoding: Encoding,
    permit: Arc<Permit>,
    sessions: Arc<Sessions>,
) {
    let mut session = WebSocketSession::new(wire, encoding, permit, &sessions);
    let services = &sessions.services;
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

/// Serves an event stream until its end, by a task of its own. `head` is the head of
/// the response, which leaves before anything else.
pub fn serve_event_stream(
    wire: Wire,
    head: Bytes,
    granted: GrantedEventStream,
    permit: Arc<Permit>,
    sessions: &Arc<Sessions>,
) {
    let mut subscriber = Subscriber::new(wire, Encoding::EventStream(granted.format), permit, sessions);
    subscriber.begin_stream(head, granted);
    subscriber.register();
    sessions.services.tasks.spawn(EventStreamTask::of(subscriber));
}
