//! A message that is ready to be sent, shared by all its receivers.

use std::{cell::RefCell, ops::Range};

use bytes::{Buf as _, Bytes};
use fastwebsockets::OpCode;

use crate::{
    close::CloseReason,
    framing::{Framing, HEAD, write_head},
};

/// A scratch buffer grown beyond this by one large message is not kept.
const SCRATCH_KEPT: usize = 256 * 1024;

/// One complete message in shared memory: head, body and tail of its framing in
/// one piece, so the usual delivery is one plain write. The bodies of several data
/// messages can also be joined under one new head.
#[derive(Clone, Debug)]
pub struct EncodedMessage {
    framed: Bytes,
    /// Length of the head.
    head: u8,
    /// Length of the lead: the first bytes of the body, which another lead may stand for.
    lead: u16,
    /// The framing of a data message; none for a control frame.
    framing: Option<Framing>,
    events: u32,
}

impl EncodedMessage {
    /// A data message whose body `fill` writes.
    pub fn data(framing: Framing, fill: impl FnOnce(&mut Vec<u8>)) -> Self {
        Self::data_led(framing, |_| {}, fill)
    }

    /// The same with a lead in front: for one receiver the lead of its own may
    /// [stand there](Self::with_lead) instead. A lead has less than 64 KiB.
    pub fn data_led(framing: Framing, lead: impl FnOnce(&mut Vec<u8>), fill: impl FnOnce(&mut Vec<u8>)) -> Self {
        thread_local!(static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) });
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.clear();
            lead(scratch);
            let led = u16::try_from(scratch.len()).unwrap_or(0);
            fill(scratch);
            let mut head = [0; HEAD];
            let length = framing.write_head(scratch, &mut head);
            let message = Self::framed(&head[..length], scratch, framing.tail(), Some(framing));
            let message = Self { lead: led, ..message };
            if scratch.capacity() > SCRATCH_KEPT {
                *scratch = Vec::new();
            }
            message
        })
    }

    /// The Ping of a framing whose peers answer pings: every WebSocket
    /// implementation does so by itself.
    pub fn ping(framing: Framing) -> Option<Self> {
        framing.answers_pings().then(|| Self::control(OpCode::Ping, b""))
    }

    /// The last message of a connection: a Close frame with the code and the name
    /// of the reason; on an event stream a `goaway` with that name, and the time after
    /// which an `EventSource` comes back. What ends an event stream behind that is
    /// the end of its response.
    pub fn close(framing: Framing, reason: CloseReason) -> Self {
        match framing {
            Framing::WebSocket(_) => {
                let mut payload = reason.code().to_be_bytes().to_vec();
                payload.extend_from_slice(reason.label().as_bytes());
                Self::control(OpCode::Close, &payload)
            }
            Framing::EventStream | Framing::EventMessages => {
                let (retry, name) = (fastrand::u64(retry_ms(reason)), reason.label());
                let body = format!("{{\"reason\":\"{name}\"}}");
                let frame = match framing {
                    Framing::EventMessages => format!("event: goaway\ndata: {body}"),
                    _ => format!("data: {{\"goaway\":{body}}}"),
                };
                Self::raw(format!("retry: {retry}\n{frame}\n\n"))
            }
        }
    }

    /// The answer to a Ping; `payload` is at most 125 bytes, as the decoder checks.
    pub fn pong(payload: &[u8]) -> Self {
        Self::control(OpCode::Pong, payload)
    }

    /// The answer to the peer's Close: its own code, or none where it gave none.
    pub fn close_echo(code: Option<u16>) -> Self {
        let payload = code.map(u16::to_be_bytes);
        Self::control(OpCode::Close, payload.as_ref().map_or(&[][..], |code| code))
    }

    /// Several messages as one, sent in one write and never joined with others.
    pub fn sequence<'m>(messages: impl IntoIterator<Item = &'m Self>) -> Self {
        let framed: Vec<u8> = messages.into_iter().flat_map(|message| &message.framed[..]).copied().collect();
        Self::raw(framed)
    }

    /// Bytes that stand alone, in no framing: the head of an HTTP response.
    pub fn raw(bytes: impl Into<Bytes>) -> Self {
        Self { framed: bytes.into(), head: 0, lead: 0, framing: None, events: 0 }
    }

    /// A control frame of a WebSocket.
    fn control(opcode: OpCode, payload: &[u8]) -> Self {
        let mut head = [0; HEAD];
        let length = write_head(opcode, payload, &mut head);
        Self::framed(&head[..length], payload, b"", None)
    }

    fn framed(head: &[u8], body: &[u8], tail: &[u8], framing: Option<Framing>) -> Self {
        let mut framed = Vec::with_capacity(head.len() + body.len() + tail.len());
        framed.extend_from_slice(head);
        framed.extend_from_slice(body);
        framed.extend_from_slice(tail);
        // At most HEAD, so it fits.
        Self { framed: framed.into(), head: head.len() as u8, lead: 0, framing, events: 0 }
    }

    /// The same message, known to carry that many events, for the count of dropped ones.
    #[must_use]
    pub fn carrying(self, events: usize) -> Self {
        Self { events: u32::try_from(events).unwrap_or(u32::MAX), ..self }
    }

    /// The number of events that the message carries.
    pub fn events(&self) -> u32 {
        self.events
    }

    /// The whole message, ready for the socket.
    pub fn as_bytes(&self) -> &Bytes {
        &self.framed
    }

    /// The same message with another lead, in memory of its own.
    #[must_use]
    pub fn with_lead(&self, lead: &[u8]) -> Self {
        let Some(framing) = self.framing else { return self.clone() };
        let end = self.framed.len() - self.tail_len();
        let rest = &self.framed[usize::from(self.head) + usize::from(self.lead)..end];
        let message = Self::data_led(framing, |out| out.extend_from_slice(lead), |out| out.extend_from_slice(rest));
        Self { events: self.events, ..message }
    }

    /// The part of the message behind its lead, for a framing without heads.
    pub fn behind_lead(&self) -> &[u8] {
        &self.framed[usize::from(self.head) + usize::from(self.lead)..]
    }

    /// The body alone.
    pub fn body(&self) -> Bytes {
        self.clone().into_body()
    }

    /// Bytes of the body.
    pub fn body_len(&self) -> usize {
        self.framed.len() - usize::from(self.head) - self.tail_len()
    }

    /// The body alone, without the cost of sharing it once more.
    pub fn into_body(self) -> Bytes {
        let end = self.framed.len() - self.tail_len();
        let mut body = self.framed;
        body.truncate(end);
        body.advance(self.head.into());
        body
    }

    fn tail_len(&self) -> usize {
        self.framing.map_or(0, |framing| framing.tail().len())
    }

    /// Bytes on the wire.
    pub fn len(&self) -> usize {
        self.framed.len()
    }

    /// Whether the message has no bytes.
    pub fn is_empty(&self) -> bool {
        self.framed.is_empty()
    }

    /// The framing of a data message; none for a control frame, which is never joined.
    pub fn framing(&self) -> Option<Framing> {
        self.framing
    }
}

