//! Frames of a client, read from its bytes and counted against its rates. Nothing
//! but Pongs is sent from here.

use std::{
    cell::RefCell,
    io,
    sync::LazyLock,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    close::CloseReason,
    codec::{BadFrame, Encoding},
    config::{Limits, Span},
    encoded_message::EncodedMessage,
    error::{Code, Refusal},
    rate::{Rate, TokenBucket},
    services::NodeServices,
    session::{
        connection_guard::ConnectionGuard,
        end::{End, Read},
    },
    socket::{Decoder, Incoming, Wire},
};

/// Bytes read at once, by all connections of a worker into the same buffer.
const READ_BYTES: usize = 16 * 1024;

/// Bytes that the first message may have at least: a client learns the limit of the
/// others in the answer to it.
const CONNECT_BYTES: usize = 64 * 1024;

/// Bytes of frame heads and control frames that may come with it.
const CONNECT_HEADS: usize = 1024;

/// The largest first message.
pub(crate) fn connect_bytes(limits: &Limits) -> usize {
    limits.message_bytes.bytes().max(CONNECT_BYTES)
}

/// The frames that come in on one connection.
#[derive(Debug)]
pub(crate) struct Inbound {
    decoder: Decoder,
    /// When the message began that is not complete, if there is one: a
    /// [`moment`](Wire::moment), in four bytes.
    begun: u32,
    frames: TokenBucket,
    bytes: TokenBucket,
    encoding: Encoding,
    /// Whether the client has been told the limits.
    welcomed: bool,
}

impl Inbound {
    pub(crate) fn new(encoding: Encoding) -> Self {
        Self {
            decoder: Decoder::default(),
            begun: 0,
            frames: TokenBucket::default(),
            bytes: TokenBucket::default(),
            encoding,
            welcomed: false,
        }
    }

    /// The client has been told the limits: from now on they hold. Bytes that it has
    /// sent before do not count.
    pub(crate) fn welcome(&mut self) {
        (self.welcomed, self.bytes) = (true, TokenBucket::default());
    }

    /// Whether a message has begun that is not complete.
    pub(crate) fn is_partial(&self) -> bool {
        self.decoder.is_partial()
    }

    /// Until when that message has to be complete.
    pub(crate) fn deadline(&self, message_time: Span) -> Option<Instant> {
        let left = || message_time.duration().saturating_sub(Wire::since(self.begun));
        self.is_partial().then(|| Instant::now() + left())
    }

    /// Reads what is there into frames.
    pub(crate) fn poll_read(&mut self, guard: &ConnectionGuard, context: &mut Context<'_>) -> Poll<Read> {
        thread_local!(static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]));
        loop {
            if ready!(guard.outbox.wire().poll_readable(context)).is_err() {
                return Poll::Ready((Vec::new(), Err(End::Lost)));
            }
            let read = BUFFER.with_borrow_mut(|buffer| match guard.outbox.wire().try_read(buffer) {
                Ok(0) => Some((Vec::new(), Err(End::Lost))),
                Ok(read) => Some(self.decode(guard, &mut buffer[..read])),
                // Readiness may be stale.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
                Err(_) => Some((Vec::new(), Err(End::Lost))),
            });
            if let Some(read) = read {
                return Poll::Ready(read);
            }
        }
    }

    /// Cuts bytes into frames.
    pub(crate) fn decode(&mut self, guard: &ConnectionGuard, bytes: &mut [u8]) -> Read {
        let ConnectionGuard { sessions, outbox, .. } = guard;
        let encoding = self.encoding;
        let NodeServices { limits, metrics, .. } = &*sessions.services;
        metrics.bytes_received.increment(bytes.len() as u64);
        let mut frames = Vec::new();
        let mut empty = 0;
        let mut goes_on = self.decoder.is_partial();
        let (message_bytes, bytes_burst) = match self.welcomed {
            true => (limits.message_bytes.bytes(), limits.bytes_burst.bytes()),
            false => {
                let most = connect_bytes(limits);
                (most, limits.bytes_burst.bytes().max(most + CONNECT_HEADS))
            }
        };
        let fed = self.decoder.feed(bytes, message_bytes, |incoming| {
            match incoming {
                Incoming::Message(kind, message) if kind == encoding.kind() => {
                    let refused = |why: BadFrame| End::Refuse(0, Refusal::new(Code::BadFrame, why.to_string()));
                    let read = encoding.read_client(message).map_err(refused)?;
                    empty += u32::from(read.is_empty());
                    goes_on = false;
                    frames.extend(read);
                }
                Incoming::Message(..) => return Err(End::Close(CloseReason::WrongKind)),
                Incoming::Ping(payload) => drop(outbox.push(&EncodedMessage::pong(payload))),
                Incoming::Pong => {}
                Incoming::Close(code) => return Err(End::Peer(code)),
            }
            Ok(())
        });
        metrics.frames_received.increment(frames.len() as u64);
        if !goes_on {
            // A message that is not complete began with this read.
            self.begun = Wire::moment();
        }
        let now = clock();
        let rate = Rate::new(limits.frames_per_second.into(), limits.frames_burst.into());
        let others = fed.as_ref().map_or(0, |others| *others);
        let few = self.frames.count(frames.len() as u64 + u64::from(empty + others), now, rate);
        let rate = Rate::new(limits.bytes_per_second.bytes() as u64, bytes_burst as u64);
        if !self.bytes.count(bytes.len() as u64, now, rate) || !few {
            return (Vec::new(), Err(End::Close(CloseReason::RateLimited)));
        }
        (frames, fed.map(drop))
    }
}

/// Where [`clock`] begins.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Time since the first use, for rates.
fn clock() -> Duration {
    START.elapsed()
}
