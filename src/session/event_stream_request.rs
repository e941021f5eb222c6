//! A request for events without a WebSocket, and the part of it that is granted.
//! Free of I/O.

use std::sync::Arc;

use crate::{
    access::grants::Grants,
    codec::EventFormat,
    config::Limits,
    error::{Code, Refusal},
    hub::SubscribeOptions,
    proto::{Position, StreamCursor, Subscription},
    session::state::{Effect, Standing},
    subject::Pattern,
};

/// A request for events without a WebSocket.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EventStreamRequest {
    /// The subscriptions, which are made together.
    pub subscriptions: Vec<Subscription>,
    /// Positions of all subscriptions that have none of their own.
    pub after: Arc<[Position]>,
    /// The cursor up to which the client has everything, of a request that goes on.
    pub cursor: Option<StreamCursor>,
    /// The form in which the client wants events.
    pub format: EventFormat,
}

/// A request that is granted, at least in part.
#[derive(Debug)]
pub struct GrantedEventStream {
    pub(crate) grants: Grants,
    pub(crate) patterns: Vec<(Pattern, SubscribeOptions)>,
    /// The refusals of the other patterns.
    pub(crate) refused: Vec<Refusal>,
    pub(crate) cursor: StreamCursor,
    /// Whether the client goes on from an earlier request.
    pub(crate) goes_on: bool,
    /// The form in which the client wants events.
    pub(crate) format: EventFormat,
}

impl EventStreamRequest {
    /// Decides by the grants and limits of the client. A pattern that is refused holds up
    /// no other.
    ///
    /// # Errors
    /// The refusal of a request of which nothing is granted.
    pub fn granted_to(self, grants: Grants, limits: &Limits) -> Result<GrantedEventStream, Refusal> {
        let most = limits.subscriptions;
        match self.subscriptions.len() {
            0 => return Err(Refusal::new(Code::BadRequest, "name a `subject` at least")),
            asked if asked > most => {
                let message = format!("the request asks for {asked} subscriptions; a client may hold {most}");
                return Err(Refusal::new(Code::SubscriptionLimit, message));
            }
            _ => {}
        }
        let (mut patterns, mut refused) = (Vec::<(Pattern, SubscribeOptions)>::new(), Vec::new());
        for subscription in self.subscriptions {
            let standing = Standing { grants: &grants, limits, held: patterns.len(), has: &|_| false };
            match standing.resume(subscription, &self.after) {
                // A pattern is subscribed once.
                Effect::Join(pattern, _) if patterns.iter().any(|(other, _)| *other == pattern) => {}
                Effect::Join(pattern, options) => patterns.push((pattern, options)),
                Effect::Refuse(_, why) => refused.push(why),
                _ => {}
            }
        }
        if patterns.is_empty() && !refused.is_empty() {
            return Err(refused.swap_remove(0));
        }
        let (goes_on, format) = (self.cursor.is_some(), self.format);
        Ok(GrantedEventStream { grants, patterns, refused, cursor: self.cursor.unwrap_or_default(), goes_on, format })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn granted(subjects: &[&str]) -> Result<GrantedEventStream, Refusal> {
        let subscription = |subject: &&str| Subscription { subject: (*subject).into(), ..Subscription::default() };
        let request =
            EventStreamRequest { subscriptions: subjects.iter().map(subscription).collect(), ..Default::default() };
        let limits = Limits { subscriptions: 3, ..Limits::default() };
        request.granted_to(Grants::anonymous(Arc::default()), &limits)
    }

    #[test]
    fn a_pattern_that_is_refused_holds_up_no_other() {
        let part = granted(&["a.*", "$SYS.>", "a.*"]).expect("a part");
        assert_eq!((part.patterns.len(), part.refused.len()), (1, 1));
        assert_eq!(part.refused[0].code, Code::Forbidden);
    }

    #[test]
    fn a_request_of_which_nothing_is_granted_is_refused() {
        for (subjects, code) in [
            (&[][..], Code::BadRequest),
            (&["$SYS.>", "a..b"], Code::Forbidden),
            (&["a..b"], Code::BadSubject),
            (&["a", "b", "c", "d"], Code::SubscriptionLimit),
        ] {
            assert_eq!(granted(subjects).expect_err("nothing").code, code, "{subjects:?}");
        }
    }
}
