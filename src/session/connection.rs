//! One client's connection: what its frames ask for is done.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, ready},
    vec,
};

use bytes::Bytes;
use tokio::time::{timeout, timeout_at};

use crate::{
    access::grants::Grants,
    admission::Permit,
    broker::Link,
    close::CloseReason,
    codec::Encoding,
    config::Secret,
    error::{Code, Refusal},
    hub::{Attachment, SubscribeOptions},
    metrics::Refresh,
    outbox::Outbox,
    proto::{ClientFrame, Misplaced, Ping, Refreshed, ServerFrame, client_frame, server_frame::Body},
    session::{
        connection_guard::ConnectionGuard,
        end::{End, Read, until_gone},
        in_flight::{Done, InFlight},
        inbound::Inbound,
        node_services::NodeServices,
        registry::Registration,
        requester::Requester,
        state::{self, Beginning, Effect, Standing, refusal, reply},
        welcome::{note, welcome},
    },
    socket::Wire,
};

/// One connection. It exists once per client for as long as that is there, so
/// every byte counts (`life`).
pub(crate) struct Session {
    guard: ConnectionGuard,
    attachment: Attachment,
    registration: Option<Registration>,
    inbound: Inbound,
    /// Known once the client has said `connect`.
    grants: Option<Grants>,
    /// Requests in flight, if there are any.
    in_flight: Option<Box<InFlight>>,
}

impl Session {
    /// A connection that has said nothing yet.
    pub(crate) fn new(wire: Wire, encoding: Encoding, permit: Arc<Permit>, services: &Arc<NodeServices>) -> Self {
        let outbox = Outbox::new(wire, encoding.framing(), services.policy.clone());
        Self {
            attachment: services.hub.attach(outbox.clone(), encoding),
            guard: ConnectionGuard::new(services.clone(), outbox, permit),
            registration: None,
            inbound: Inbound::new(encoding),
            grants: None,
            in_flight: None,
        }
    }

    /// Waits for `connect`. `token` is what the upgrade brought, for a client
    /// that names none in its frame.
    pub(crate) async fn until_connected(&mut self, ahead: Bytes, token: Option<&Secret>) -> Result<(), End> {
        if !ahead.is_empty() {
            let read = self.inbound.decode(&self.guard, &mut ahead.to_vec());
            self.handle(read, token).await?;
        }
        while self.grants.is_none() {
            self.step(token).await?;
        }
        Ok(())
    }

    /// Takes its place in the registry, for what concerns every connection.
    pub(crate) fn register(&mut self) {
        let ConnectionGuard { services, outbox, .. } = &self.guard;
        if let Some(grants) = self.grants.clone() {
            let position_handle = self.attachment.position_handle();
            self.registration =
                Some(services.registry.enter(outbox.clone(), self.inbound.encoding(), position_handle, grants));
        }
        self.check_revoked();
        if services.leaving.is_cancelled() {
            // Perhaps too late for the drain.
            outbox.close(CloseReason::Draining);
        }
    }

