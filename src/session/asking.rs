//! A client's question to a service, answered in its own time: the connection
//! is served on meanwhile.

use std::sync::Arc;

use crate::{
    codec::Encoding,
    error::{Code, Refusal},
    grants::Grants,
    outbox::Outbox,
    proto::{Response, server_frame::Body},
    publish::Sender,
    request::Question,
    session::{
        shared::Shared,
        state::{refusal, reply},
    },
};

/// Whose question it is, and where the answer goes.
pub(crate) struct Asker<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) outbox: &'a Arc<Outbox>,
    pub(crate) encoding: Encoding,
    pub(crate) grants: &'a Grants,
}

impl Asker<'_> {
    /// Asks; the answer will have this correlation number.
    ///
    /// # Errors
    /// `request_limit`.
    pub(crate) fn ask(self, reply_to: u64, question: Question) -> Result<(), Refusal> {
        let (shared, outbox, encoding) = (self.shared.clone(), self.outbox.clone(), self.encoding);
        let (grants, connection) = (self.grants.clone(), outbox.wire().id());
        let most = shared.limits.requests_in_flight;
        let Some(errand) = shared.errands.begin(connection, most) else {
            let message = format!("{most} requests of this connection wait for answers, the most that may; await some");
            return Err(Refusal::of(Code::RequestLimit, &question.subject, message));
        };
        self.shared.tasks.spawn(async move {
            let sender = Sender { grants: &grants, connection: Some(connection) };
            let answer = errand.run(shared.requests.ask(sender, question)).await;
            // Before the answer is told: who has it may ask again.
            drop(errand);
            let frame = match answer {
                Some(Ok(event)) => reply(reply_to, Body::Response(Response { event: Some(event) })),
                Some(Err(why)) => {
                    shared.metrics.errors.of(why.code).increment(1);
                    refusal(reply_to, why)
                }
                // Nobody is left to hear it.
                None => return,
            };
            outbox.push(&encoding.frame(&frame));
        });
        Ok(())
    }
}
