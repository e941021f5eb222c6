//! Responses over HTTP. A response has the form that the same answer has on a
//! WebSocket: one frame as JSON.

use std::{convert::Infallible, ops::Range};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use hyper::{Response, StatusCode, header};
use serde_json::Value;

use crate::{
    codec::{self, EventFormat},
    error::{Code, Refusal},
    proto::{ServerFrame, server_frame::Body},
    server::visit::Visit,
};

/// An answer over HTTP. A body without a known length is a stream (see
/// `portions`).
pub(crate) type HttpResponse = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// The media type of an event stream.
pub(crate) const EVENT_STREAM: &str = "text/event-stream";

/// The time after which an `EventSource` that was refused comes back, milliseconds.
const RETRY_MS: Range<u64> = 1_000..10_000;

/// A request that was refused, with headers that the status calls for.
pub(crate) struct Refused {
    refusal: Refusal,
    headers: Vec<(header::HeaderName, &'static str)>,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, headers: Vec::new() }
    }
}

impl Refused {
    /// The same with one more header.
    pub(crate) fn with(mut self, name: header::HeaderName, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn code(&self) -> Code {
        self.refusal.code
    }

    /// The refusal to an `EventSource`, which would give up for ever at its status: an
    /// event stream that says it, and ends.
    pub(crate) fn into_event_stream(self, format: EventFormat) -> HttpResponse {
        let body = ending_stream(format, self.refusal);
        let mut response = of_type(EVENT_STREAM, body);
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
        headers.insert(header::CONNECTION, header::HeaderValue::from_static("close"));
        response
    }

    pub(crate) fn into_response(self) -> HttpResponse {
        let status = self.refusal.code.status();
        let wait = self.refusal.retry_after.map(|wait| wait.as_millis().div_ceil(1_000).max(1));
        let retry_after = self.refusal.code.retryable().then(|| wait.unwrap_or(1).to_string());
        let mut response = json(body(self.refusal));
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in self.headers {
            response.headers_mut().insert(name, header::HeaderValue::from_static(value));
        }
        if let Some(seconds) = retry_after.and_then(|seconds| header::HeaderValue::try_from(seconds).ok()) {
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}

/// A frame as the answer, which counts for its client until that has taken it.
///
/// # Errors
/// The refusal of an answer that there is no room for.
pub(crate) async fn frame(body: Body, visit: Visit) -> Result<HttpResponse, Refused> {
    Ok(json(visit.hold(line(&ServerFrame { reply_to: 0, body: Some(body) })).await?))
}

/// Bytes that an answer with `data` bytes of data may take: as base64, and
/// with all that is written around it.
pub(crate) fn room(data: usize) -> usize {
    const AROUND: usize = 256 * 1024;
    data.saturating_add(data / 3).saturating_add(AROUND)
}

/// JSON text as the answer.
pub(crate) fn json(body: impl Into<Bytes>) -> HttpResponse {
    let mut response = of_type("application/json", body);
    response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}

/// The state of something as the answer.
pub(crate) fn state(status: StatusCode, state: &Value) -> HttpResponse {
    let mut response = json(format!("{state}\n"));
    *response.status_mut() = status;
    response
}

/// A whole body of a media type as the answer.
pub(crate) fn of_type(media_type: &'static str, body: impl Into<Bytes>) -> HttpResponse {
    let mut response = Response::new(Full::new(body.into()).boxed_unsync());
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(media_type));
    response
}

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> HttpResponse {
    let mut response = Response::new(Full::default().boxed_unsync());
    *response.status_mut() = status;
    response
}

/// A refusal as the `error` frame that it would be on a WebSocket.
pub(crate) fn body(refusal: Refusal) -> Bytes {
    line(&ServerFrame { reply_to: 0, body: Some(Body::Error(refusal.into())) }).into()
}

/// A refusal as an event stream that ends, and after which an `EventSource` comes back: at
/// a random moment, since many may have been refused together.
pub(crate) fn ending_stream(format: EventFormat, refusal: Refusal) -> Bytes {
    let least = refusal.retry_after.map_or(0, |wait| wait.as_millis() as u64);
    let retry_ms = fastrand::u64(RETRY_MS).max(least);
    let frame = ServerFrame { reply_to: 0, body: Some(Body::Error(refusal.into())) };
    codec::ending(format, retry_ms, &frame).as_bytes().clone()
}

/// With a line feed at the end: people read it in a terminal.
fn line(frame: &ServerFrame) -> Vec<u8> {
    let mut line = serde_json::to_vec(frame).unwrap_or_default();
    line.push(b'\n');
    line
}