    /// Does what a read said, and reads on while a message is incomplete or
    /// something is in flight. Gives the session back unless it has ended.
    pub(crate) async fn work(mut self, read: Read) -> Option<Self> {
        let mut done = self.handle(read, None).await;
        while done.is_ok() && !self.is_settled() {
            done = self.step(None).await;
        }
        match done.and_then(|()| self.still_open()) {
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
        let deadline = self.inbound.deadline(self.guard.services.limits.message_time);
        let next = poll_fn(|context| self.poll_step(context));
        let read = match deadline {
            None => next.await,
            Some(deadline) => timeout_at(deadline, next).await.map_err(|_| End::Close(CloseReason::MessageTimeout))?,
        };
        if let Some(read) = read {
            self.handle(read, token).await?;
        }
        self.still_open()
    }

    /// Ready with a read; without one when nothing is in flight any more, or the
    /// connection has been closed meanwhile.
    fn poll_step(&mut self, context: &mut Context<'_>) -> Poll<Option<Read>> {
        if self.in_flight.is_some() && self.poll_in_flight(context).is_ready() {
            return Poll::Ready(None);
        }
        self.poll_read(context).map(Some)
    }

    /// Waits for the next read.
    pub(crate) fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Read> {
        self.inbound.poll_read(&self.guard, context)
    }

    /// Whether a read leaves nothing to do but to wait for the next one.
    pub(crate) fn needs_nothing(&self, read: &Read) -> bool {
        matches!(read, (frames, Ok(())) if frames.is_empty())
            && !self.inbound.is_partial()
            && self.guard.outbox.closed().is_none()
    }

    fn still_open(&self) -> Result<(), End> {
        self.guard.outbox.closed().map_or(Ok(()), |reason| Err(End::Close(reason)))
    }

    /// Does what the frames say, then what ended the read.
    async fn handle(&mut self, (frames, then): Read, token: Option<&Secret>) -> Result<(), End> {
        let is_pong = |frame: &ClientFrame| matches!(frame.body, Some(client_frame::Body::Pong(_)));
        let wants = frames.iter().any(|frame| !frame.as_ref().is_ok_and(is_pong));
        let mut frames = frames.into_iter();
        while self.grants.is_none()
            && let Some(frame) = frames.next()
        {
            self.still_open()?;
            // Boxed: every connection would have room for it otherwise.
            Box::pin(self.connect(frame, token)).await?;
        }
        // It waits for nothing: what takes its time is in flight.
        poll_fn(|context| Poll::Ready(self.take(&mut frames, context))).await?;
        if !self.guard.services.limits.idle_time.is_zero() {
            self.guard.outbox.note_use(!self.attachment.is_empty(), wants);
        }
        then
    }

    /// Does what the frames say, or begins it.
    fn take(
        &mut self,
        frames: &mut vec::IntoIter<Result<ClientFrame, Misplaced>>,
        context: &mut Context<'_>,
    ) -> Result<(), End> {
        // Answers to what came together leave together.
        let mut held = None;
        for frame in frames {
            // Whoever was told to go does nothing more here.
            self.still_open()?;
            held.get_or_insert_with(|| self.guard.outbox.hold());
            let Some(grants) = &self.grants else { break };
            match self.standing(grants, |standing| standing.decide(frame)) {
                Effect::Begin(reply_to, beginning) => {
                    let is_token = matches!(beginning, Beginning::Refresh(_));
                    self.begin(reply_to, beginning);
                    if is_token {
                        drop(held.take());
                        // Mostly it is checked at once: then it holds for what came behind it.
                        let _ = self.poll_in_flight(context);
                    }
                }
                effect => self.perform(effect)?,
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
        let Self { guard: ConnectionGuard { services, outbox, .. }, grants: Some(grants), in_flight, .. } = self else {
            return;
        };
        let requester = Requester { services, outbox, grants };
        let in_flight = in_flight.get_or_insert_with(|| Box::new(InFlight::new(&services.queue_room)));
        if let Err(why) = in_flight.begin(&requester, reply_to, beginning) {
            self.tell(reply_to, why);
        }
    }

    /// Goes on with what is in flight, and tells what has come of it; ready once
    /// there is nothing, or the connection is closed.
    fn poll_in_flight(&mut self, context: &mut Context<'_>) -> Poll<()> {
        // Short answers that come together leave together.
        let mut held = None;
        loop {
            if self.guard.outbox.closed().is_some() {
                return Poll::Ready(());
            }
            let Self { guard: ConnectionGuard { services, outbox, .. }, grants: Some(grants), in_flight, .. } = self
            else {
                return Poll::Ready(());
            };
            let Some(waits) = in_flight.as_mut().filter(|waits| !waits.is_empty()) else {
                *in_flight = None;
                return Poll::Ready(());
            };
            let requester = Requester { services, outbox, grants };
            match ready!(waits.poll_next(&requester, context)) {
                Done::Answer(0, Ok(_)) => {}
                Done::Answer(reply_to, answer) => {
                    if matches!(answer, Ok(Body::Published(_)) | Err(_)) {
                        held.get_or_insert_with(|| outbox.hold());
                    } else {
                        held = None;
                    }
                    match answer {
                        Ok(body) => self.send(&reply(reply_to, body)),
                        Err(why) => self.tell(reply_to, why),
                    }
                }
                Done::Token(reply_to, granted) => {
                    held = None;
                    self.refresh(reply_to, granted);
                }
            }
        }
    }

    async fn connect(&mut self, frame: Result<ClientFrame, Misplaced>, token: Option<&Secret>) -> Result<(), End> {
        let (id, connect) = match state::connect(frame) {
            Ok(connect) => connect,
            Err((id, why)) => return self.refuse(id, why),
        };
        let own = Some(connect.token.as_str()).filter(|token| !token.is_empty());
        let token = own.or(token.map(Secret::reveal));
        let grants = match self.guard.services.access.admit(token).await {
            Ok(grants) => grants,
            Err(why) => return self.refuse(id, why),
        };
        let permit = &self.guard.permit;
        if let Err(closed) = permit.count_for_user(grants.identity().user_key()) {
            return self.refuse(id, permit.refusal(closed));
        }
        let _together = self.guard.outbox.hold();
        self.grants = Some(grants.clone());
        self.attachment.regrant(&grants);
        let welcome = welcome(&self.guard.services, self.guard.outbox.wire().id(), &grants);
        note(&welcome, &connect.client.unwrap_or_default());
        self.send(&reply(id, Body::Welcome(welcome)));
        let link = self.guard.services.broker.state().link();
        if link != Link::Up {
            // Else its silence would go unexplained until the next heartbeat.
            self.send(&reply(0, Body::Ping(Ping { broker: link.label().into(), ..Ping::default() })));
        }
        let most = self.guard.services.limits.subscriptions;
        if connect.subscriptions.len() > most {
            let asked = connect.subscriptions.len();
            let message =
                format!("`connect` asks for {asked} subscriptions; the first {most}, the most there may be, hold");
            self.refuse(id, Refusal::new(Code::SubscriptionLimit, message))?;
        }
        for subscription in connect.subscriptions.into_iter().take(most) {
            let effect = self.standing(&grants, |standing| standing.resume(subscription));
            self.perform(effect)?;
        }
        Ok(())
    }

    /// Takes another token of the same user. The one before stands if it does
    /// not hold: the connection lasts until that expires.
    fn refresh(&mut self, reply_to: u64, granted: Result<Grants, Refusal>) {
        let metrics = self.guard.services.metrics.clone();
        let before = self.grants.as_ref().map(Grants::identity);
        let grants = match state::renewed(before, granted) {
            Ok(grants) => grants,
            Err((outcome, why)) => {
                metrics.refreshes.of(outcome).increment(1);
                return self.tell(reply_to, why);
            }
        };
        metrics.refreshes.of(Refresh::Accepted).increment(1);
        let _together = self.guard.outbox.hold();
        self.grants = Some(grants.clone());
        self.registration.iter().for_each(|registration| registration.renew(grants.clone()));
        for lost in self.attachment.regrant(&grants) {
            metrics.subscriptions_revoked.increment(1);
            self.send(&state::revoked(&lost));
        }
        let expires_at = grants.identity().expires_at_ms().unwrap_or_default();
        self.send(&reply(reply_to, Body::Refreshed(Refreshed { expires_at })));
        self.check_revoked();
    }

    /// Ends if its token has been revoked since it was checked: whoever revokes
    /// one looks for it in the registry, and has not found it there.
    fn check_revoked(&self) {
        let ConnectionGuard { services, outbox, .. } = &self.guard;
        if self.grants.as_ref().is_some_and(|grants| services.access.is_revoked(grants.identity())) {
            outbox.close(CloseReason::Revoked);
        }
    }

    fn standing<R>(&self, grants: &Grants, with: impl FnOnce(Standing<'_>) -> R) -> R {
        let has = |pattern: &_| self.attachment.has(pattern);
        with(Standing { grants, limits: &self.guard.services.limits, held: self.attachment.len(), has: &has })
    }

    /// Performs what needs nobody's answer.
    fn perform(&mut self, effect: Effect) -> Result<(), End> {
        match effect {
            Effect::Join(pattern, options) => {
                let reply_to = options.reply_to;
                let user = self.grants.as_ref().and_then(|grants| grants.identity().user_key());
                let account = self.guard.services.quotas.account(user);
                if let Err(why) = self.attachment.join(&pattern, SubscribeOptions { account, ..options }) {
                    if why.is_news {
                        let identity = self.grants.as_ref().map(Grants::identity);
                        let (user, issuer) = (identity.map(|who| &who.user), identity.map(|who| &who.issuer));
                        tracing::warn!(?user, ?issuer, "a user holds as many shapes of wildcards as they may");
                    }
                    self.refuse(reply_to, why.refusal(&pattern))?;
                }
            }
            Effect::Leave(pattern, answer) => {
                self.attachment.leave(&pattern);
                answer.iter().for_each(|frame| self.send(frame));
            }
            Effect::Refuse(reply_to, why) => self.refuse(reply_to, why)?,
            Effect::Begin(..) | Effect::Nothing => {}
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
        self.guard.services.metrics.errors.of(why.code).increment(1);
        self.send(&refusal(reply_to, why));
    }

    fn send(&self, frame: &ServerFrame) {
        self.guard.outbox.push(&self.inbound.encoding().frame(frame));
    }

    /// Publishes what the client sent before it left, as far as time allows.
    async fn finish(&mut self) {
        let Some(in_flight) = &mut self.in_flight else { return };
        in_flight.keep_publishes(&self.guard.services.queue_room);
        let time = self.guard.services.limits.close_time.duration();
        // What is left then is given up, as it is for whom the node sends away.
        let _ = timeout(time, poll_fn(|context| self.poll_in_flight(context))).await;
    }

    /// Closes, leaves all topics at once, and waits for the peer to end the
    /// stream: an early close of ours could destroy our last frames on their
    /// way. The outbox sees to it that this takes no longer than it may.
    pub(crate) async fn end(mut self, end: End) {
        if matches!(end, End::Peer(_) | End::Lost) {
            self.finish().await;
        }
        match end {
            End::Close(reason) => self.guard.outbox.close(reason),
            End::Peer(code) => self.guard.outbox.close_echo(code),
            End::Lost => return,
            End::Refuse(reply_to, why) => {
                let reason = why.code.close().unwrap_or(CloseReason::Internal);
                self.tell(reply_to, why);
                self.guard.outbox.close(reason);
            }
        }
        let Self { guard, attachment, in_flight, grants, .. } = self;
        drop(attachment);
        if let (Some(in_flight), Some(grants)) = (in_flight, &grants) {
            let requester = Requester { services: &guard.services, outbox: &guard.outbox, grants };
            Box::pin(in_flight.finish_publishes(&requester)).await;
        }
        until_gone(guard.outbox.wire()).await;
    }
}
