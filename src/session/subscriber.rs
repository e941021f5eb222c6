//! A subscriber: one connection's identity, grants and subscriptions, apart from
//! the transport that carries its frames.

use std::{
    ops::Range,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;

use crate::{
    access::grants::Grants,
    admission::Permit,
    broker::Link,
    clock::unix_millis,
    close::CloseReason,
    codec::{self, Encoding},
    config::Secret,
    encoded_message::EncodedMessage,
    error::{Code, Refusal},
    hub::{Attachment, SubscribeOptions},
    metrics::Refresh,
    outbox::Outbox,
    proto::{
        Client, ClientFrame, Connect, InvalidFrame, Ping, Pong, Refreshed, ServerFrame, Welcome, server_frame::Body,
    },
    services::NodeServices,
    session::{
        connection_guard::ConnectionGuard,
        end::End,
        event_stream_request::GrantedEventStream,
        keep_alive::checkpoint_interval,
        mailbox::SessionCommand,
        registry::{ConnectionHandle, Registration},
        requester::Requester,
        sessions::Sessions,
        state::{self, Effect, Standing, refusal, reply},
        welcome::{note, welcome},
    },
    socket::Wire,
};

/// The time after which an `EventSource` connects again, milliseconds: random for each, so
/// that those of a node that was killed do not all come at once.
const RECONNECT_MS: Range<u64> = 1_000..3_000;

/// A subscriber. One exists per connection for as long as that is there, so every
/// byte counts.
pub(crate) struct Subscriber {
    guard: ConnectionGuard,
    attachment: Attachment,
    registration: Option<Registration>,
    /// Known once the client is admitted.
    grants: Option<Grants>,
}

impl Subscriber {
    /// A subscriber that is not admitted yet.
    pub(crate) fn new(wire: Wire, encoding: Encoding, permit: Arc<Permit>, sessions: &Arc<Sessions>) -> Self {
        let outbox = Outbox::new(wire, encoding.framing(), sessions.policy.clone());
        Self {
            attachment: sessions.services.hub.attach(outbox.clone(), encoding),
            guard: ConnectionGuard::new(sessions.clone(), outbox, permit),
            registration: None,
            grants: None,
        }
    }

    /// The sessions of the node.
    pub(crate) fn sessions(&self) -> &Arc<Sessions> {
        &self.guard.sessions
    }

    /// The services of the node.
    pub(crate) fn services(&self) -> &NodeServices {
        &self.guard.sessions.services
    }

    /// The outbox of the connection.
    pub(crate) fn outbox(&self) -> &Arc<Outbox> {
        &self.guard.outbox
    }

    /// The grants, once the client is admitted.
    pub(crate) fn grants(&self) -> Option<&Grants> {
        self.grants.as_ref()
    }

    /// The connection, for the reader of its frames.
    pub(crate) fn guard(&self) -> &ConnectionGuard {
        &self.guard
    }

    /// The connection as its requests in flight see it, once it is admitted.
    pub(crate) fn requester(&self) -> Option<Requester<'_>> {
        requester(&self.guard, self.grants.as_ref())
    }

    /// Whether the client has subscribed anything.
    pub(crate) fn has_subscriptions(&self) -> bool {
        !self.attachment.is_empty()
    }

    /// Admits the client and makes the subscriptions of its `connect`. `token` is
    /// the one of the request, for a client that names none in its frame.
    ///
    /// # Errors
    /// The end of the connection, where the client is not admitted.
    pub(crate) async fn connect(&mut self, id: u64, connect: Connect, token: Option<&Secret>) -> Result<(), End> {
        let own = Some(connect.token.as_str()).filter(|token| !token.is_empty());
        let token = own.or(token.map(Secret::reveal));
        let grants = match self.services().access.admit(token).await {
            Ok(grants) => grants,
            Err(why) => return self.refuse(id, why),
        };
        let (permit, user) = (&self.guard.permit, grants.identity().user_key());
        if let (Some(user), Ok(earlier)) = (user, connect.replaces.parse()) {
            self.sessions().registry.replace(earlier, user, permit);
        }
        if let Err(closed) = permit.count_for_user(user) {
            return self.refuse(id, permit.refusal(closed));
        }
        let _together = self.outbox().hold();
        self.admit(id, &grants, &connect.client.unwrap_or_default());
        let most = self.services().limits.subscriptions;
        if connect.subscriptions.len() > most {
            let asked = connect.subscriptions.len();
            let message =
                format!("`connect` asks for {asked} subscriptions; the first {most}, the most there may be, hold");
            self.refuse(id, Refusal::new(Code::SubscriptionLimit, message))?;
        }
        let common = connect.after.into();
        for (index, subscription) in connect.subscriptions.into_iter().enumerate() {
            if index < most {
                let effect = self.standing(&grants, |standing| standing.resume(subscription, &common));
                self.perform(effect)?;
            } else if subscription.id != 0 {
                let message =
                    format!("it is beyond the first {most} subscriptions of `connect`, the most there may be");
                self.tell(subscription.id, Refusal::of(Code::SubscriptionLimit, &subscription.subject, message));
            }
        }
        Ok(())
    }

    /// Takes the grants of a client and welcomes it.
    fn admit(&mut self, id: u64, grants: &Grants, client: &Client) {
        self.grants = Some(grants.clone());
        self.attachment.regrant(grants);
        let link = self.services().broker.state().link();
        let welcome = welcome(self.services(), self.outbox().wire().id(), grants, link);
        let welcome = match self.attachment.encoding().framing().answers_pings() {
            true => welcome,
            false => Welcome { heartbeat_ms: checkpoint_interval(self.services().heartbeat).millis(), ..welcome },
        };
        note(&welcome, client);
        self.send(&reply(id, Body::Welcome(welcome)));
        if link != Link::Up {
            // Else its silence would go unexplained until the next heartbeat.
            let (broker, time) = (link.label().into(), unix_millis());
            self.send(&reply(0, Body::Ping(Ping { broker, time, ..Ping::default() })));
        }
    }

    /// Begins an event stream behind the head of its response: with the time after which
    /// an `EventSource` connects again, and the `id` that the client resumes from.
    pub(crate) fn begin_stream(&mut self, head: Bytes, granted: GrantedEventStream) {
        let _together = self.outbox().hold();
        // It waits for events as long as it lasts.
        self.outbox().note_use(true, true);
        self.outbox().push(&EncodedMessage::raw(head));
        self.outbox().push(&codec::primer(granted.format, fastrand::u64(RECONNECT_MS), &granted.cursor));
        self.subscribe_together(granted);
    }

    /// Begins a poll, which waits for events as long as it lasts.
    pub(crate) fn begin_poll(&mut self, granted: GrantedEventStream) {
        self.outbox().note_use(true, true);
        self.subscribe_together(granted);
    }

    /// Welcomes a client of an event stream, and makes its subscriptions.
    fn subscribe_together(&mut self, granted: GrantedEventStream) {
        let GrantedEventStream { grants, mut patterns, refused, cursor, .. } = granted;
        self.admit(0, &grants, &Client::default());
        refused.into_iter().for_each(|why| self.tell(0, why));
        let account = self.services().quotas.account(grants.identity().user_key());
        patterns.iter_mut().for_each(|(_, options)| options.account = account);
        for (pattern, why) in self.attachment.join_together(patterns, cursor.0) {
            self.tell(0, why.refusal(&pattern));
        }
    }

    /// Enters the registry, which reaches every connection.
    pub(crate) fn register(&mut self) {
        let Self { guard: ConnectionGuard { sessions, outbox, permit }, attachment, .. } = self;
        if let Some(grants) = self.grants.clone() {
            let (encoding, position_handle) = (attachment.encoding(), attachment.position_handle());
            let (outbox, permit) = (outbox.clone(), permit.clone());
            let handle = ConnectionHandle { outbox, encoding, position_handle, grants, permit };
            self.registration = Some(sessions.registry.enter(handle));
        }
        self.check_revoked();
        if self.services().leaving.is_cancelled() {
            // Perhaps too late for the drain.
            self.outbox().close(CloseReason::Draining);
        }
    }

    /// Carries out the commands that wait in the registry; a later one wakes the task.
    pub(crate) fn carry_out_commands(&self, context: &mut Context<'_>) {
        let Some(registration) = &self.registration else { return };
        while let Poll::Ready(command) = registration.poll_command(context) {
            match command {
                SessionCommand::ListSubscriptions(answer) => {
                    // An asker that waits no longer needs no answer.
                    let _ = answer.send(self.attachment.patterns().cloned().collect());
                }
            }
        }
    }

    /// Decides on one frame; none when the client is not admitted yet.
    pub(crate) fn decide(&self, frame: Result<ClientFrame, InvalidFrame>) -> Option<Effect> {
        self.grants.as_ref().map(|grants| self.standing(grants, |standing| standing.decide(frame)))
    }

    fn standing<R>(&self, grants: &Grants, with: impl FnOnce(Standing<'_>) -> R) -> R {
        let has = |pattern: &_| self.attachment.has(pattern);
        with(Standing { grants, limits: &self.services().limits, held: self.attachment.len(), has: &has })
    }

    /// Takes another token of the same user. The one before stands if it does
    /// not hold: the connection lasts until that expires.
    pub(crate) fn refresh(&mut self, reply_to: u64, granted: Result<Grants, Refusal>) {
        let metrics = self.services().metrics.clone();
        let before = self.grants.as_ref().map(Grants::identity);
        let grants = match state::renewed(before, granted) {
            Ok(grants) => grants,
            Err((outcome, why)) => {
                metrics.refreshes.of(outcome).increment(1);
                return self.tell(reply_to, why);
            }
        };
        metrics.refreshes.of(Refresh::Accepted).increment(1);
        let _together = self.outbox().hold();
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

    /// Closes the connection if its token has been revoked since it was checked: a
    /// revocation looks through the registry, and has not found it there.
    fn check_revoked(&self) {
        if self.grants.as_ref().is_some_and(|grants| self.services().access.is_revoked(grants.identity())) {
            self.outbox().close(CloseReason::Revoked);
        }
    }

    /// Performs what needs nobody's answer.
    pub(crate) fn perform(&mut self, effect: Effect) -> Result<(), End> {
        match effect {
            Effect::Join(pattern, options) => {
                let reply_to = options.reply_to;
                let user = self.grants.as_ref().and_then(|grants| grants.identity().user_key());
                let account = self.services().quotas.account(user);
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
            Effect::Pong(reply_to) => self.send(&reply(reply_to, Body::Pong(Pong { time: unix_millis() }))),
            Effect::Refuse(reply_to, why) => self.refuse(reply_to, why)?,
            Effect::Cancel(_) | Effect::Begin(..) | Effect::Nothing => {}
        }
        Ok(())
    }

    /// Tells a refusal; one that ends the connection is returned as the end.
    pub(crate) fn refuse(&self, reply_to: u64, why: Refusal) -> Result<(), End> {
        if why.code.close().is_some() {
            return Err(End::Refuse(reply_to, why));
        }
        self.tell(reply_to, why);
        Ok(())
    }

    pub(crate) fn tell(&self, reply_to: u64, why: Refusal) {
        self.services().metrics.errors.of(why.code).increment(1);
        self.send(&refusal(reply_to, why));
    }

    pub(crate) fn send(&self, frame: &ServerFrame) {
        self.outbox().push(&self.attachment.encoding().frame(frame));
    }

    /// Whether the connection is open.
    ///
    /// # Errors
    /// Its end, where it has been closed.
    pub(crate) fn still_open(&self) -> Result<(), End> {
        self.outbox().closed().map_or(Ok(()), |reason| Err(End::Close(reason)))
    }

    /// Closes the connection for the reason of its end; false where the stream is
    /// broken, so that nothing can be told.
    pub(crate) fn close(&self, end: End) -> bool {
        match end {
            End::Close(reason) => self.outbox().close(reason),
            End::Peer(code) => self.outbox().close_echo(code),
            End::Lost => return false,
            End::Refuse(reply_to, why) => {
                let reason = why.code.close().unwrap_or(CloseReason::Internal);
                self.tell(reply_to, why);
                self.outbox().close(reason);
            }
        }
        true
    }

    /// Ends all subscriptions at once, and takes the connection out of the registry.
    pub(crate) fn leave(self) -> ClosingConnection {
        ClosingConnection { guard: self.guard, grants: self.grants }
    }
}

/// The rest of a subscriber whose subscriptions have ended. The connection counts
/// as open for as long as this exists.
pub(crate) struct ClosingConnection {
    pub(crate) guard: ConnectionGuard,
    grants: Option<Grants>,
}

impl ClosingConnection {
    /// The connection as its requests in flight see it, if it was admitted.
    pub(crate) fn requester(&self) -> Option<Requester<'_>> {
        requester(&self.guard, self.grants.as_ref())
    }
}

fn requester<'a>(guard: &'a ConnectionGuard, grants: Option<&'a Grants>) -> Option<Requester<'a>> {
    let ConnectionGuard { sessions, outbox, .. } = guard;
    grants.map(|grants| Requester { services: &sessions.services, outbox, grants })
}
