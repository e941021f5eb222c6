//! The protocol as a pure machine: a client's frame in, what is to be done
//! out. No I/O, no clock.

use std::sync::Arc;

use crate::{
    access::{grants::Grants, identity::Identity},
    config::Limits,
    error::{Code, Refusal},
    hub::{EndedSubscription, SubscribeOptions},
    metrics::Refresh,
    proto::{
        ClientFrame, Connect, Envelope, Fetch, InvalidFrame, Position, ServerFrame, Subscribe, Subscription,
        Unsubscribe, client_frame::Body as ClientBody, server_frame::Body,
    },
    request::ServiceRequest,
    subject::Pattern,
};

/// Why a subscription has ended: the client's new token does not grant it.
const GRANT_REVOKED: &str = "grant_revoked";

/// The effect of a frame.
#[derive(Debug, PartialEq)]
pub(crate) enum Effect {
    /// Subscribe.
    Join(Pattern, SubscribeOptions),
    /// Unsubscribe, then send the frame if there is one.
    Leave(Pattern, Option<ServerFrame>),
    /// Begin something that takes its time; the answer has that correlation number.
    Begin(u64, Beginning),
    /// Tell that the node is there, with that correlation number.
    Pong(u64),
    /// Give up the request or fetch with that correlation number.
    Cancel(u64),
    /// Refuse, with that correlation number.
    Refuse(u64, Refusal),
    /// Nothing to do: it was enough to hear from the client.
    Nothing,
}

/// A request that takes time, so that the connection is served on meanwhile.
#[derive(Debug, PartialEq)]
pub(crate) enum Beginning {
    /// Publish to that subject.
    Publish(String, Envelope),
    /// Ask a service.
    Ask(ServiceRequest),
    /// Read what is stored.
    Fetch(Fetch),
    /// Take another token.
    Refresh(String),
}

/// The first frame, which has to be `connect`.
///
/// # Errors
/// `bad_frame` for any other, and for one that would ask for nothing.
pub(crate) fn connect(frame: Result<ClientFrame, InvalidFrame>) -> Result<(u64, Connect), (u64, Refusal)> {
    match frame {
        Ok(ClientFrame { id, body: Some(ClientBody::Connect(connect)) }) => Ok((id, connect)),
        Ok(frame) => Err((frame.id, Refusal::new(Code::BadFrame, "the first frame must be `connect`"))),
        Err(invalid) => Err((invalid.id, Refusal::new(Code::BadFrame, invalid.to_string()))),
    }
}

/// A connection's standing when a frame of its comes in.
pub(crate) struct Standing<'a> {
    /// Its grants.
    pub(crate) grants: &'a Grants,
    /// The limits of clients.
    pub(crate) limits: &'a Limits,
    /// How many subscriptions it holds.
    pub(crate) held: usize,
    /// Whether it holds this one.
    pub(crate) has: &'a dyn Fn(&Pattern) -> bool,
}

