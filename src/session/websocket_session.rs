//! A WebSocket session: reads the client's frames and drives its subscriber.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, ready},
    vec,
};

use bytes::Bytes;
use tokio::time::{timeout, timeout_at};

use crate::{
    admission::Permit,
    close::CloseReason,
    codec::Encoding,
    config::Secret,
    proto::{ClientFrame, InvalidFrame, client_frame, server_frame::Body},
    session::{
        end::{End, Read, until_gone},
        in_flight::{Done, InFlight},
        inbound::Inbound,
        sessions::Sessions,
        state::{self, Beginning, Effect, reply},
        subscriber::Subscriber,
    },
    socket::Wire,
};

/// The session of one WebSocket. It exists for as long as the connection does, so
/// every byte counts (`task.rs`).
pub(crate) struct WebSocketSession {
    subscriber: Subscriber,
    inbound: Inbound,
    /// Requests in flight, if there are any.
    in_flight: Option<Box<InFlight>>,
}

impl WebSocketSession {
    /// A session whose client has said nothing yet.
    pub(crate) fn new(wire: Wire, encoding: Encoding, permit: Arc<Permit>, sessions: &Arc<Sessions>) -> Self {
        let subscriber = Subscriber::new(wire, encoding, permit, sessions);
        Self { subscriber, inbound: Inbound::new(encoding), in_flight: None }
    }

    /// Waits for `connect`. `token` is what the upgrade brought, for a client
    /// that names none in its frame.
    pub(crate) async fn until_connected(&mut self, ahead: Bytes, token: Option<&Secret>) -> Result<(), End> {
        if !ahead.is_empty() {
            let read = self.inbound.decode(self.subscriber.guard(), &mut ahead.to_vec());
            self.handle(read, token).await?;
        }
        while self.subscriber.grants().is_none() {
            self.step(token).await?;
        }
        Ok(())
    }

    /// Enters the registry, which reaches every connection.
    pub(crate) fn register(&mut self) {
        self.subscriber.register();
    }

    /// Does what a read said, and reads on while a message is incomplete or
    /// something is in flight. Gives the session back unless it has ended.
    pub(crate) async fn work(mut self, read: Read) -> Option<Self> {
        let mut done = self.handle(read, None).await;
        while done.is_ok() && !self.is_settled() {
            done = self.step(None).await;
        }
        match done.and_then(|()| self.subscriber.still_open()) {
            Ok(()) => Some(self),
            Err(end) => {
                self.end(end).await;
                None
            }
        }
    }

    /// Whether there is nothing to do before the client says more.
    pub(crate) fn is_settled(&self) -> bool {
        !self.inbound.is_partial() && self.in_flight.is_none()
    }

    /// Waits for bytes and does what they say, or for the last thing in flight.
    async fn step(&mut self, token: Option<&Secret>) -> Result<(), End> {
        let deadline = self.inbound.deadline(self.subscriber.services().limits.message_time);
        let next = poll_fn(|context| self.poll_step(context));
        let read = match deadline {
            None => next.await,
            Some(deadline) => timeout_at(deadline, next).await.map_err(|_| End::Close(CloseReason::MessageTimeout))?,
        };
        if let Some(read) = read {
            self.handle(read, token).await?;
        }
        self.subscriber.still_open()
    }

    /// Ready with a read; without one when nothing is in flight any more, or the
    /// connection has been closed meanwhile.
    fn poll_step(&mut self, context: &mut Context<'_>) -> Poll<Option<Read>> {
        if self.in_flight.is_some() && self.poll_in_flight(context).is_ready() {
            return Poll::Ready(None);
        }
        self.poll_read(context).map(Some)
    }

    /// Waits for the next read, and carries out commands meanwhile.
    pub(crate) fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Read> {
        let read = self.inbound.poll_read(self.subscriber.guard(), context);
        if read.is_pending() {
            self.subscriber.carry_out_commands(context);
        }
        read
    }

    /// Whether a read leaves nothing to do but to wait for the next one.
    pub(crate) fn needs_nothing(&self, read: &Read) -> bool {
        matches!(read, (frames, Ok(())) if frames.is_empty())
            && !self.inbound.is_partial()
            && self.subscriber.outbox().closed().is_none()
    }

    /// Does what the frames say, then what ended the read.
    async fn handle(&mut self, (frames, then): Read, token: Option<&Secret>) -> Result<(), End> {
        let is_pong = |frame: &ClientFrame| matches!(frame.body, Some(client_frame::Body::Pong(_)));
        let wants = frames.iter().any(|frame| !frame.as_ref().is_ok_and(is_pong));
        let mut frames = frames.into_iter();
        while self.subscriber.grants().is_none()
            && let Some(frame) = frames.next()
        {
            self.subscriber.still_open()?;
            // Boxed: every connection would have room for it otherwise.
            Box::pin(self.connect(frame, token)).await?;
        }
        // It waits for nothing: what takes its time is in flight.
        poll_fn(|context| Poll::Ready(self.take(&mut frames, context))).await?;
        if !self.subscriber.services().limits.idle_time.is_zero() {
            self.subscriber.outbox().note_use(self.subscriber.has_subscriptions(), wants);
        }
        then
    }

