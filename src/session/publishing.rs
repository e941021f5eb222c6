//! Publishes of one connection, handed to the broker in their order, with a bounded
//! number of them unacknowledged, and answered as acknowledgements come.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};

use crate::{
    error::{Code, Refusal},
    metrics::Metrics,
    proto::{Envelope, Published},
    publish::{Sender, Sent},
    session::{
        queue::{Queue, QueueRoom},
        requester::Requester,
    },
};

/// Bytes that an event takes beside its text while it waits for its turn: what it is kept in, on average.
const PUBLISH_BYTES: usize = 512;

/// The same for each of its headers.
const HEADER_BYTES: usize = 96;

/// An event that has not had its turn.
#[derive(Debug)]
struct Unsent {
    reply_to: u64,
    subject: String,
    envelope: Envelope,
    counted: Counted,
}

/// Counts an event as long as its publisher waits.
#[derive(Debug)]
struct Counted(Arc<Metrics>);

type Handover = BoxFuture<'static, (u64, Counted, Result<Sent, Refusal>)>;
type Acknowledged = BoxFuture<'static, (u64, Result<Published, Refusal>)>;

/// The events of one connection on their way.
pub(crate) struct Publishing {
    queue: Queue<Unsent>,
    /// The one that is being handed to the broker. The next waits for it.
    handover: Option<Handover>,
    /// Those that the broker has.
    sent: FuturesUnordered<Acknowledged>,
}

impl Publishing {
    pub(crate) fn new(services: Arc<QueueRoom>) -> Self {
        Self { queue: Queue::new(services), handover: None, sent: FuturesUnordered::new() }
    }

    /// Takes an event in.
    ///
    /// # Errors
    /// `in_flight_limit`.
    pub(crate) fn push(
        &mut self,
        requester: &Requester<'_>,
        reply_to: u64,
        subject: String,
        envelope: Envelope,
    ) -> Result<(), Refusal> {
        let (events, bytes) = requester.queue_limits();
        let cost = cost(&subject, &envelope);
        let refusal = Refusal::of(
            Code::InFlightLimit,
            &subject,
            format!(
                "{events} events of this connection, or {bytes} bytes of them, wait behind those that their stream has \
             not acknowledged; await some, and send it again"
            ),
        );
        let unsent = Unsent { reply_to, subject, envelope, counted: Counted::new(&requester.services.metrics) };
        if self.queue.push(unsent, cost, (events, bytes)) { Ok(()) } else { Err(refusal) }
    }

    /// Goes on as far as it can; ready with an answer.
    pub(crate) fn poll_next(
        &mut self,
        requester: &Requester<'_>,
        context: &mut Context<'_>,
    ) -> Poll<(u64, Result<Published, Refusal>)> {
        loop {
            if let Some(handover) = &mut self.handover {
                if let Poll::Ready((reply_to, counted, handed)) = handover.poll_unpin(context) {
                    self.handover = None;
                    match handed {
                        Ok(Sent::Live(published)) => return Poll::Ready((reply_to, Ok(published))),
                        Err(why) => return Poll::Ready((reply_to, Err(why))),
                        Ok(Sent::Stored(stored)) => self.sent.push(Box::pin(async move {
                            let _counted = counted;
                            (reply_to, stored.await)
                        })),
                    }
                    continue;
                }
            } else if self.sent.len() < requester.services.limits.publishes_in_flight
                && let Some(unsent) = self.queue.pop()
            {
                self.handover = Some(unsent.hand_over(requester));
                continue;
            }
            return match self.sent.poll_next_unpin(context) {
                Poll::Ready(Some(answer)) => Poll::Ready(answer),
                Poll::Ready(None) | Poll::Pending => Poll::Pending,
            };
        }
    }

    /// Gives up what has not had its turn.
    pub(crate) fn give_up_unsent(&mut self) {
        while self.queue.pop().is_some() {}
    }

    /// Whether nothing is on its way.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.handover.is_none() && self.sent.is_empty()
    }
}

impl Unsent {
    /// By what the connection may do now: grants may have become fewer while it waited.
    fn hand_over(self, requester: &Requester<'_>) -> Handover {
        let Self { reply_to, subject, envelope, counted } = self;
        let (publisher, grants, connection) =
            (requester.services.publisher.clone(), requester.grants.clone(), requester.connection());
        Box::pin(async move {
            let sender = Sender { grants: &grants, connection: Some(connection) };
            let handed = publisher.send(sender, &subject, envelope).await;
            (reply_to, counted, handed)
        })
    }
}

impl Counted {
    fn new(metrics: &Arc<Metrics>) -> Self {
        metrics.publishes_waiting.increment(1);
        Self(metrics.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.publishes_waiting.decrement(1);
    }
}

/// Bytes that an event takes while it waits.
fn cost(subject: &str, envelope: &Envelope) -> usize {
    let Envelope { id, r#type, source, content_type, headers, data, .. } = envelope;
    let texts: usize = [subject, id, r#type, source, content_type].iter().map(|text| text.len()).sum();
    let headers: usize = headers.iter().map(|(name, value)| name.len() + value.len() + HEADER_BYTES).sum();
    PUBLISH_BYTES + texts + headers + data.len()
}
