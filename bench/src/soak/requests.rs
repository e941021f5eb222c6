//! Requests of guests to the node, frame by frame.

use notifier::proto::{
    Event, Fetch, Publish, Refresh, Request, Subscribe, Subscription, Unsubscribe, client_frame::Body,
};

use crate::{
    clock,
    marker::{self, Marker},
};

/// Bytes of an event that a client publishes.
const PAYLOAD: usize = 200;

/// A request that waits for its answer.
#[derive(Debug)]
pub(super) enum Asked {
    Subscribe,
    Unsubscribe,
    /// An event of the client's own subject, which is stored.
    Own,
    Say,
    Request,
    RequestInVain,
    Fetch,
    Refresh,
}

pub(super) fn subscribe(wanted: Subscription) -> Body {
    Body::Subscribe(Subscribe { subject: wanted.subject, after: wanted.after, snapshot: wanted.snapshot })
}

pub(super) fn unsubscribe(subject: &str) -> Body {
    Body::Unsubscribe(Unsubscribe { subject: subject.into() })
}

pub(super) fn publish(subject: &str, id: String, sequence: u64) -> Body {
    let mut data = Vec::new();
    marker::write_payload(&mut data, Marker { sequence, time: clock::now() }, PAYLOAD);
    let event = Event { id, data: data.into(), ..Event::default() };
    Body::Publish(Publish { subject: subject.into(), event: Some(event) })
}

pub(super) fn request(subject: &str, timeout_ms: u64) -> Body {
    let event = Event { data: "{}".into(), ..Event::default() };
    Body::Request(Request { subject: subject.into(), event: Some(event), timeout_ms })
}

pub(super) fn fetch(subject: String) -> Body {
    Body::Fetch(Fetch { subject, limit: 20, ..Fetch::default() })
}

pub(super) fn refresh(token: String) -> Body {
    Body::Refresh(Refresh { token })
}