    /// Does what the frames say, or begins it.
    fn take(
        &mut self,
        frames: &mut vec::IntoIter<Result<ClientFrame, InvalidFrame>>,
        context: &mut Context<'_>,
    ) -> Result<(), End> {
        // Answers to what came together leave together.
        let mut held = None;
        for frame in frames {
            // A connection that is closed does nothing more here.
            self.subscriber.still_open()?;
            held.get_or_insert_with(|| self.subscriber.outbox().hold());
            let Some(effect) = self.subscriber.decide(frame) else { break };
            match effect {
                Effect::Begin(reply_to, beginning) => {
                    let is_token = matches!(beginning, Beginning::Refresh(_));
                    self.begin(reply_to, beginning);
                    if is_token {
                        drop(held.take());
                        // Mostly it is checked at once: then it holds for what came behind it.
                        let _ = self.poll_in_flight(context);
                    }
                }
                Effect::Cancel(id) => self.in_flight.iter_mut().for_each(|in_flight| in_flight.cancel(id)),
                effect => self.subscriber.perform(effect)?,
            }
        }
        drop(held);
        if self.in_flight.is_some() {
            let _ = self.poll_in_flight(context);
        }
        Ok(())
    }

    /// Begins something that takes its time, or refuses it.
    fn begin(&mut self, reply_to: u64, beginning: Beginning) {
        let Self { subscriber, in_flight, .. } = self;
        let Some(requester) = subscriber.requester() else { return };
        let in_flight = in_flight.get_or_insert_with(|| Box::new(InFlight::new(&subscriber.sessions().queue_room)));
        if let Err(why) = in_flight.begin(&requester, reply_to, beginning) {
            subscriber.tell(reply_to, why);
        }
    }

    /// Goes on with what is in flight, and tells what has come of it; ready once
    /// there is nothing, or the connection is closed.
    fn poll_in_flight(&mut self, context: &mut Context<'_>) -> Poll<()> {
        // Short answers that come together leave together.
        let mut held = None;
        loop {
            if self.subscriber.outbox().closed().is_some() {
                return Poll::Ready(());
            }
            let Self { subscriber, in_flight, .. } = self;
            let Some(requester) = subscriber.requester() else { return Poll::Ready(()) };
            let Some(waits) = in_flight.as_mut().filter(|waits| !waits.is_empty()) else {
                *in_flight = None;
                return Poll::Ready(());
            };
            match ready!(waits.poll_next(&requester, context)) {
                Done::Answer(0, Ok(_)) => {}
                Done::Answer(reply_to, answer) => {
                    if matches!(answer, Ok(Body::Published(_)) | Err(_)) {
                        held.get_or_insert_with(|| subscriber.outbox().hold());
                    } else {
                        held = None;
                    }
                    match answer {
                        Ok(body) => subscriber.send(&reply(reply_to, body)),
                        Err(why) => subscriber.tell(reply_to, why),
                    }
                }
                Done::Token(reply_to, granted) => {
                    held = None;
                    subscriber.refresh(reply_to, granted);
                }
            }
        }
    }

    async fn connect(&mut self, frame: Result<ClientFrame, InvalidFrame>, token: Option<&Secret>) -> Result<(), End> {
        match state::connect(frame) {
            Ok((id, connect)) => {
                self.subscriber.connect(id, connect, token).await?;
                self.inbound.welcome();
                Ok(())
            }
            Err((id, why)) => self.subscriber.refuse(id, why),
        }
    }

    /// Publishes what the client sent before it left, as far as time allows.
    async fn finish(&mut self) {
        let Some(in_flight) = &mut self.in_flight else { return };
        in_flight.keep_publishes(&self.subscriber.sessions().queue_room);
        let time = self.subscriber.services().limits.close_time.duration();
        // Publishes that are left then are given up, as they are when the node closes the connection.
        let _ = timeout(time, poll_fn(|context| self.poll_in_flight(context))).await;
    }

    /// Closes, leaves all topics at once, and waits for the peer to end the
    /// stream: an early close of ours could destroy our last frames on their
    /// way. The outbox sees to it that this takes no longer than it may.
    pub(crate) async fn end(mut self, end: End) {
        if matches!(end, End::Peer(_) | End::Lost) {
            self.finish().await;
        }
        if !self.subscriber.close(end) {
            return;
        }
        let Self { subscriber, in_flight, .. } = self;
        let closing = subscriber.leave();
        if let (Some(in_flight), Some(requester)) = (in_flight, closing.requester()) {
            Box::pin(in_flight.finish_publishes(&requester)).await;
        }
        until_gone(closing.guard.outbox.wire()).await;
    }
}
