//! Rejects a connection before HTTP is spoken with it: too many are open, or TLS was
//! expected.

use std::{io, time::Duration};

use hyper::StatusCode;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::{
    error::Refusal,
    server::{event_query::format_of, response},
};

/// Time that a client has to read the answer.
const FAREWELL_TIME: Duration = Duration::from_secs(1);

/// Time that a request has to come in: its kind decides how it is refused.
const REQUEST_TIME: Duration = Duration::from_millis(300);

/// Bytes of a request that are looked at.
const REQUEST_BYTES: usize = 8 * 1024;

/// Answers with a refusal whatever the client sends, and ends the connection when the
/// client has read it, or had the time to.
pub(crate) async fn reject(stream: TcpStream, refusal: Refusal) {
    // Whether it hears us is its own affair.
    let _ = timeout(FAREWELL_TIME, tell(stream, refusal)).await;
}

async fn tell(mut stream: TcpStream, refusal: Refusal) -> io::Result<()> {
    let mut request = Vec::new();
    if refusal.code.retryable() {
        // What has not come by then is no reader of an event stream.
        let _ = timeout(REQUEST_TIME, read_head(&mut stream, &mut request)).await;
    }
    let answer = answer(&String::from_utf8_lossy(&request), refusal);
    stream.write_all(&answer).await?;
    stream.shutdown().await?;
    // Closing with unread bytes would destroy the answer on its way.
    tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.map(drop)
}

async fn read_head(stream: &mut TcpStream, head: &mut Vec<u8>) -> io::Result<()> {
    while head.len() < REQUEST_BYTES && !head.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
        if stream.read_buf(head).await? == 0 {
            break;
        }
    }
    Ok(())
}

/// The answer to a request. A page of another origin cannot read what it is not
/// allowed to, and an `EventSource` there would give up: a refusal holds no secret.
fn answer(request: &str, refusal: Refusal) -> Vec<u8> {
    let (status, media_type, retry_after, body) = if is_of_event_source(request) {
        let query = target(request).split_once('?').map_or("", |(_, query)| query);
        let body = response::ending_stream(format_of(query), refusal);
        ("200 OK".to_owned(), response::EVENT_STREAM, "cache-control: no-store\r\n", body)
    } else {
        let status = StatusCode::from_u16(refusal.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = if refusal.code.retryable() { "retry-after: 1\r\n" } else { "" };
        (status.to_string(), "application/json", retry_after, response::body(refusal))
    };
    let origin = header(request, "origin").map_or_else(String::new, |origin| {
        format!("access-control-allow-origin: {origin}\r\naccess-control-allow-credentials: true\r\n")
    });
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {media_type}\r\n{retry_after}{origin}connection: close\r\ncontent-length: \
         {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), &body].concat()
}

/// Whether the request is that of an `EventSource`, which would give up for ever at a
/// status other than 200.
fn is_of_event_source(request: &str) -> bool {
    let path = target(request).split('?').next().unwrap_or_default();
    let accepts = header(request, "accept").is_some_and(|accept| accept.contains(response::EVENT_STREAM));
    path.ends_with("/v1/events") && accepts
}

fn target(request: &str) -> &str {
    request.split(' ').nth(1).unwrap_or_default()
}

/// The value of a header, if it is plain.
fn header<'r>(request: &'r str, name: &str) -> Option<&'r str> {
    let lines = request.lines().skip(1).take_while(|line| !line.is_empty());
    let value = lines.filter_map(|line| line.split_once(':')).find(|(key, _)| key.eq_ignore_ascii_case(name))?.1;
    Some(value.trim()).filter(|value| value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    fn answered(request: &str) -> String {
        let refusal = Refusal::new(Code::ConnectionLimit, "full");
        String::from_utf8(answer(request, refusal)).expect("text")
    }

    #[test]
    fn an_event_source_is_told_in_a_stream_that_ends_and_others_by_a_status() {
        let events = "GET /notifier/v1/events?subject=a HTTP/1.1\r\nHost: a\r\naccept: text/event-stream\r\n";
        let text = answered(&format!("{events}Origin: https://shop.example\r\n\r\n"));
        assert!(text.starts_with("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"), "{text}");
        assert!(text.contains("\r\naccess-control-allow-origin: https://shop.example\r\n"), "{text}");
        assert!(text.contains("\r\n\r\nretry: ") && text.contains("\"code\":\"connection_limit\""), "{text}");
        let named = answered(&format!("{}\r\n", events.replace("subject=a", "subject=a&format=event")));
        assert!(named.contains("\nevent: error\ndata: {\"code\":\"connection_limit\""), "{named}");
        for other in ["", "GET /v1/events HTTP/1.1\r\nHost: a\r\n\r\n", &events.replace("/v1/events", "/v1/ws")] {
            let text = answered(other);
            assert!(text.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{text}");
            assert!(!text.contains("allow-origin"), "{text}");
        }
    }
}
