//! One client's connection, from the upgrade to the last byte.
//!
//! Until `connect` has been heard, a short-lived task with timers serves it.
//! After that one small task is left, which does nothing but wait for bytes:
//! what the client receives is written by those who have it (see `outbox`),
//! heartbeats come from the roster.

mod heartbeat;
mod rate;
mod roster;
mod state;

use std::{cell::RefCell, future::poll_fn, io, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

pub use roster::Roster;

use crate::{
    broker::{Broker, Link, unix_millis},
    close::CloseReason,
    codec::{BadFrame, Encoding},
    config::{Limits, Span},
    drain::Tasks,
    error::{Code, Refusal},
    gate::Permit,
    grants::Grants,
    hub::{Attachment, Hub},
    metrics::Metrics,
    outbox::{Outbox, Policy},
    proto::{self, ClientFrame, Ping, Published, ServerFrame, Welcome, server_frame::Body},
    publish::Publisher,
    socket::{Chunk, Decoder, Incoming, Wire},
    subject::{SUBJECT_BYTES, SUBJECT_TOKENS},
};
use rate::{Meter, Rate};
use roster::Seat;
use state::{Effect, Standing, refusal, reply};

/// Bytes read at once, by all connections of a worker into the same buffer.
const READ_BYTES: usize = 16 * 1024;

/// What all sessions of a node share.
#[derive(Debug)]
pub struct Shared {
    /// Name of the node.
    pub node: String,
    /// How often the client hears from us.
    pub heartbeat: Span,
    /// What the client has to keep.
    pub limits: Limits,
    /// Where events come from, for news of it.
    pub broker: Arc<Broker>,
    /// Where subscriptions go.
    pub hub: Arc<Hub>,
    /// Where published events go.
    pub publisher: Arc<Publisher>,
    /// Where the connection is listed.
    pub roster: Arc<Roster>,
    /// Cancelled when the node leaves.
    pub leaving: CancellationToken,
    /// What outboxes share.
    pub policy: Arc<Policy>,
    /// Owner of its tasks.
    pub tasks: Tasks,
    /// Where it counts.
    pub metrics: Arc<Metrics>,
}

/// One connection.
struct Session {
    shared: Arc<Shared>,
    outbox: Arc<Outbox>,
    attachment: Attachment,
    encoding: Encoding,
    decoder: Decoder,
    /// When a message began that is not complete.
    begun: Option<Instant>,
    meter: Meter,
    /// Known once the client has said `connect`.
    grants: Option<Grants>,
    _seat: Option<Seat>,
    open: Open,
}

/// Why a session ends.
enum End {
    /// We close it.
    Close(CloseReason),
    /// We refuse what it asked for, and close it.
    Refuse(u64, Refusal),
    /// The client closed it, with this code.
    Peer(Option<u16>),
    /// The stream is broken.
    Lost,
}

impl From<CloseReason> for End {
    fn from(reason: CloseReason) -> Self {
        Self::Close(reason)
    }
}

/// What one read brought: frames, and what ends the session behind them.
type Read = (Vec<ClientFrame>, Result<(), End>);

/// Counts an open connection, and its end with the reason.
struct Open {
    metrics: Arc<Metrics>,
    outbox: Arc<Outbox>,
    _permit: Arc<Permit>,
}

/// Serves a connection until `connect` and then leaves it to a task of its
/// own. `ahead` is what the client sent right behind its upgrade request.
pub async fn serve(stream: TcpStream, ahead: Bytes, encoding: Encoding, permit: Arc<Permit>, shared: Arc<Shared>) {
    let outbox = Outbox::new(Wire::new(stream), shared.policy.clone());
    let mut session = Session {
        attachment: shared.hub.attach(outbox.clone(), encoding),
        encoding,
        decoder: Decoder::default(),
        begun: None,
        meter: Meter::default(),
        grants: None,
        _seat: None,
        open: Open::new(shared.metrics.clone(), outbox.clone(), permit),
        outbox,
        shared: shared.clone(),
    };
    let connected = timeout(shared.limits.connect_time.duration(), session.until_connected(ahead));
    let end = tokio::select! {
        connected = connected => match connected {
            Ok(Ok(())) => return session.settle(),
            Ok(Err(end)) => end,
            Err(_) => End::Close(CloseReason::ConnectTimeout),
        },
        // Not on the roster yet, so the farewell would pass it over.
        () = shared.leaving.cancelled() => End::Close(CloseReason::Draining),
    };
    session.end(end).await;
}

impl Session {
    async fn until_connected(&mut self, ahead: Bytes) -> Result<(), End> {
        if !ahead.is_empty() {
            let read = self.decode(&mut ahead.to_vec());
            self.handle(read).await?;
        }
        while self.grants.is_none() {
            self.step().await?;
        }
        Ok(())
    }

    /// Takes its place on the roster and leaves the rest to a task of its own.
    fn settle(mut self) {
        let shared = self.shared.clone();
        self._seat = Some(shared.roster.enter(self.outbox.clone(), self.encoding));
        if shared.leaving.is_cancelled() {
            // Perhaps too late for the farewell.
            self.outbox.close(CloseReason::Draining);
        }
        shared.tasks.spawn(self.run());
    }

    /// The long life of a connection. This future exists once per client, so
    /// whatever is large and rare in it is boxed.
    async fn run(mut self) {
        let end = loop {
            if let Err(end) = self.step().await {
                break end;
            }
        };
        Box::pin(self.end(end)).await;
    }

    /// Waits for bytes and does what they say.
    async fn step(&mut self) -> Result<(), End> {
        self.readable().await?;
        let read = self.read();
        if !matches!(&read, (frames, Ok(())) if frames.is_empty()) {
            Box::pin(self.handle(read)).await?;
        }
        match self.outbox.closed() {
            Some(reason) => Err(End::Close(reason)),
            None => Ok(()),
        }
    }

    async fn readable(&mut self) -> Result<(), End> {
        let readable = poll_fn(|context| self.outbox.wire().poll_readable(context));
        let ready = match self.begun {
            None => readable.await,
            Some(begun) => {
                let deadline = begun + self.shared.limits.message_time.duration();
                let late = |_| End::Close(CloseReason::MessageTimeout);
                Box::pin(timeout_at(deadline, readable)).await.map_err(late)?
            }
        };
        ready.map_err(|_| End::Lost)
    }

    /// Reads what is there into frames.
    fn read(&mut self) -> Read {
        thread_local!(static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]));
        BUFFER.with_borrow_mut(|buffer| match self.outbox.wire().try_read(buffer) {
            Ok(0) => (Vec::new(), Err(End::Lost)),
            Ok(read) => self.decode(&mut buffer[..read]),
            // Readiness may be stale.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => (Vec::new(), Ok(())),
            Err(_) => (Vec::new(), Err(End::Lost)),
        })
    }

    fn decode(&mut self, bytes: &mut [u8]) -> Read {
        let (outbox, encoding) = (&self.outbox, self.encoding);
        let Shared { limits, metrics, .. } = &*self.shared;
        metrics.bytes_received.increment(bytes.len() as u64);
        let mut frames = Vec::new();
        let mut empty = 0;
        let mut complete = false;
        let fed = self.decoder.feed(bytes, limits.message_bytes.bytes(), |incoming| {
            match incoming {
                Incoming::Message(kind, message) if kind == encoding.kind() => {
                    let refused = |why: BadFrame| End::Refuse(0, Refusal::new(Code::BadFrame, why.to_string()));
                    let read = encoding.read_client(message).map_err(refused)?;
                    empty += u32::from(read.is_empty());
                    complete = true;
                    frames.extend(read);
                }
                Incoming::Message(..) => return Err(End::Close(CloseReason::WrongKind)),
                Incoming::Ping(payload) => drop(outbox.push(&Chunk::pong(payload))),
                Incoming::Pong => {}
                Incoming::Close(code) => return Err(End::Peer(code)),
            }
            Ok(())
        });
        metrics.frames_received.increment(frames.len() as u64);
        self.begun = match (self.decoder.is_partial(), self.begun) {
            (false, _) => None,
            // What is left over began with this read if a message ended in it.
            (true, begun) => Some(begun.filter(|_| !complete).unwrap_or_else(Instant::now)),
        };
        let rate = Rate::new(limits.frames_per_second, limits.frames_burst);
        let others = fed.as_ref().map_or(0, |others| *others);
        if !self.meter.count(frames.len() as u32 + empty + others, clock(), rate) {
            return (Vec::new(), Err(End::Close(CloseReason::RateLimited)));
        }
        (frames, fed.map(drop))
    }

    /// Does what the frames say, then what ended the read.
    async fn handle(&mut self, (frames, then): Read) -> Result<(), End> {
        for frame in frames {
            match self.grants {
                None => self.connect(frame)?,
                Some(grants) => {
                    let effect = self.standing(grants, |standing| standing.decide(frame));
                    self.perform(grants, effect).await?;
                }
            }
        }
        then
    }

    fn connect(&mut self, frame: ClientFrame) -> Result<(), End> {
        let id = frame.id;
        let (id, connect) = match state::connect(frame) {
            Ok(connect) => connect,
            Err(why) => return self.refuse(id, why),
        };
        let grants = Grants::Anonymous;
        self.grants = Some(grants);
        let welcome = self.welcome();
        let client = connect.client.unwrap_or_default();
        tracing::debug!(connection = welcome.connection, client = ?client.name, version = ?client.version, "connected");
        self.send(&reply(id, Body::Welcome(welcome)));
        let link = self.shared.broker.state().link();
        if link != Link::Up {
            // Else its silence would go unexplained until the next heartbeat.
            self.send(&reply(0, Body::Ping(Ping { broker: link.label().into(), ..Ping::default() })));
        }
        let most = self.shared.limits.subscriptions;
        if connect.subscriptions.len() > most {
            let asked = connect.subscriptions.len();
            let message =
                format!("`connect` asks for {asked} subscriptions; the first {most}, the most there may be, hold");
            self.refuse(id, Refusal::new(Code::SubscriptionLimit, message))?;
        }
        for subscription in connect.subscriptions.into_iter().take(most) {
            match self.standing(grants, |standing| standing.resume(subscription)) {
                Effect::Join(pattern, live) => self.attachment.join(&pattern, self.encoding.frame(&live)),
                Effect::Refuse(id, why) => self.refuse(id, why)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn standing<R>(&self, grants: Grants, with: impl FnOnce(Standing<'_>) -> R) -> R {
        let has = |pattern: &_| self.attachment.has(pattern);
        with(Standing { grants, most: self.shared.limits.subscriptions, held: self.attachment.len(), has: &has })
    }

    async fn perform(&mut self, grants: Grants, effect: Effect) -> Result<(), End> {
        match effect {
            Effect::Join(pattern, live) => self.attachment.join(&pattern, self.encoding.frame(&live)),
            Effect::Leave(pattern, answer) => {
                self.attachment.leave(&pattern);
                answer.iter().for_each(|frame| self.send(frame));
            }
            Effect::Publish { reply_to, subject, envelope } => {
                match self.shared.publisher.publish(grants, &subject, envelope).await {
                    Ok(()) if reply_to == 0 => {}
                    Ok(()) => self.send(&reply(reply_to, Body::Published(Published::default()))),
                    Err(why) => self.refuse(reply_to, why)?,
                }
            }
            Effect::Refuse(reply_to, why) => self.refuse(reply_to, why)?,
            Effect::Nothing => {}
        }
        Ok(())
    }

    /// Tells a refusal; one that ends the connection is returned as the end.
    fn refuse(&self, reply_to: u64, why: Refusal) -> Result<(), End> {
        if why.code.close().is_some() {
            return Err(End::Refuse(reply_to, why));
        }
        self.tell(reply_to, why);
        Ok(())
    }

    fn tell(&self, reply_to: u64, why: Refusal) {
        self.shared.metrics.errors.of(why.code).increment(1);
        self.send(&refusal(reply_to, why));
    }

    fn send(&self, frame: &ServerFrame) {
        self.outbox.push(&self.encoding.frame(frame));
    }

    fn welcome(&self) -> Welcome {
        let Shared { node, heartbeat, limits, .. } = &*self.shared;
        Welcome {
            connection: format!("{:016x}", fastrand::u64(..)),
            node: node.clone(),
            heartbeat_ms: heartbeat.millis(),
            limits: Some(proto::Limits {
                message_bytes: limits.message_bytes.bytes() as u64,
                subscriptions: limits.subscriptions as u64,
                subject_bytes: SUBJECT_BYTES as u64,
                subject_tokens: SUBJECT_TOKENS as u64,
                frames_per_second: limits.frames_per_second.into(),
                frames_burst: limits.frames_burst.into(),
                event_bytes: limits.event_bytes.bytes() as u64,
            }),
            server_time: unix_millis(),
            ..Welcome::default()
        }
    }

    /// Closes, leaves all topics at once, and waits for the peer to end the
    /// stream: an early close of ours could destroy our last frames on their
    /// way. The outbox sees to it that this takes no longer than it may.
    async fn end(self, end: End) {
        match end {
            End::Close(reason) => self.outbox.close(reason),
            End::Peer(code) => self.outbox.close_echo(code),
            End::Lost => return,
            End::Refuse(reply_to, why) => {
                let reason = why.code.close().unwrap_or(CloseReason::Internal);
                self.tell(reply_to, why);
                self.outbox.close(reason);
            }
        }
        let Self { outbox, attachment, open: _open, .. } = self;
        drop(attachment);
        let mut ignored = [0; 1024];
        while poll_fn(|context| outbox.wire().poll_readable(context)).await.is_ok() {
            match outbox.wire().try_read(&mut ignored) {
                Ok(0) => break,
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => break,
                _ => {}
            }
        }
    }
}

/// Time since the first use, for rates.
fn clock() -> Duration {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    START.elapsed()
}

impl Open {
    fn new(metrics: Arc<Metrics>, outbox: Arc<Outbox>, permit: Arc<Permit>) -> Self {
        metrics.connections.increment(1);
        metrics.connections_opened.increment(1);
        Self { metrics, outbox, _permit: permit }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.outbox.close(CloseReason::Internal);
        }
        let reason = self.outbox.closed().unwrap_or(CloseReason::Lost);
        self.metrics.connections.decrement(1);
        self.metrics.connections_closed.of(reason).increment(1);
    }
}
