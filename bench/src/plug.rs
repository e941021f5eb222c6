//! The protocols of all servers, as far as a subscriber needs them: how to come in, how to subscribe, how to see that
//! it is done, and what keeps a connection alive.

use crate::frame::{self, BINARY, PING, PONG, TEXT};

/// A protocol.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Plug {
    /// `notifier.v1.json`.
    NotifierJson,
    /// `notifier.v1.proto`.
    NotifierProto,
    /// The node's event streams.
    NotifierEvents,
    /// nats-server's own protocol over WebSocket.
    Nats,
    /// Centrifugo's bidirectional JSON protocol.
    Centrifugo,
    /// The floor's, the naive server's, and the `ws` peer's: a subject as text is a subscription, answered `ok`.
    Plain,
}

/// Something to send, and the bytes that show that it is done.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Step {
    /// Sent as it is; nothing for "nothing to send".
    pub say: Vec<u8>,
    /// Nothing for "nothing to wait for".
    pub until: &'static [u8],
    /// How often those have to come.
    pub times: usize,
}

impl Step {
    /// Whether `received` is what was waited for.
    pub fn is_done(&self, received: &[u8]) -> bool {
        self.until.is_empty() || memchr::memmem::find_iter(received, self.until).take(self.times).count() == self.times
    }
}

impl Plug {
    /// Whether the client is silent after its request, which names all that it subscribes to.
    pub fn is_stream(self) -> bool {
        self == Self::NotifierEvents
    }

    /// The beginning of the answer to a request that opens a connection.
    pub fn status(self) -> &'static [u8] {
        if self.is_stream() { b"HTTP/1.1 200" } else { b"HTTP/1.1 101" }
    }

    /// The request that opens a connection, of a client with this token. `subjects` is what a client subscribes to that
    /// says nothing else.
    pub fn request(self, token: Option<&str>, subjects: &[String]) -> Vec<u8> {
        match self {
            Self::NotifierJson => frame::upgrade("/v1/ws", Some("notifier.v1.json"), token),
            Self::NotifierProto => frame::upgrade("/v1/ws", Some("notifier.v1.proto"), token),
            Self::NotifierEvents => {
                let asked: Vec<String> = subjects.iter().map(|subject| format!("subject={subject}")).collect();
                frame::get(&format!("/v1/events?{}", asked.join("&")), "text/event-stream", token)
            }
            Self::Nats | Self::Plain => frame::upgrade("/", None, token),
            Self::Centrifugo => frame::upgrade("/connection/websocket", None, token),
        }
    }

    /// Comes in without subscribing to anything.
    pub fn hello(self) -> Step {
        match self {
            Self::NotifierJson => step(TEXT, b"{\"connect\":{}}", b"\"welcome\""),
            Self::NotifierProto => step(BINARY, &proto::connect(None), b"\x1a"), // field 3 of the frame, welcome
            Self::Nats => step(BINARY, &[NATS_CONNECT, b"PING\r\n"].concat(), b"PONG"),
            Self::Centrifugo => step(TEXT, b"{\"id\":1,\"connect\":{}}", b"\"id\":1"),
            Self::NotifierEvents => Step { until: b"\"welcome\"", times: 1, ..Step::default() },
            Self::Plain => Step::default(),
        }
    }

    /// Subscribes to `subject` on a connection that has said hello.
    pub fn subscribe(self, subject: &str) -> Step {
        match self {
            Self::NotifierJson => {
                step(TEXT, format!("{{\"subscribe\":{{\"subject\":\"{subject}\"}}}}").as_bytes(), b"\"subscribed\"")
            }
            Self::NotifierProto => step(BINARY, &proto::subscribe(subject), PROTO_LIVE),
            Self::Nats => step(BINARY, format!("SUB {subject} 1\r\nPING\r\n").as_bytes(), b"PONG"),
            Self::Centrifugo => {
                let command = format!("{{\"id\":2,\"subscribe\":{{\"channel\":\"{subject}\"}}}}");
                step(TEXT, command.as_bytes(), b"\"id\":2,\"subscribe\"")
            }
            Self::NotifierEvents => Step { until: b"\"subscribed\"", times: 1, ..Step::default() },
            Self::Plain => step(TEXT, subject.as_bytes(), b"ok"),
        }
    }

    /// Says hello and subscribes to `subjects`, in one frame where the protocol can. Of several only the node's JSON
    /// clients and event streams take more than the first.
    pub fn enter(self, subjects: &[String]) -> Step {
        let subject = subjects.first().map_or("", String::as_str);
        match self {
            Self::NotifierJson => {
                let asked: Vec<String> =
                    subjects.iter().map(|subject| format!("{{\"subject\":\"{subject}\"}}")).collect();
                let connect = format!("{{\"connect\":{{\"subscriptions\":[{}]}}}}", asked.join(","));
                Step { times: subjects.len(), ..step(TEXT, connect.as_bytes(), b"\"subscribed\"") }
            }
            Self::NotifierProto => step(BINARY, &proto::connect(Some(subject)), PROTO_LIVE),
            Self::Nats => {
                let subscribe = format!("SUB {subject} 1\r\nPING\r\n");
                step(BINARY, &[NATS_CONNECT, subscribe.as_bytes()].concat(), b"PONG")
            }
            Self::Centrifugo => {
                let commands =
                    format!("{{\"id\":1,\"connect\":{{}}}}\n{{\"id\":2,\"subscribe\":{{\"channel\":\"{subject}\"}}}}");
                step(TEXT, commands.as_bytes(), b"\"id\":2,\"subscribe\"")
            }
            Self::NotifierEvents => Step { times: subjects.len(), ..self.subscribe(subject) },
            Self::Plain => self.subscribe(subject),
        }
    }

    /// What to answer to a read that holds no event: Pongs for its Pings, whatever a Ping is in this protocol.
    pub fn answer(self, mut read: &[u8]) -> Vec<u8> {
        let mut answer = Vec::new();
        if self.is_stream() {
            return answer; // lines of text, of which nobody wants an answer
        }
        while let Some(frame) = frame::first(read) {
            match (self, frame.opcode, frame.payload) {
                (_, PING, payload) => answer.extend(frame::from_client(PONG, payload)),
                (Self::Centrifugo, TEXT, b"{}") => answer.extend(frame::from_client(TEXT, b"{}")),
                (Self::Nats, _, b"PING\r\n") => answer.extend(frame::from_client(BINARY, b"PONG\r\n")),
                _ => {}
            }
            read = &read[frame.length..];
        }
        answer
    }
}

