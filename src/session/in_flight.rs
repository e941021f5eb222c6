//! Requests of one connection that are not answered yet; its frames are read
//! meanwhile. The connection's own task polls all of them, and they end with it. A
//! connection without requests holds none of this.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};

use crate::{
    access::grants::Grants,
    error::{Code, Refusal},
    proto::{Event, Response, server_frame::Body},
    publish::Sender,
    request::ServiceRequest,
    session::{
        cancellable::Cancellable,
        fetching::Fetching,
        publishing::Publishing,
        queue::{Queue, QueueRoom},
        requester::Requester,
        state::Beginning,
    },
};

/// Tokens that may wait behind one that is being checked: a client brings one
/// when it is told to, and perhaps another when that takes long.
const TOKENS: usize = 4;

/// The result of something that was in flight.
#[expect(clippy::large_enum_variant, reason = "one exists at a time, and a box would cost each answer an allocation")]
pub(crate) enum Done {
    /// It is answered.
    Answer(u64, Result<Body, Refusal>),
    /// A token was checked; what it grants.
    Token(u64, Result<Grants, Refusal>),
}

/// The requests of one connection that are in flight.
pub(crate) struct InFlight {
    publishing: Publishing,
    fetching: Fetching,
    requests: FuturesUnordered<Cancellable<(u64, Result<Event, Refusal>)>>,
    /// Tokens that are not checked yet.
    tokens: Queue<(u64, String)>,
    /// The one that is being checked.
    checking: Option<BoxFuture<'static, (u64, Result<Grants, Refusal>)>>,
}

impl InFlight {
    pub(crate) fn new(room: &Arc<QueueRoom>) -> Self {
        Self {
            publishing: Publishing::new(room.clone()),
            fetching: Fetching::new(room.clone()),
            requests: FuturesUnordered::new(),
            tokens: Queue::new(room.clone()),
            checking: None,
        }
    }

    /// Begins something, or lets it wait for its turn.
    ///
    /// # Errors
    /// `in_flight_limit`, for a request `request_limit`.
    pub(crate) fn begin(
        &mut self,
        requester: &Requester<'_>,
        reply_to: u64,
        beginning: Beginning,
    ) -> Result<(), Refusal> {
        match beginning {
            Beginning::Publish(subject, envelope) => self.publishing.push(requester, reply_to, subject, envelope),
            Beginning::Fetch(fetch) => self.fetching.push(requester, reply_to, fetch),
            Beginning::Ask(service_request) => self.ask(requester, reply_to, service_request),
            Beginning::Refresh(token) => self.refresh(requester, reply_to, token),
        }
    }

    fn ask(
        &mut self,
        requester: &Requester<'_>,
        reply_to: u64,
        service_request: ServiceRequest,
    ) -> Result<(), Refusal> {
        let most = requester.services.limits.requests_in_flight;
        if self.requests.iter().filter(|request| !request.is_cancelled()).count() >= most {
            let message = format!("{most} requests of this connection wait for answers, the most that may; await some");
            return Err(Refusal::of(Code::RequestLimit, &service_request.subject, message));
        }
        let (requests, grants, connection) =
            (requester.services.requests.clone(), requester.grants.clone(), requester.connection());
        self.requests.push(Cancellable::new(reply_to, async move {
            let sender = Sender { grants: &grants, connection: Some(connection) };
            (reply_to, requests.ask(sender, service_request).await)
        }));
        Ok(())
    }

    fn refresh(&mut self, requester: &Requester<'_>, reply_to: u64, token: String) -> Result<(), Refusal> {
        let bytes = token.len();
        if self.tokens.push((reply_to, token), bytes, (TOKENS, requester.queue_limits().1)) {
            return Ok(());
        }
        let message = format!("{TOKENS} tokens of this connection wait to be checked; await the answers");
        Err(Refusal::new(Code::InFlightLimit, message))
    }

    /// Goes on with everything, by what the connection may do now; ready with
    /// what has come of something.
    pub(crate) fn poll_next(&mut self, requester: &Requester<'_>, context: &mut Context<'_>) -> Poll<Done> {
        if let Poll::Ready((reply_to, published)) = self.publishing.poll_next(requester, context) {
            return Poll::Ready(Done::Answer(reply_to, published.map(Body::Published)));
        }
        if let Poll::Ready((reply_to, fetched)) = self.fetching.poll_next(requester, context) {
            return Poll::Ready(Done::Answer(reply_to, fetched.map(Body::Fetched)));
        }
        while let Poll::Ready(Some(answered)) = self.requests.poll_next_unpin(context) {
            let Some((reply_to, event)) = answered else { continue };
            let response = event.map(|event| Body::Response(Response { event: Some(event) }));
            return Poll::Ready(Done::Answer(reply_to, response));
        }
        if self.checking.is_none() {
            self.checking = self.tokens.pop().map(|(reply_to, token)| check(requester, reply_to, token));
        }
        let Some(checking) = &mut self.checking else { return Poll::Pending };
        checking.poll_unpin(context).map(|(reply_to, granted)| {
            self.checking = None;
            Done::Token(reply_to, granted)
        })
    }

    /// Gives up the requests and reads with this number; their answers do not come.
    pub(crate) fn cancel(&mut self, id: u64) {
        self.fetching.cancel(id);
        self.requests.iter().filter(|request| request.id() == id).for_each(Cancellable::cancel);
    }

    /// Whether nothing is waited for.
    pub(crate) fn is_empty(&self) -> bool {
        self.publishing.is_empty()
            && self.fetching.is_empty()
            && self.requests.is_empty()
            && self.tokens.is_empty()
            && self.checking.is_none()
    }

    /// Gives up what only brings an answer: nobody waits for one any more.
    pub(crate) fn keep_publishes(&mut self, room: &Arc<QueueRoom>) {
        self.fetching = Fetching::new(room.clone());
        self.requests.clear();
        self.tokens = Queue::new(room.clone());
        self.checking = None;
    }

    /// Waits for what was handed to the broker, and gives up all else: a node
    /// that leaves must not be gone before it.
    pub(crate) async fn finish_publishes(mut self, requester: &Requester<'_>) {
        self.publishing.give_up_unsent();
        let mut sent = self.publishing;
        poll_fn(|context| {
            while !sent.is_empty() {
                // Nobody is left to be told.
                let _ = ready!(sent.poll_next(requester, context));
            }
            Poll::Ready(())
        })
        .await;
    }
}

fn check(
    requester: &Requester<'_>,
    reply_to: u64,
    token: String,
) -> BoxFuture<'static, (u64, Result<Grants, Refusal>)> {
    let access = requester.services.access.clone();
    Box::pin(async move { (reply_to, access.admit(Some(&token)).await) })
}