impl Standing<'_> {
    /// Decides on one frame of a connected client.
    pub(crate) fn decide(&self, frame: Result<ClientFrame, InvalidFrame>) -> Effect {
        let frame = match frame {
            Ok(frame) => frame,
            Err(invalid) => {
                return Effect::Refuse(invalid.id, Refusal::new(Code::BadRequest, invalid.to_string()));
            }
        };
        let id = frame.id;
        let unsupported = |what: &str| {
            Effect::Refuse(id, Refusal::new(Code::Unsupported, format!("this node does not serve {what}")))
        };
        match frame.body {
            Some(ClientBody::Subscribe(subscribe)) => self.subscribe(id, subscribe),
            Some(ClientBody::Unsubscribe(unsubscribe)) => unsubscribed(id, unsubscribe),
            Some(ClientBody::Publish(publish)) => {
                Effect::Begin(id, Beginning::Publish(publish.subject, publish.event.unwrap_or_default().into()))
            }
            Some(ClientBody::Pong(_)) => Effect::Nothing,
            Some(ClientBody::Ping(_)) => Effect::Pong(id),
            Some(ClientBody::Cancel(cancel)) => Effect::Cancel(cancel.id),
            Some(ClientBody::Connect(_)) => {
                Effect::Refuse(id, Refusal::new(Code::BadFrame, "`connect` was sent before; send it once"))
            }
            // Its answer would be lost.
            Some(ClientBody::Request(_) | ClientBody::Fetch(_)) if id == 0 => Effect::Nothing,
            Some(ClientBody::Request(request)) => Effect::Begin(
                id,
                Beginning::Ask(ServiceRequest {
                    subject: request.subject,
                    envelope: request.event.unwrap_or_default().into(),
                    timeout_ms: request.timeout_ms,
                }),
            ),
            Some(ClientBody::Fetch(fetch)) => Effect::Begin(id, Beginning::Fetch(fetch)),
            Some(ClientBody::Refresh(refresh)) => Effect::Begin(id, Beginning::Refresh(refresh.token)),
            // From a newer client; it is passed over unless an answer is awaited.
            None if id == 0 => Effect::Nothing,
            None => unsupported("a frame that it does not know"),
        }
    }

    /// Decides on one of `connect.subscriptions`. `common` is `connect.after`, for
    /// those that have no positions of their own.
    pub(crate) fn resume(&self, subscription: Subscription, common: &Arc<[Position]>) -> Effect {
        let Subscription { subject, after, snapshot, id } = subscription;
        let after = if after.is_empty() { common.clone() } else { after.into() };
        self.join(&subject, SubscribeOptions { reply_to: id, after, snapshot, ..SubscribeOptions::default() })
    }

    fn subscribe(&self, id: u64, subscribe: Subscribe) -> Effect {
        let Subscribe { subject, after, snapshot } = subscribe;
        let after = after.into();
        self.join(&subject, SubscribeOptions { reply_to: id, after, snapshot, ..SubscribeOptions::default() })
    }

    fn join(&self, subject: &str, options: SubscribeOptions) -> Effect {
        let id = options.reply_to;
        let pattern = match self.grants.subscribe(subject) {
            Ok(pattern) => pattern,
            Err(refusal) => return Effect::Refuse(id, refusal),
        };
        if self.held >= self.limits.subscriptions && !(self.has)(&pattern) {
            let message = format!("this connection holds {} subscriptions, the most it may; give one up", self.held);
            return Effect::Refuse(id, Refusal::of(Code::SubscriptionLimit, subject, message));
        }
        if !options.after.iter().all(Position::is_plausible) {
            return Effect::Refuse(id, Refusal::bad_position(subject));
        }
        Effect::Join(pattern, options)
    }
}

fn unsubscribed(id: u64, unsubscribe: Unsubscribe) -> Effect {
    match Pattern::parse(&unsubscribe.subject) {
        Ok(pattern) => {
            let body =
                Body::Unsubscribed(crate::proto::Unsubscribed { subject: unsubscribe.subject, reason: String::new() });
            Effect::Leave(pattern, (id != 0).then(|| reply(id, body)))
        }
        Err(why) => Effect::Refuse(id, Refusal::bad_subject(&unsubscribe.subject, why)),
    }
}

/// A subscription has ended, since its grant was lost.
pub(crate) fn revoked(ended: &EndedSubscription) -> ServerFrame {
    let (subject, reason) = (ended.pattern.to_string(), GRANT_REVOKED.to_owned());
    reply(ended.reply_to, Body::Unsubscribed(crate::proto::Unsubscribed { subject, reason }))
}

/// Checks that a new token is the same user's: it renews a connection and does
/// not hand it over. Users of different issuers are never the same.
///
/// # Errors
/// `forbidden`.
fn same_user(before: &Identity, after: &Identity) -> Result<(), Refusal> {
    if before.user == after.user && before.issuer == after.issuer {
        return Ok(());
    }
    Err(Refusal::new(Code::Forbidden, "the token is another user's; open a connection of its own for it"))
}

/// The grants of a new token, if it is the same user's; else the label that counts it.
pub(crate) fn renewed(
    before: Option<&Identity>,
    granted: Result<Grants, Refusal>,
) -> Result<Grants, (Refresh, Refusal)> {
    let grants = granted.map_err(|why| (Refresh::Refused, why))?;
    let same = before.map_or(Ok(()), |before| same_user(before, grants.identity()));
    same.map_err(|why| (Refresh::OtherUser, why)).map(|()| grants)
}

