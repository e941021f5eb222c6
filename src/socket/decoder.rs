//! From bytes to messages: RFC 6455 sections 5 and 7 for the server's side,
//! strict, streaming and without I/O.
//!
//! A connection that is between messages owns one null pointer here. Memory
//! grows with the bytes that have arrived, never with a length that was only
//! declared, and text is checked as it arrives (fail fast).

use std::mem;

use fastwebsockets::unmask;

use crate::{close::CloseReason, framing::MessageKind};

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;

/// Longest payload of a control frame (RFC 6455 5.5).
const CONTROL_BYTES: u64 = 125;

/// Longest head of a masked frame: 2 bytes, a 64-bit length, the mask.
const HEAD: usize = 14;

/// A message or control frame of a client, complete and checked.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// A message. Text is UTF-8.
    Message(MessageKind, &'a [u8]),
    /// A Ping to be answered with the same payload.
    Ping(&'a [u8]),
    /// A Pong.
    Pong,
    /// A Close with its code, if it has one.
    Close(Option<u16>),
}

/// Turns the bytes of one connection into messages.
#[derive(Debug, Default)]
pub struct Decoder {
    partial: Option<Box<Partial>>,
}

/// The bytes that have arrived of an incomplete frame or message.
#[derive(Debug, Default)]
struct Partial {
    head: Vec<u8>,
    frame: Option<OpenFrame>,
    control: Vec<u8>,
    message: Option<Assembly>,
}

/// A frame whose head is known and whose payload is arriving.
#[derive(Debug)]
struct OpenFrame {
    head: Head,
    remaining: u64,
}

/// A data message whose frames are arriving.
#[derive(Debug)]
struct Assembly {
    kind: MessageKind,
    data: Vec<u8>,
    /// How much of `data` is known to be UTF-8.
    valid: usize,
}

impl Decoder {
    /// Takes what arrived (it is unmasked in place) and calls `deliver` with
    /// each complete message, of at most `max` bytes. Returns the number of
    /// frames that were not a whole message (control frames, fragments), for the
    /// limit of frames.
    ///
    /// # Errors
    /// The close reason of what breaks the RFC or a limit, or what `deliver`
    /// returned. The connection has to be closed; the decoder is of no more use.
    pub fn feed<E: From<CloseReason>>(
        &mut self,
        mut input: &mut [u8],
        max: usize,
        mut deliver: impl FnMut(Incoming<'_>) -> Result<(), E>,
    ) -> Result<u32, E> {
        let mut frames = 0;
        while !input.is_empty() {
            if self.partial.is_none() {
                match whole_frame(input, max)? {
                    Some((head, end)) => {
                        let (frame, rest) = input.split_at_mut(end);
                        let payload = &mut frame[head.size..];
                        unmask(payload, head.mask);
                        deliver(head.incoming(payload)?)?;
                        frames += u32::from(head.is_control());
                        input = rest;
                        continue;
                    }
                    None => self.partial = Some(Box::default()),
                }
            }
            let partial = self.partial.get_or_insert_default();
            input = partial.take(input, max, &mut frames, &mut deliver)?;
            if partial.is_done() {
                self.partial = None;
            }
        }
        Ok(frames)
    }

    /// Whether something has begun to arrive and is not complete.
    pub fn is_partial(&self) -> bool {
        self.partial.is_some()
    }
}

/// The usual case: a whole message in one frame, all of it there. Its head and
/// where it ends.
fn whole_frame(input: &[u8], max: usize) -> Result<Option<(Head, usize)>, CloseReason> {
    let Some(head) = Head::parse(input)? else { return Ok(None) };
    if head.opcode == 0 {
        return Err(CloseReason::ProtocolError);
    }
    head.check_size(0, max)?;
    let end = head.size as u64 + head.length;
    Ok((head.fin && input.len() as u64 >= end).then_some((head, end as usize)))
}

impl Partial {
    /// Consumes some of the input and returns the rest.
    fn take<'i, E: From<CloseReason>>(
        &mut self,
        mut input: &'i mut [u8],
        max: usize,
        frames: &mut u32,
        deliver: &mut impl FnMut(Incoming<'_>) -> Result<(), E>,
    ) -> Result<&'i mut [u8], E> {
        if self.frame.is_none() {
            let known = self.head.len();
            let more = input.len().min(HEAD - known);
            self.head.extend_from_slice(&input[..more]);
            let Some(head) = Head::parse(&self.head)? else { return Ok(&mut input[more..]) };
            input = &mut input[head.size - known..];
            self.head.clear();
            *frames += u32::from(head.is_control() || !head.fin || head.opcode == 0);
            self.open(head, max)?;
        }
        let Some(mut frame) = self.frame.take() else { return Ok(input) };
        let (payload, rest) = input.split_at_mut((input.len() as u64).min(frame.remaining) as usize);
        let mut mask = frame.head.mask;
        mask.rotate_left((frame.head.length - frame.remaining) as usize % 4);
        unmask(payload, mask);
        frame.remaining -= payload.len() as u64;
        if frame.head.is_control() {
            self.control.extend_from_slice(payload);
        } else if let Some(message) = &mut self.message {
            message.append(payload)?;
        }
        match frame.remaining {
            0 => self.close_frame(&frame.head, deliver)?,
            _ => self.frame = Some(frame),
        }
        Ok(rest)
    }

    /// A head is complete: does such a frame fit here?
    fn open(&mut self, head: Head, max: usize) -> Result<(), CloseReason> {
        if !head.is_control() {
            match (&self.message, head.opcode) {
                (Some(_), 0) => {}
                (None, TEXT | BINARY) => {
                    let kind = if head.opcode == TEXT { MessageKind::Text } else { MessageKind::Binary };
                    self.message = Some(Assembly { kind, data: Vec::new(), valid: 0 });
                }
                _ => return Err(CloseReason::ProtocolError),
            }
        }
        head.check_size(self.message.as_ref().map_or(0, |message| message.data.len()), max)?;
        self.frame = Some(OpenFrame { remaining: head.length, head });
        Ok(())
    }

    /// A frame is complete: is a message?
    fn close_frame<E: From<CloseReason>>(
        &mut self,
        head: &Head,
        deliver: &mut impl FnMut(Incoming<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if head.is_control() {
            let payload = mem::take(&mut self.control);
            return deliver(head.incoming(&payload)?);
        }
        match self.message.take_if(|_| head.fin) {
            Some(message) if message.kind == MessageKind::Text && message.valid < message.data.len() => {
                Err(CloseReason::InvalidUtf8.into())
            }
            Some(message) => deliver(Incoming::Message(message.kind, &message.data)),
            None => Ok(()),
        }
    }

    fn is_done(&self) -> bool {
        self.head.is_empty() && self.frame.is_none() && self.message.is_none()
    }
}

impl Assembly {
    fn append(&mut self, payload: &[u8]) -> Result<(), CloseReason> {
        self.data.extend_from_slice(payload);
        if self.kind == MessageKind::Text {
            match std::str::from_utf8(&self.data[self.valid..]) {
                Ok(_) => self.valid = self.data.len(),
                // Cut inside a character: the rest may still come.
                Err(error) if error.error_len().is_none() => self.valid += error.valid_up_to(),
                Err(_) => return Err(CloseReason::InvalidUtf8),
            }
        }
        Ok(())
    }
}

/// The head of a client's frame.
#[derive(Clone, Copy, Debug)]
struct Head {
    fin: bool,
    opcode: u8,
    length: u64,
    mask: [u8; 4],
    /// Bytes of the head itself.
    size: usize,
}

impl Head {
    /// Reads a head; none while it is incomplete. Refuses as early as it can.
    fn parse(bytes: &[u8]) -> Result<Option<Self>, CloseReason> {
        let Some(&first) = bytes.first() else { return Ok(None) };
        let (fin, opcode) = (first & 0x80 != 0, first & 0x0f);
        // No extension is negotiated, so the reserved bits must be clear.
        if first & 0x70 != 0 || !matches!(opcode, 0..=2 | 8..=10) || (opcode >= 8 && !fin) {
            return Err(CloseReason::ProtocolError);
        }
        let Some(&second) = bytes.get(1) else { return Ok(None) };
        // A client must mask (5.1).
        if second & 0x80 == 0 || (opcode >= 8 && u64::from(second & 0x7f) > CONTROL_BYTES) {
            return Err(CloseReason::ProtocolError);
        }
        let (length, after) = match second & 0x7f {
            126 => match bytes.get(2..4) {
                Some(&[a, b]) => (u64::from(u16::from_be_bytes([a, b])), 4),
                _ => return Ok(None),
            },
            127 => match bytes.get(2..10).and_then(|eight| eight.try_into().ok()) {
                Some(eight) => (u64::from_be_bytes(eight), 10),
                None => return Ok(None),
            },
            short => (u64::from(short), 2),
        };
        // The shortest form must be used, and the highest bit be clear (5.2).
        let minimal = match after {
            4 => length > 125,
            10 => length > 0xffff && length >> 63 == 0,
            _ => true,
        };
        if !minimal {
            return Err(CloseReason::ProtocolError);
        }
        let Some(&[a, b, c, d]) = bytes.get(after..after + 4) else { return Ok(None) };
        Ok(Some(Self { fin, opcode, length, mask: [a, b, c, d], size: after + 4 }))
    }

    fn is_control(&self) -> bool {
        self.opcode >= 8
    }

    fn check_size(&self, before: usize, max: usize) -> Result<(), CloseReason> {
        if !self.is_control() && self.length > max.saturating_sub(before) as u64 {
            return Err(CloseReason::MessageTooBig);
        }
        Ok(())
    }

    /// The unmasked payload of a whole message or control frame.
    fn incoming<'a>(&self, payload: &'a [u8]) -> Result<Incoming<'a>, CloseReason> {
        Ok(match self.opcode {
            TEXT => {
                std::str::from_utf8(payload).map_err(|_| CloseReason::InvalidUtf8)?;
                Incoming::Message(MessageKind::Text, payload)
            }
            BINARY => Incoming::Message(MessageKind::Binary, payload),
            CLOSE => Incoming::Close(close_code(payload)?),
            PING => Incoming::Ping(payload),
            _ => Incoming::Pong,
        })
    }
}