const NATS_CONNECT: &[u8] =
    b"CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true}\r\n";

/// Field 2 of `Subscribed`, the delivery, is "live".
const PROTO_LIVE: &[u8] = b"\x12\x04live";

fn step(opcode: u8, payload: &[u8], until: &'static [u8]) -> Step {
    Step { say: frame::from_client(opcode, payload), until, times: 1 }
}

/// Frames of `notifier.v1.proto`, by hand: all lengths here fit one byte.
mod proto {
    /// `ClientBatch{frames: [{connect: {subscriptions: [{subject}]}}]}`.
    pub(super) fn connect(subject: Option<&str>) -> Vec<u8> {
        let connect = subject.map_or_else(Vec::new, |subject| field(3, &field(1, subject.as_bytes())));
        field(1, &field(2, &connect))
    }

    /// `ClientBatch{frames: [{subscribe: {subject}}]}`.
    pub(super) fn subscribe(subject: &str) -> Vec<u8> {
        field(1, &field(3, &field(1, subject.as_bytes())))
    }

    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        assert!(content.len() < 128, "subjects of this program are short");
        let mut out = vec![number << 3 | 2, content.len() as u8];
        out.extend_from_slice(content);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(step: &Step) -> &[u8] {
        frame::first(&step.say).expect("a whole frame").payload
    }

    #[test]
    fn each_protocol_enters_in_its_own_words() {
        let json = br#"{"connect":{"subscriptions":[{"subject":"b.0"}]}}"#;
        let one = ["b.0".to_owned()];
        assert_eq!(said(&Plug::NotifierJson.enter(&one)), json);
        assert_eq!(said(&Plug::NotifierProto.enter(&one)), b"\x0a\x09\x12\x07\x1a\x05\x0a\x03b.0");
        assert_eq!(said(&Plug::NotifierProto.hello()), b"\x0a\x02\x12\x00");
        assert_eq!(said(&Plug::NotifierProto.subscribe("b.0")), b"\x0a\x07\x1a\x05\x0a\x03b.0");
        assert!(said(&Plug::Nats.enter(&one)).ends_with(b"}\r\nSUB b.0 1\r\nPING\r\n"));
        assert_eq!(said(&Plug::Plain.enter(&one)), b"b.0");
        assert_eq!(said(&Plug::Centrifugo.enter(&one)).split(|byte| *byte == b'\n').count(), 2);
    }

    #[test]
    fn who_asks_for_several_subjects_waits_for_each() {
        let several = ["b.0".to_owned(), "b.1".to_owned()];
        let step = Plug::NotifierJson.enter(&several);
        assert_eq!(said(&step), br#"{"connect":{"subscriptions":[{"subject":"b.0"},{"subject":"b.1"}]}}"#);
        let answer = br#"{"welcome":{}}{"subscribed":{}}"#;
        assert!(!step.is_done(answer));
        assert!(step.is_done(&[&answer[..], br#"{"subscribed":{}}"#].concat()));
    }

    #[test]
    fn an_event_stream_asks_for_its_subjects_in_its_request() {
        let several = ["b.0".to_owned(), "b.1".to_owned()];
        let request = String::from_utf8(Plug::NotifierEvents.request(Some("t"), &several)).expect("text");
        assert!(request.starts_with("GET /v1/events?subject=b.0&subject=b.1 HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("\r\nAuthorization: Bearer t\r\n") && request.ends_with("\r\n\r\n"), "{request}");
        let step = Plug::NotifierEvents.enter(&several);
        assert_eq!((&step.say[..], step.times), (&b""[..], 2));
    }

    #[test]
    fn pings_are_answered_wherever_they_stand_in_a_read() {
        let read = [&b"\x81\x02hi\x89\x01p\x8a\x00"[..], b"\x89\x00\x82\x06PING\r\n"].concat();
        let pongs = [frame::from_client(PONG, b"p"), frame::from_client(PONG, b"")].concat();
        assert_eq!(Plug::Plain.answer(&read), pongs);
        assert_eq!(Plug::Nats.answer(&read), [pongs, frame::from_client(BINARY, b"PONG\r\n")].concat());
        assert_eq!(Plug::Centrifugo.answer(b"\x81\x02{}"), frame::from_client(TEXT, b"{}"));
        // A line may begin like a Ping.
        assert_eq!(Plug::NotifierEvents.answer(b"i\x01:"), b"");
    }
}