/// The time after which a reader of an event stream that was ended comes back,
/// milliseconds: soon where the ends are spread already, or another node waits.
fn retry_ms(reason: CloseReason) -> Range<u64> {
    match reason {
        CloseReason::Draining | CloseReason::TokenExpired => 100..1_000,
        _ => 1_000..10_000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framing::{JOINED_BYTES, MessageKind};

    const ALL: [Framing; 4] = [
        Framing::WebSocket(MessageKind::Text),
        Framing::WebSocket(MessageKind::Binary),
        Framing::EventStream,
        Framing::EventMessages,
    ];

    #[test]
    fn a_head_for_joined_bodies_equals_that_of_one_body() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, JOINED_BYTES] {
            for framing in ALL {
                let message = EncodedMessage::data(framing, |body| body.resize(length, b'x'));
                let head = framing.head(length);
                assert_eq!(message.as_bytes()[..head.len()], head[..], "{framing:?} {length}");
                assert_eq!((message.body().len(), message.body_len()), (length, length));
                assert_eq!(message.len(), head.len() + length + framing.tail().len());
            }
        }
    }

    #[test]
    fn the_last_message_says_why_the_connection_ends() {
        for framing in &ALL[..2] {
            let close = EncodedMessage::close(*framing, CloseReason::Draining);
            assert_eq!(&close.body()[..2], 4001u16.to_be_bytes());
            assert_eq!(&close.body()[2..], b"draining");
        }
        assert!(EncodedMessage::close_echo(None).body().is_empty());
        for (framing, end) in [
            (Framing::EventStream, "\ndata: {\"goaway\":{\"reason\":\"draining\"}}\n\n"),
            (Framing::EventMessages, "\nevent: goaway\ndata: {\"reason\":\"draining\"}\n\n"),
        ] {
            let close = EncodedMessage::close(framing, CloseReason::Draining);
            let text = str::from_utf8(close.as_bytes()).expect("text");
            assert!(text.starts_with("retry: ") && text.ends_with(end), "{text}");
        }
    }

    #[test]
    fn one_receiver_may_have_a_lead_of_its_own() {
        let shared = EncodedMessage::data_led(
            Framing::EventStream,
            |out| out.extend_from_slice(b"id: 1\n"),
            |out| out.extend_from_slice(b"data: x\n"),
        )
        .carrying(1);
        assert_eq!((&shared.as_bytes()[..], shared.behind_lead()), (&b"id: 1\ndata: x\n\n"[..], &b"data: x\n\n"[..]));
        let own = shared.with_lead(b"id: 1,2\n");
        assert_eq!((&own.as_bytes()[..], own.events()), (&b"id: 1,2\ndata: x\n\n"[..], 1));
        assert_eq!(own.with_lead(b"").as_bytes()[..], *shared.behind_lead());
    }

    #[test]
    fn a_reader_of_an_event_stream_is_not_pinged() {
        assert_eq!(ALL.map(|framing| EncodedMessage::ping(framing).is_some()), ALL.map(Framing::answers_pings));
        assert_eq!(ALL.map(Framing::answers_pings), [true, true, false, false]);
    }
}
