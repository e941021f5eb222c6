//! One client's connection: what its frames ask for is done.

use std::{
    future::poll_fn,
    io,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::time::timeout_at;

use crate::{
    broker::Link,
    close::CloseReason,
    codec::Encoding,
    config::Secret,
    error::{Code, Refusal},
    gate::Permit,
    grants::Grants,
    hub::Attachment,
    metrics::Refresh,
    outbox::Outbox,
    proto::{ClientFrame, Ping, Refreshed, ServerFrame, client_frame, server_frame::Body},
    publish::Sender,
    session::{
        asking::Asker,
        end::{End, Read},
        inbound::Inbound,
        open::Open,
        roster::Seat,
        shared::Shared,
        state::{self, Effect, Standing, refusal, reply},
        welcome::welcome,
    },
    socket::Wire,
};

/// One connection. It exists once per client for as long as that is there, so
/// every byte counts (`life`).
#[derive(Debug)]
pub(crate) struct Session {
    open: Open,
    attachment: Attachment,
    seat: Option<Seat>,
    inbound: Inbound,
    /// Known once the client has said `connect`.
    grants: Option<Grants>,
}

impl Session {
    /// A connection that has said nothing yet.
    pub(crate) fn new(wire: Wire, encoding: Encoding, permit: Arc<Permit>, shared: &Arc<Shared>) -> Self {
        let outbox = Outbox::new(wire, shared.policy.clone());
        Self {
            attachment: shared.hub.attach(outbox.clone(), encoding),
            open: Open::new(shared.clone(), outbox, permit),
            seat: None,
            inbound: Inbound::new(encoding),
            grants: None,
        }
    }

    /// Waits for `connect`. `token` is what the upgrade brought, for a client
    /// that names none in its frame.
    pub(crate) async fn until_connected(&mut self, ahead: Bytes, token: Option<&Secret>) -> Result<(), End> {
        if !ahead.is_empty() {
            let read = self.inbound.decode(&self.open, &mut ahead.to_vec());
            self.handle(read, token).await?;
        }
        while self.grants.is_none() {
            self.step(token).await?;
        }
        Ok(())
    }

    /// Takes its place on the roster, for what concerns every connection.
    pub(crate) fn settle(&mut self) {
        let Open { shared, outbox, .. } = &self.open;
        if let Some(grants) = self.grants.clone() {
            let follower = self.attachment.follower();
            self.seat = Some(shared.roster.enter(outbox.clone(), self.inbound.encoding(), follower, grants));
        }
        self.mind_revocations();
        if shared.leaving.is_cancelled() {
            // Perhaps too late for the farewell.
            outbox.close(CloseReason::Draining);
        }
    }

    /// Does what a read said, and reads on while a message is incomplete.
    /// Gives the session back unless it has ended.
    pub(crate) async fn work(mut self, read: Read) -> Option<Self> {
        let mut done = self.handle(read, None).await;
        while done.is_ok() && self.inbound.is_partial() {
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

    /// Waits for bytes and does what they say.
    async fn step(&mut self, token: Option<&Secret>) -> Result<(), End> {
        let deadline = self.inbound.deadline(self.open.shared.limits.message_time);
        let read = poll_fn(|context| self.poll_read(context));
        let read = match deadline {
            None => read.await,
            Some(deadline) => timeout_at(deadline, read).await.map_err(|_| End::Close(CloseReason::MessageTimeout))?,
        };
        self.handle(read, token).await?;
        self.still_open()
    }

    /// Waits for the next read.
    pub(crate) fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Read> {
        self.inbound.poll_read(&self.open, context)
    }

    /// Whether a read leaves nothing to do but to wait for the next one.
    pub(crate) fn is_content(&self, read: &Read) -> bool {
        matches!(read, (frames, Ok(())) if frames.is_empty())
            && !self.inbound.is_partial()
            && self.open.outbox.closed().is_none()
    }

    fn still_open(&self) -> Result<(), End> {
        self.open.outbox.closed().map_or(Ok(()), |reason| Err(End::Close(reason)))
    }

    /// Does what the frames say, then what ended the read.
    async fn handle(&mut self, (frames, then): Read, token: Option<&Secret>) -> Result<(), End> {
        // Answers to what came together leave together.
        let mut held = None;
        let wants = |frame: &ClientFrame| !matches!(frame.body, Some(client_frame::Body::Pong(_)));
        let wants = frames.iter().any(wants);
        for frame in frames {
            // Whoever was told to go does nothing more here.
            self.still_open()?;
            held.get_or_insert_with(|| self.open.outbox.hold());
            let Some(grants) = &self.grants else {
                drop(held.take());
                // Boxed: every connection would have room for it otherwise.
                Box::pin(self.connect(frame, token)).await?;
                continue;
            };
            match self.standing(grants, |standing| standing.decide(frame)) {
                Effect::Publish { reply_to, subject, envelope } => {
                    drop(held.take());
                    let sender = Sender { grants, connection: Some(self.open.outbox.wire().id()) };
                    let published = self.open.shared.publisher.publish(sender, &subject, envelope);
                    // Boxed: every connection would have room for it otherwise.
                    match Box::pin(published).await {
                        Ok(_) if reply_to == 0 => {}
                        Ok(published) => self.send(&reply(reply_to, Body::Published(published))),
                        Err(why) => self.refuse(reply_to, why)?,
                    }
                }
                Effect::Ask(reply_to, question) => {
                    let Open { shared, outbox, .. } = &self.open;
                    let asker = Asker { shared, outbox, encoding: self.inbound.encoding(), grants };
                    asker.ask(reply_to, question).or_else(|why| self.refuse(reply_to, why))?;
                }
                Effect::Refresh(reply_to, token) => {
                    drop(held.take());
                    Box::pin(self.refresh(reply_to, &token)).await;
                }
                Effect::Fetch(reply_to, fetch) => {
                    drop(held.take());
                    match Box::pin(self.open.shared.fetcher.fetch(grants, fetch)).await {
                        Ok(fetched) => self.send(&reply(reply_to, Body::Fetched(fetched))),
                        Err(why) => self.refuse(reply_to, why)?,
                    }
                }
                effect => self.perform(effect)?,
            }
        }
        if !self.open.shared.limits.idle_time.is_zero() {
            self.open.outbox.note_use(!self.attachment.is_empty(), wants);
        }
        then
    }

    async fn connect(&mut self, frame: ClientFrame, token: Option<&Secret>) -> Result<(), End> {
        let id = frame.id;
        let (id, connect) = match state::connect(frame) {
            Ok(connect) => connect,
            Err(why) => return self.refuse(id, why),
        };
        let own = Some(connect.token.as_str()).filter(|token| !token.is_empty());
        let token = own.or(token.map(Secret::reveal));
        let grants = match self.open.shared.access.admit(token).await {
            Ok(grants) => grants,
            Err(why) => return self.refuse(id, why),
        };
        let permit = &self.open.permit;
        if let Err(closed) = permit.stand_for_user(grants.identity().user_key()) {
            return self.refuse(id, permit.refusal(closed));
        }
        let _together = self.open.outbox.hold();
        self.grants = Some(grants.clone());
        self.attachment.regrant(&grants);
        let welcome = welcome(&self.open.shared, self.open.outbox.wire().id(), &grants);
        let client = connect.client.unwrap_or_default();
        tracing::debug!(connection = welcome.connection, client = ?shown(&client.name), version = ?shown(&client.version), "connected");
        self.send(&reply(id, Body::Welcome(welcome)));
        let link = self.open.shared.broker.state().link();
        if link != Link::Up {
            // Else its silence would go unexplained until the next heartbeat.
            self.send(&reply(0, Body::Ping(Ping { broker: link.label().into(), ..Ping::default() })));
        }
        let most = self.open.shared.limits.subscriptions;
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
    async fn refresh(&mut self, reply_to: u64, token: &str) {
        let renewed = self.open.shared.access.admit(Some(token)).await;
        let metrics = self.open.shared.metrics.clone();
        let renewed = renewed.map_err(|why| (Refresh::Refused, why)).and_then(|grants| {
            let before = self.grants.as_ref().map(|grants| grants.identity());
            before
                .map_or(Ok(()), |before| state::same_user(before, grants.identity()))
                .map_err(|why| (Refresh::OtherUser, why))?;
            Ok(grants)
        });
        let grants = match renewed {
            Ok(grants) => grants,
            Err((outcome, why)) => {
                metrics.refreshes.of(outcome).increment(1);
                return self.tell(reply_to, why);
            }
        };
        metrics.refreshes.of(Refresh::Accepted).increment(1);
        let _together = self.open.outbox.hold();
        self.grants = Some(grants.clone());
        self.seat.iter().for_each(|seat| seat.renew(grants.clone()));
        for lost in self.attachment.regrant(&grants) {
            metrics.subscriptions_revoked.increment(1);
            self.send(&state::revoked(&lost));
        }
        let expires_at = grants.identity().expires_at_ms().unwrap_or_default();
        self.send(&reply(reply_to, Body::Refreshed(Refreshed { expires_at })));
        self.mind_revocations();
    }

    /// Ends if its token has been revoked since it was checked: whoever revokes
    /// one looks for it on the roster, and has not found it there.
    fn mind_revocations(&self) {
        let Open { shared, outbox, .. } = &self.open;
        if self.grants.as_ref().is_some_and(|grants| shared.access.is_revoked(grants.identity())) {
            outbox.close(CloseReason::Revoked);
        }
    }

    fn standing<R>(&self, grants: &Grants, with: impl FnOnce(Standing<'_>) -> R) -> R {
        let has = |pattern: &_| self.attachment.has(pattern);
        with(Standing { grants, limits: &self.open.shared.limits, held: self.attachment.len(), has: &has })
    }

    /// Performs what needs nobody's answer; publishing, fetching and asking do, and are not for here.
    fn perform(&mut self, effect: Effect) -> Result<(), End> {
        match effect {
            Effect::Join(pattern, wish) => {
                let reply_to = wish.reply_to;
                if let Err(why) = self.attachment.join(&pattern, wish) {
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
            Effect::Publish { .. } | Effect::Fetch(..) | Effect::Ask(..) | Effect::Refresh(..) | Effect::Nothing => {}
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
        self.open.shared.metrics.errors.of(why.code).increment(1);
        self.send(&refusal(reply_to, why));
    }

    fn send(&self, frame: &ServerFrame) {
        self.open.outbox.push(&self.inbound.encoding().frame(frame));
    }

    /// Closes, leaves all topics at once, and waits for the peer to end the
    /// stream: an early close of ours could destroy our last frames on their
    /// way. The outbox sees to it that this takes no longer than it may.
    pub(crate) async fn end(self, end: End) {
        match end {
            End::Close(reason) => self.open.outbox.close(reason),
            End::Peer(code) => self.open.outbox.close_echo(code),
            End::Lost => return,
            End::Refuse(reply_to, why) => {
                let reason = why.code.close().unwrap_or(CloseReason::Internal);
                self.tell(reply_to, why);
                self.open.outbox.close(reason);
            }
        }
        let Self { open, attachment, .. } = self;
        open.shared.errands.end(open.outbox.wire().id());
        drop(attachment);
        let mut ignored = [0; 1024];
        let wire = open.outbox.wire();
        while poll_fn(|context| wire.poll_readable(context)).await.is_ok() {
            match wire.try_read(&mut ignored) {
                Ok(0) => break,
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => break,
                _ => {}
            }
        }
    }
}

/// Bytes of what a client says of itself that are logged.
const LOGGED: usize = 256;

fn shown(text: &str) -> &str {
    &text[..text.floor_char_boundary(LOGGED)]
}
