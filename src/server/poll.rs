//! Long polls: `GET|QUERY|POST /v1/poll`.

use std::time::Duration;

use hyper::header::{self, HeaderValue};

use crate::{
    error::{Code, Refusal},
    server::{
        events,
        response::{self, room},
        route::{Answered, ClientRequest},
    },
    session::{PollBounds, poll as gather},
};

/// How long a poll waits, unless it says so; proxies give up after 30 s, and later.
const WAIT: Duration = Duration::from_secs(25);

/// How long a poll waits at most.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Bytes of frames in one answer; one message more than that.
const ANSWER_BYTES: usize = 256 * 1024;

/// `GET|QUERY|POST /v1/poll`: frames, one per line, as soon as there are any.
pub(crate) async fn poll(request: ClientRequest) -> Answered {
    let ClientRequest { request, sessions, permit, grants, mut visit, token_parameter, .. } = request;
    let services = sessions.services.clone();
    if services.leaving.is_cancelled() {
        return Err(Refusal::new(Code::Draining, "this node is leaving; ask again to reach another one").into());
    }
    let (asked, others) = events::read(request, token_parameter.as_deref(), &services.limits).await?;
    let mut wait = WAIT;
    for (name, value) in others {
        let seconds = if name == "wait" { value.parse().ok() } else { None };
        let wrong = || {
            let pair = format!("{name}={value}");
            let problem = format!(
                "{pair:?} is no parameter here; there are subject, after, snapshot, format, and wait, in seconds"
            );
            Refusal::new(Code::BadRequest, problem)
        };
        wait = LONGEST_WAIT.min(Duration::from_secs(seconds.ok_or_else(wrong)?));
    }
    let granted = asked.granted_to(grants, &services.limits)?;
    // Before anything is read: an answer holds its bytes until the client has taken it.
    let whole = services.limits.event_bytes.bytes().max(services.limits.batch_bytes.bytes());
    visit.reserve(room(ANSWER_BYTES.saturating_add(whole))).await?;
    let bounds = PollBounds { wait, bytes: ANSWER_BYTES, frames: services.limits.fetch_events };
    let frames = gather(granted, bounds, permit, &sessions).await;
    let mut response = response::of_type("application/x-ndjson", visit.hold(frames).await?);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
