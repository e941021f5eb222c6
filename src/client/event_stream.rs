//! A client of event streams: the frames of a WebSocket for those who have none. It
//! comes back as an `EventSource` does, with the last `id`, after the time that the
//! node tells.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use http_body_util::Empty;
use hyper::{Request, StatusCode, header, http::response::Parts};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{
    client::{address::NodeAddress, error::ClientError, event_parser::EventParser},
    close::CloseReason,
    codec::{Encoding, EventFormat},
    error::Code,
    proto::{Position, ServerFrame, server_frame::Body},
    socket::{HttpStream, SocketError},
    tls::Trust,
};

/// The path of event streams, behind that of the node's address.
const PATH: &str = "/v1/events";

/// The media type of an event stream.
const MEDIA_TYPE: &str = "text/event-stream";

/// Bytes of a refusal that are read; a proxy's may be a page.
const REFUSAL_BYTES: usize = 64 * 1024;

/// The request for an event stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventStreamQuery {
    /// Subjects and patterns.
    pub subjects: Vec<String>,
    /// The positions to resume from, where there is no `id`.
    pub after: Vec<Position>,
    /// Whether the newest event of each subject comes first.
    pub snapshot: bool,
    /// The access token, or none.
    pub token: String,
    /// The last `id` that came, or none.
    pub last_id: String,
}

/// An event stream of a node.
#[derive(Debug)]
pub struct EventStream {
    stream: HttpStream,
    parser: EventParser,
    received: VecDeque<ServerFrame>,
    /// Why the node ends the stream, once it has said so.
    end: Option<ClientError>,
    welcomed: bool,
}

impl EventStreamQuery {
    fn path(&self, path: &str) -> String {
        let escaped = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let subjects = self.subjects.iter().map(|subject| format!("subject={}", escaped(subject)));
        let after = self.after.iter().map(|position| format!("after={}", escaped(&position.to_string())));
        let snapshot = self.snapshot.then(|| "snapshot=true".to_owned());
        let parameters: Vec<String> = subjects.chain(after).chain(snapshot).collect();
        format!("{path}?{}", parameters.join("&"))
    }
}

impl EventStream {
    /// Asks a node for an event stream.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn open(url: &str, asked: &EventStreamQuery, trust: &Trust) -> Result<Self, ClientError> {
        let address = NodeAddress::resolve(url).await?;
        let mut request = Request::builder()
            .uri(asked.path(&address.path(PATH)))
            .header(header::HOST, &address.authority)
            .header(header::ACCEPT, MEDIA_TYPE);
        if !asked.token.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", asked.token));
        }
        if !asked.last_id.is_empty() {
            request = request.header("last-event-id", &asked.last_id);
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(SocketError::Request)?;
        let trust = address.secure.then_some(trust);
        let (head, stream) = HttpStream::open(&address.addresses, &address.authority, request, trust).await?;
        if !is_event_stream(&head) {
            return Err(refusal(&head, stream).await);
        }
        let parser = EventParser::after(asked.last_id.clone());
        Ok(Self { stream, parser, received: VecDeque::new(), end: None, welcomed: false })
    }

    /// The `id` to resume from: that of the last whole message.
    pub fn last_id(&self) -> &str {
        self.parser.last_id()
    }

    /// How long to wait before coming back, where the node has told it.
    pub fn retry(&self) -> Option<Duration> {
        self.parser.retry_ms().map(Duration::from_millis)
    }

    /// Waits for the next frame. An `error` is returned as the error it is, but where it says that nothing comes for a
    /// subscription now; the end of the stream as [`ClientError::StreamEnded`].
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn next(&mut self) -> Result<ServerFrame, ClientError> {
        loop {
            let Some(frame) = self.received.pop_front() else {
                self.read().await?;
                continue;
            };
            match &frame.body {
                Some(Body::Welcome(_)) => self.welcomed = true,
                // The last frame: a `goaway` ahead of the end tells how long there is.
                Some(Body::Goaway(goaway)) if goaway.window_ms == 0 => self.end = Some(ended(&goaway.reason)),
                // A refusal that may pass, for readers that take a status other than 200 for final.
                Some(Body::Error(error)) if error.retryable && !self.welcomed => {
                    let reason = format!("{}: {}", error.code, error.message);
                    self.end = Some(ClientError::StreamEnded { reason, reconnect: true });
                }
                Some(Body::Error(error)) if error.code != Code::BrokerRefused.label() => {
                    return Err(ClientError::Refused { code: error.code.clone(), message: error.message.clone() });
                }
                _ => {}
            }
            return Ok(frame);
        }
    }

    async fn read(&mut self) -> Result<(), ClientError> {
        let bytes = match self.stream.next().await {
            Ok(Some(bytes)) => bytes,
            // A node that was killed says nothing; from then on it is as after any end.
            Ok(None) | Err(_) if self.welcomed || self.end.is_some() => {
                return Err(self.end.take().unwrap_or_else(|| ended(CloseReason::Lost.label())));
            }
            Ok(None) => return Err(ClientError::NoEventStream("it ended before its first message".into())),
            Err(error) => return Err(error.into()),
        };
        let Self { parser, received, .. } = self;
        let mut bad = None;
        let pushed = parser.push(&bytes, |data| match Encoding::EventStream(EventFormat::Frames).read_server(data) {
            Ok(frames) => received.extend(frames),
            Err(why) => bad = bad.take().or(Some(why)),
        });
        pushed.map_err(|why| ClientError::NoEventStream(why.to_string()))?;
        bad.map_or(Ok(()), |why| Err(why.into()))
    }
}

/// The end of a stream. The close code that a WebSocket would have decides whether to come back; where it is final, the
/// status of the next request says so too.
fn ended(reason: &str) -> ClientError {
    let known = CloseReason::ALL.iter().find(|known| known.label() == reason);
    let reconnect = known.is_none_or(|known| known.reconnect());
    ClientError::StreamEnded { reason: reason.to_owned(), reconnect }
}

fn is_event_stream(head: &Parts) -> bool {
    let content_type = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    head.status == StatusCode::OK && content_type.is_some_and(|told| told.starts_with(MEDIA_TYPE))
}

/// The refusal that a body says, or that of somebody else.
async fn refusal(head: &Parts, mut stream: HttpStream) -> ClientError {
    let mut body = Vec::new();
    while let Ok(Some(bytes)) = stream.next().await
        && body.len() < REFUSAL_BYTES
    {
        body.extend_from_slice(&bytes);
    }
    let frames = Encoding::Json.read_server(&body).unwrap_or_default();
    let refused = frames.into_iter().find_map(|frame| match frame.body {
        Some(Body::Error(error)) => Some(ClientError::Refused { code: error.code, message: error.message }),
        _ => None,
    });
    refused.unwrap_or_else(|| ClientError::NoEventStream(format!("the answer is {}", head.status)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_its_subjects_and_positions() {
        let position = |text: &str| text.parse().expect("a position");
        let request = EventStreamQuery {
            subjects: vec!["shop.>".into(), "a".into()],
            after: vec![position("SHOP/17/42")],
            snapshot: true,
            ..EventStreamQuery::default()
        };
        let expected = "/v1/events?subject=shop%2E%3E&subject=a&after=SHOP%2F17%2F42&snapshot=true";
        assert_eq!(request.path("/v1/events"), expected);
    }

    #[test]
    fn a_reader_comes_back_after_an_end_unless_the_reason_is_final() {
        for (reason, reconnect) in [("draining", true), ("lost", true), ("revoked", false), ("of_later", true)] {
            assert_eq!(ended(reason).reconnect(), reconnect, "{reason}");
        }
    }
}