/// RFC 6455 7.4 and the IANA registry (1012-1014 were added later).
fn close_code(payload: &[u8]) -> Result<Option<u16>, CloseReason> {
    match payload {
        [] => Ok(None),
        [_] => Err(CloseReason::ProtocolError),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                return Err(CloseReason::ProtocolError);
            }
            std::str::from_utf8(reason).map_err(|_| CloseReason::InvalidUtf8)?;
            Ok(Some(code))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAX: usize = 1 << 16;

    fn ignore(_: Incoming<'_>) -> Result<(), CloseReason> {
        Ok(())
    }

    /// A masked client frame.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [1, 2, 3, 4];
        let mut bytes = vec![first];
        match payload.len() {
            length @ 0..=125 => bytes.push(0x80 | length as u8),
            length @ 126..=0xffff => {
                bytes.push(0x80 | 126);
                bytes.extend((length as u16).to_be_bytes());
            }
            length => {
                bytes.push(0x80 | 127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        bytes.extend(mask);
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        bytes
    }

    /// Everything delivered, as text, when the bytes arrive in pieces of that size.
    fn run(bytes: &[u8], piece: usize) -> (Vec<String>, Result<u32, CloseReason>) {
        let mut decoder = Decoder::default();
        let mut delivered = Vec::new();
        let mut frames = 0;
        for piece in bytes.to_vec().chunks_mut(piece) {
            match decoder.feed(piece, MAX, |incoming| {
                delivered.push(format!("{incoming:?}"));
                Ok(())
            }) {
                Ok(more) => frames += more,
                Err(reason) => return (delivered, Err(reason)),
            }
        }
        (delivered, Ok(frames))
    }

    #[test]
    fn an_idle_decoder_owns_nothing() {
        assert_eq!(size_of::<Decoder>(), size_of::<usize>());
        let mut decoder = Decoder::default();
        for byte in frame(0x81, b"hello") {
            assert!(decoder.feed(&mut [byte], MAX, ignore).is_ok());
        }
        assert!(!decoder.is_partial());
    }

    #[test]
    fn a_declared_length_reserves_nothing() {
        let mut decoder = Decoder::default();
        let mut bytes = frame(0x82, &[0; 60_000]);
        bytes.truncate(20);
        assert!(decoder.feed(&mut bytes, MAX, ignore).is_ok());
        let held = decoder.partial.expect("a frame has begun").message.expect("of a message");
        assert!(held.data.capacity() < 1_000, "{}", held.data.capacity());
    }

    #[test]
    fn control_frames_may_stand_between_fragments() {
        let bytes = [frame(0x01, b"Hel"), frame(0x89, b"!"), frame(0x80, b"lo")].concat();
        for piece in 1..bytes.len() {
            let (delivered, frames) = run(&bytes, piece);
            assert_eq!(
                delivered,
                [
                    format!("{:?}", Incoming::Ping(b"!")),
                    format!("{:?}", Incoming::Message(MessageKind::Text, b"Hello"))
                ]
            );
            assert_eq!(frames, Ok(3));
        }
    }

    proptest! {
        #[test]
        fn how_the_bytes_are_cut_changes_nothing(
            mut messages in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..400), 1..5usize), 1..6),
            piece in 1..300usize,
        ) {
            let mut bytes = Vec::new();
            for (text, payload, fragments) in &mut messages {
                if *text {
                    *payload = String::from_utf8_lossy(payload).into_owned().into_bytes();
                }
                let size = payload.len().div_ceil(*fragments).max(1);
                let parts: Vec<&[u8]> = if payload.is_empty() { vec![&[]] } else { payload.chunks(size).collect() };
                for (index, part) in parts.iter().enumerate() {
                    let opcode = match (index, *text) { (0, true) => 1, (0, false) => 2, _ => 0 };
                    let fin = if index + 1 == parts.len() { 0x80 } else { 0 };
                    bytes.extend(frame(fin | opcode, part));
                }
            }
            let whole = run(&bytes, bytes.len());
            prop_assert_eq!(whole.0.len(), messages.len());
            prop_assert_eq!(run(&bytes, piece), whole);
        }

        #[test]
        fn garbage_never_panics_and_is_judged_alike_however_it_is_cut(bytes in prop::collection::vec(any::<u8>(), 1..200)) {
            let (delivered, end) = run(&bytes, bytes.len());
            let (again, end_again) = run(&bytes, 1);
            // Fail-fast may end a cut stream before a whole one, never later.
            prop_assert!(delivered.starts_with(&again) || end == end_again);
            prop_assert_eq!(end.is_err(), end_again.is_err());
        }
    }
}
