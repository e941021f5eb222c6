//! A long poll: an event stream that is gathered in memory, and answered as frames of
//! one line each once there are any.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout_at};

use crate::{
    admission::Permit,
    clock::unix_millis,
    close::CloseReason,
    codec::{Encoding, EventFormat},
    journal::Reason,
    proto::{Gap, Ping, ServerFrame, server_frame::Body},
    session::{event_stream_request::GrantedEventStream, sessions::Sessions, state::reply, subscriber::Subscriber},
    socket::{Collector, Wire},
};

/// Time for subscriptions to become live, whatever a client waits for.
const SUBSCRIBE_TIME: Duration = Duration::from_secs(2);

/// A replay that pauses for so long is answered as far as it is.
const PAUSE: Duration = Duration::from_millis(50);

/// The bounds of one answer.
#[derive(Clone, Copy, Debug)]
pub struct PollBounds {
    /// How long to wait for an event.
    pub wait: Duration,
    /// Bytes of frames, and one message more.
    pub bytes: usize,
    /// Frames, and those of one message more.
    pub frames: usize,
}

/// The answer to a poll: frames, one per line, the last of them a `ping` with the cursor
/// to go on from. In other formats a line is an event, or a frame that says what will not come.
pub async fn poll(
    granted: GrantedEventStream,
    bounds: PollBounds,
    permit: Arc<Permit>,
    sessions: &Arc<Sessions>,
) -> Vec<u8> {
    let collector = Collector::new(bounds.bytes);
    let encoding = Encoding::EventStream(granted.format);
    let mut subscriber = Subscriber::new(Wire::memory(collector.clone()), encoding, permit, sessions);
    let (cursor, format) = (granted.cursor.to_string(), granted.format);
    let mut answer = PollAnswer { cursor, format, ..PollAnswer::default() };
    if let Some(gap) = missed(&granted, sessions) {
        answer.push(&reply(0, Body::Gap(gap)));
    }
    let awaited = granted.patterns.len() + granted.refused.len();
    subscriber.begin_poll(granted);
    subscriber.register();
    let begun = Instant::now();
    let (deadline, latest) = (begun + bounds.wait, begun + bounds.wait.max(SUBSCRIBE_TIME));
    loop {
        answer.take(&collector.drain());
        let settled = answer.settled >= awaited;
        if collector.is_over() || answer.frames >= bounds.frames || (answer.news && settled) {
            break;
        }
        let until = match (answer.news, settled) {
            (true, _) => (Instant::now() + PAUSE).min(latest),
            (false, true) => deadline,
            (false, false) => latest,
        };
        if timeout_at(until, collector.changed()).await.is_err() {
            answer.take(&collector.drain());
            break;
        }
    }
    // What is written from now on is behind the cursor, and comes with the next poll.
    subscriber.outbox().close(CloseReason::Normal);
    subscriber.outbox().wire().shut_down();
    let link = subscriber.services().broker.state().link();
    answer.push(&reply(
        0,
        Body::Ping(Ping {
            broker: link.label().into(),
            time: unix_millis(),
            cursor: answer.cursor.clone(),
            ..Ping::default()
        }),
    ));
    answer.lines
}

/// Live events between two polls, of which nobody knows.
fn missed(granted: &GrantedEventStream, sessions: &Sessions) -> Option<Gap> {
    let classes = sessions.services.broker.classes();
    let is_live = granted.goes_on && granted.patterns.iter().any(|(pattern, _)| classes.reach(pattern).live);
    let subject = match &granted.patterns[..] {
        [(pattern, _)] => pattern.to_string(),
        _ => String::new(),
    };
    is_live.then(|| Gap { subject, reason: Reason::Overflow.label().into(), ..Gap::default() })
}

/// An answer that is being gathered.
#[derive(Debug, Default)]
struct PollAnswer {
    lines: Vec<u8>,
    frames: usize,
    /// Something that the client waits for.
    news: bool,
    /// Subscriptions that are live, or refused.
    settled: usize,
    /// The cursor behind all of it, as the last `id` tells.
    cursor: String,
    format: EventFormat,
    /// The name of the message that is being read, of an event stream that names them.
    name: Vec<u8>,
}

