//! Event streams: `GET|QUERY|POST /v1/events`. The stream is taken from the HTTP
//! library, so that an event is written to it as to a WebSocket.

use std::{sync::LazyLock, time::SystemTime};

use bytes::Bytes;
use hyper::{
    HeaderMap, Method, Request, StatusCode,
    body::Incoming,
    header::{self, HeaderName, HeaderValue},
};
use time::{OffsetDateTime, format_description::OwnedFormatItem};

use crate::{
    config::Limits,
    error::{Code, Refusal},
    server::{
        body,
        event_query::EventQuery,
        header_list::elements,
        http::plain,
        query::parameters,
        response::{self, EVENT_STREAM, HttpResponse, Refused},
        route::StreamRequest,
        started_stream::StartedStream,
    },
    session::EventStreamRequest,
};

/// Up to where a client has everything (HTML Standard 9.2.5).
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Tells nginx, and those who copy it, to pass bytes on as they come.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Bytes of a body that are taken whatever `limits.message_bytes` says: 512
/// subscriptions and their positions.
const BODY_BYTES: usize = 64 * 1024;

/// `GET|QUERY|POST /v1/events`.
pub(crate) async fn events(request: StreamRequest) -> Result<StartedStream, Refused> {
    let (limits, grants) = (request.sessions.services.limits.clone(), request.grants.clone());
    let StreamRequest { request, token_parameter, .. } = request;
    let (asked, others) = read(request, token_parameter.as_deref(), &limits).await?;
    if let Some((name, _)) = others.first() {
        let message = format!("there is no parameter `{name}`; there are subject, after, snapshot and format");
        return Err(Refusal::new(Code::BadRequest, message).into());
    }
    let granted = asked.granted_to(grants, &limits)?;
    let mut head = response::of_type(EVENT_STREAM, Bytes::new());
    head.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    head.headers_mut().insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    Ok(StartedStream { head, granted })
}

/// The subscriptions that a request asks for, and the parameters that say something else.
pub(crate) async fn read(
    request: Request<Incoming>,
    token_parameter: Option<&str>,
    limits: &Limits,
) -> Result<(EventStreamRequest, Vec<(String, String)>), Refused> {
    let (mut query, mut others) = (EventQuery::default(), Vec::new());
    for (name, value) in parameters(request.uri().query().unwrap_or_default(), token_parameter) {
        let kept = value.clone();
        if !query.take(name, value)? {
            others.push((name.to_owned(), kept.into_owned()));
        }
    }
    let headers = request.headers();
    if let Some(id) = headers.get(LAST_EVENT_ID).filter(|id| !id.is_empty()) {
        query.resume("Last-Event-ID", id.to_str().unwrap_or("?"))?;
    }
    if *request.method() != Method::GET {
        plain(headers)?;
        let most = limits.message_bytes.bytes().max(BODY_BYTES);
        let too_large = || Refusal::new(Code::TooLarge, format!("the body has more than {most} bytes"));
        let time = limits.message_time.duration();
        let body = body::read(request.into_body(), most, time, too_large).await?;
        query.take_body(&body)?;
    }
    Ok((query.finish(), others))
}

/// Whether a client asks for an event stream and for nothing else, as an `EventSource`
/// does: one that gives up for ever at any status but 200.
pub(crate) fn is_event_source(headers: &HeaderMap) -> bool {
    elements(headers, &header::ACCEPT).any(|range| {
        let media_type = range.split(';').next().unwrap_or_default().trim();
        media_type.eq_ignore_ascii_case(EVENT_STREAM)
    })
}

/// The head of a response whose body lasts as long as its connection.
pub(crate) fn head_bytes(head: &HttpResponse) -> Bytes {
    static DATE: LazyLock<Option<OwnedFormatItem>> = LazyLock::new(|| {
        const TEXT: &str = "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT";
        time::format_description::parse_owned::<2>(TEXT).ok()
    });
    let mut bytes = format!("HTTP/1.1 {}\r\nconnection: close\r\n", StatusCode::OK).into_bytes();
    let now = OffsetDateTime::from(SystemTime::now());
    if let Some(date) = DATE.as_ref().and_then(|format| now.format(format).ok()) {
        bytes.extend_from_slice(format!("date: {date}\r\n").as_bytes());
    }
    for (name, value) in head.headers() {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_client_that_names_an_event_stream_is_an_event_source() {
        for (accept, expected) in [
            ("text/event-stream", true),
            ("text/html, Text/Event-Stream;q=0.9", true),
            ("*/*", false),
            ("text/*", false),
            ("application/json", false),
        ] {
            let headers = [(header::ACCEPT, HeaderValue::from_static(accept))].into_iter().collect();
            assert_eq!(is_event_source(&headers), expected, "{accept}");
        }
        assert!(!is_event_source(&HeaderMap::new()));
    }

    #[test]
    fn a_head_ends_with_an_empty_line_and_says_that_the_connection_ends_with_the_body() {
        let head = head_bytes(&response::of_type(EVENT_STREAM, Bytes::new()));
        let text = str::from_utf8(&head).expect("text");
        assert!(text.starts_with("HTTP/1.1 200 OK\r\nconnection: close\r\ndate: "), "{text}");
        assert!(text.contains(" GMT\r\n") && text.ends_with("content-type: text/event-stream\r\n\r\n"), "{text}");
    }
}