/// A frame that answers another.
pub(crate) fn reply(reply_to: u64, body: Body) -> ServerFrame {
    ServerFrame { reply_to, body: Some(body) }
}

/// A refusal as a frame.
pub(crate) fn refusal(reply_to: u64, refusal: Refusal) -> ServerFrame {
    reply(reply_to, Body::Error(refusal.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{Cancel, Event, Ping, Pong, Publish, Request, Unsubscribed};

    fn decide(held: usize, frame: ClientFrame) -> Effect {
        let has = |pattern: &Pattern| pattern.as_str() == "held";
        let grants = Grants::anonymous(std::sync::Arc::default());
        let limits = Limits { subscriptions: 2, ..Limits::default() };
        Standing { grants: &grants, limits: &limits, held, has: &has }.decide(Ok(frame))
    }

    fn subscribe(subject: &str) -> ClientFrame {
        let subscribe = Subscribe { subject: subject.into(), ..Subscribe::default() };
        ClientFrame { id: 7, body: Some(ClientBody::Subscribe(subscribe)) }
    }

    fn code(effect: Effect) -> Option<Code> {
        match effect {
            Effect::Refuse(7, refusal) => Some(refusal.code),
            _ => None,
        }
    }

    #[test]
    fn only_connect_opens_a_connection() {
        assert!(connect(Ok(ClientFrame { id: 1, body: Some(ClientBody::Connect(Connect::default())) })).is_ok());
        for body in [None, Some(ClientBody::Pong(Pong::default()))] {
            let (id, refusal) = connect(Ok(ClientFrame { id: 1, body })).expect_err("out of place");
            assert_eq!((id, refusal.code), (1, Code::BadFrame));
        }
        let again = ClientFrame { id: 7, body: Some(ClientBody::Connect(Connect::default())) };
        assert_eq!(code(decide(0, again)), Some(Code::BadFrame));
    }

    #[test]
    fn a_ping_is_answered_and_a_cancel_names_its_request() {
        for id in [0, 7] {
            let ping = Some(ClientBody::Ping(Ping::default()));
            assert_eq!(decide(0, ClientFrame { id, body: ping }), Effect::Pong(id));
        }
        let cancel = Some(ClientBody::Cancel(Cancel { id: 3 }));
        assert_eq!(decide(0, ClientFrame { id: 7, body: cancel }), Effect::Cancel(3));
    }

    #[test]
    fn a_subscription_above_the_limit_is_refused_but_a_held_one_is_not() {
        assert!(matches!(decide(1, subscribe("a.*")), Effect::Join(..)));
        assert_eq!(code(decide(2, subscribe("a.*"))), Some(Code::SubscriptionLimit));
        assert!(matches!(decide(2, subscribe("held")), Effect::Join(..)));
        assert_eq!(code(decide(0, subscribe("a..b"))), Some(Code::BadSubject));
        assert_eq!(code(decide(0, subscribe("$SYS.>"))), Some(Code::Forbidden));
    }

    #[test]
    fn a_position_that_no_node_has_told_is_refused() {
        let at = |seq| {
            let after = vec![Position { stream: "S".into(), epoch: "1".into(), seq, ..Position::default() }];
            let subscribe = Subscribe { subject: "a".into(), after, snapshot: false };
            decide(0, ClientFrame { id: 7, body: Some(ClientBody::Subscribe(subscribe)) })
        };
        assert!(matches!(at((1 << 53) - 1), Effect::Join(..)));
        for seq in [1 << 53, u64::MAX] {
            assert_eq!(code(at(seq)), Some(Code::BadRequest), "{seq}");
        }
    }

    #[test]
    fn frames_of_later_versions_are_answered_only_when_an_answer_is_awaited() {
        assert_eq!(code(decide(0, ClientFrame { id: 7, body: None })), Some(Code::Unsupported));
        assert_eq!(decide(0, ClientFrame { id: 0, body: None }), Effect::Nothing);
    }

    #[test]
    fn what_only_brings_an_answer_needs_an_id() {
        for (id, body) in [(0, ClientBody::Request(Request::default())), (0, ClientBody::Fetch(Fetch::default()))] {
            assert_eq!(decide(0, ClientFrame { id, body: Some(body) }), Effect::Nothing);
        }
        let request = Request { subject: "a".into(), timeout_ms: 5, ..Request::default() };
        let service_request = ServiceRequest { subject: "a".into(), timeout_ms: 5, ..ServiceRequest::default() };
        let asked = decide(0, ClientFrame { id: 7, body: Some(ClientBody::Request(request)) });
        assert_eq!(asked, Effect::Begin(7, Beginning::Ask(service_request)));
    }

    #[test]
    fn a_subscription_of_connect_is_one_like_any_other() {
        let at = |seq| vec![Position { stream: "S".into(), epoch: "1".into(), seq, ..Position::default() }];
        let (grants, limits) = (Grants::anonymous(Arc::default()), Limits::default());
        let standing = Standing { grants: &grants, limits: &limits, held: 0, has: &|_| false };
        let common: Arc<[Position]> = at(3).into();
        let resume = |subject: &str, id, after: &[Position]| {
            let (subject, after) = (subject.to_owned(), after.to_vec());
            standing.resume(Subscription { subject, after, snapshot: true, id }, &common)
        };
        let joined = |reply_to, after: Vec<Position>| {
            let options = SubscribeOptions { reply_to, after: after.into(), snapshot: true, ..Default::default() };
            Effect::Join(Pattern::parse("a.*").expect("a pattern"), options)
        };
        // With its own positions, or those of all.
        assert_eq!(resume("a.*", 0, &at(5)), joined(0, at(5)));
        assert_eq!(resume("a.*", 9, &[]), joined(9, at(3)));
        for id in [0, 9] {
            let Effect::Refuse(reply_to, refusal) = resume("a..b", id, &[]) else { panic!("a refusal") };
            assert_eq!((reply_to, refusal.code), (id, Code::BadSubject));
            let Effect::Refuse(reply_to, refusal) = resume("a", id, &at(1 << 53)) else { panic!("a refusal") };
            assert_eq!((reply_to, refusal.code), (id, Code::BadRequest));
        }
    }

    #[test]
    fn leaving_is_answered_when_an_answer_is_awaited() {
        let leave = |id, subject: &str| {
            decide(1, ClientFrame { id, body: Some(ClientBody::Unsubscribe(Unsubscribe { subject: subject.into() })) })
        };
        let pattern = Pattern::parse("a.*").expect("a pattern");
        let answer = Unsubscribed { subject: "a.*".into(), reason: String::new() };
        let answer = ServerFrame { reply_to: 7, body: Some(Body::Unsubscribed(answer)) };
        assert_eq!(leave(7, "a.*"), Effect::Leave(pattern.clone(), Some(answer)));
        assert_eq!(leave(0, "a.*"), Effect::Leave(pattern.clone(), None));
        assert_eq!(code(leave(7, "a..b")), Some(Code::BadSubject));
        let lost = Unsubscribed { subject: "a.*".into(), reason: "grant_revoked".into() };
        let ended = EndedSubscription { pattern, reply_to: 5 };
        assert_eq!(revoked(&ended), ServerFrame { reply_to: 5, body: Some(Body::Unsubscribed(lost)) });
    }

    #[test]
    fn a_token_renews_a_connection_of_its_own_user_only() {
        let who = |user: &str, issuer: &str| Identity {
            user: user.into(),
            issuer: Some(issuer.into()),
            ..Identity::default()
        };
        assert_eq!(same_user(&who("u1", "a"), &who("u1", "a")), Ok(()));
        for other in [who("u2", "a"), who("u1", "b"), who("u2", "b"), Identity::anonymous()] {
            assert_eq!(same_user(&who("u1", "a"), &other).expect_err("another one").code, Code::Forbidden);
        }
    }

    #[test]
    fn a_client_cannot_say_where_its_event_stands() {
        let event = Event { subject: "x".into(), stream: "S".into(), seq: 9, id: "i".into(), ..Event::default() };
        let publish = Publish { subject: "a".into(), event: Some(event) };
        let Effect::Begin(7, Beginning::Publish(subject, envelope)) =
            decide(0, ClientFrame { id: 7, body: Some(ClientBody::Publish(publish)) })
        else {
            panic!("a publish");
        };
        assert_eq!((subject.as_str(), envelope.id.as_str()), ("a", "i"));
    }
}