impl PollAnswer {
    fn push(&mut self, frame: &ServerFrame) {
        self.lines.extend(serde_json::to_vec(frame).unwrap_or_default());
        self.lines.push(b'\n');
    }

    /// Takes whole messages of an event stream.
    fn take(&mut self, messages: &[u8]) {
        for line in messages.split(|byte| *byte == b'\n') {
            if let Some(data) = line.strip_prefix(b"data: ") {
                if !self.format.is_single() {
                    self.take_line(body_of(data), &[data], true);
                } else if self.name.is_empty() {
                    self.take_line(b"event", &[data], true);
                } else {
                    let name = std::mem::take(&mut self.name);
                    let shown = !matches!(&*name, b"welcome" | b"subscribed" | b"ping");
                    self.take_line(&name, &[b"{\"", &name, b"\":", data, b"}"], shown);
                }
            } else if let Some(name) = line.strip_prefix(b"event: ") {
                self.name = name.to_vec();
            } else if let Some(id) = line.strip_prefix(b"id: ") {
                self.cursor = String::from_utf8_lossy(id).into_owned();
            }
        }
    }

    /// Takes a frame with this body, and its line if that is shown.
    fn take_line(&mut self, body: &[u8], parts: &[&[u8]], shown: bool) {
        match body {
            b"welcome" | b"ping" => {}
            b"subscribed" => self.settled += 1,
            b"error" => (self.settled, self.news) = (self.settled + 1, true),
            _ => self.news = true,
        }
        if shown {
            parts.iter().for_each(|part| self.lines.extend_from_slice(part));
            self.lines.push(b'\n');
            self.frames += 1;
        }
    }
}

/// The key of a frame's body, which stands first, or behind `replyTo`.
fn body_of(frame: &[u8]) -> &[u8] {
    let mut keys = frame.split(|byte| *byte == b'"').skip(1).step_by(2);
    match keys.next() {
        Some(b"replyTo") => keys.next().unwrap_or_default(),
        key => key.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_becomes_lines_and_its_last_id_the_cursor() {
        let mut answer = PollAnswer::default();
        answer.take(b"id: v1.\ndata: {\"welcome\":{}}\ndata: {\"subscribed\":{\"subject\":\"a\"}}\n\n");
        assert_eq!((answer.news, answer.settled, answer.frames), (false, 1, 2));
        answer.take(b"id: v1.S~1~5\ndata: {\"replyTo\":7,\"subscribed\":{}}\n\nid: v1.S~1~6\ndata: {\"event\":{}}\n\n");
        assert_eq!((answer.news, answer.settled, &*answer.cursor), (true, 2, "v1.S~1~6"));
        let expected = "{\"welcome\":{}}\n{\"subscribed\":{\"subject\":\"a\"}}\n{\"replyTo\":7,\"subscribed\":{}}\n{\"event\":{}}\n";
        assert_eq!(answer.lines, expected.as_bytes());
    }

    #[test]
    fn of_a_stream_of_events_the_lines_are_events_and_what_will_not_come() {
        let mut answer = PollAnswer { format: EventFormat::Event, ..PollAnswer::default() };
        answer.take(b"id: v1.\nevent: welcome\ndata: {}\n\nevent: subscribed\ndata: {\"subject\":\"a\"}\n\n");
        assert_eq!((answer.news, answer.settled, answer.frames), (false, 1, 0));
        answer.take(b"event: gap\ndata: {\"reason\":\"reset\"}\n\nid: v1.S~1~6\ndata: {\"subject\":\"a\"}\n\n");
        assert_eq!((answer.news, answer.frames, &*answer.cursor), (true, 2, "v1.S~1~6"));
        assert_eq!(answer.lines, b"{\"gap\":{\"reason\":\"reset\"}}\n{\"subject\":\"a\"}\n");
    }
}
