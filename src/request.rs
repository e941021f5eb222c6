//! Requests to services: a client asks, the first answer goes back to it. Checks and
//! identity headers are the same as for published events.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    broker::{Broker, RequestError},
    classes::{Class, Classes},
    clock::unix_millis,
    config::Limits,
    error::{Code, Refusal},
    event::Message,
    metrics::Metrics,
    proto::{Envelope, Event},
    publish::{BROKER_LIMIT, EventLimits, Sender, outgoing, too_large},
    quota::Quotas,
};

/// Asks services for clients.
#[derive(Debug)]
pub struct Requests {
    broker: Arc<dyn Broker>,
    classes: Arc<Classes>,
    event: EventLimits,
    /// How long anybody waits.
    most: Duration,
    quotas: Arc<Quotas>,
    metrics: Arc<Metrics>,
}

/// A request to a service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceRequest {
    /// Where the service listens.
    pub subject: String,
    /// The event that is sent to the service.
    pub envelope: Envelope,
    /// How long to wait, milliseconds; 0: as long as the node waits at most.
    pub timeout_ms: u64,
}

/// Counts a request as long as it waits.
struct Waiting<'a>(&'a Metrics, Instant);

impl Requests {
    /// A door to the services at this broker.
    pub fn new(
        broker: Arc<dyn Broker>,
        classes: Arc<Classes>,
        limits: &Limits,
        quotas: Arc<Quotas>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let (event, most) = (EventLimits::new(limits), limits.request_time.duration());
        Self { broker, classes, event, most, quotas, metrics }
    }

    /// Asks, and waits for the answer. It carries the subject that was asked.
    ///
    /// # Errors
    /// The refusal to tell.
    pub async fn ask(&self, sender: Sender<'_>, service_request: ServiceRequest) -> Result<Event, Refusal> {
        let ServiceRequest { subject, envelope, timeout_ms } = service_request;
        let parsed = sender.grants.request(&subject)?;
        if matches!(self.classes.class(&parsed), Class::Stored(_)) {
            let problem = "a stream keeps what is sent there, and would answer in a service's place; publish there";
            return Err(Refusal::of(Code::BadRequest, &subject, problem));
        }
        let asked = parsed.clone();
        let message = outgoing(sender, parsed, envelope, self.event, &self.quotas)?;
        let wait = match timeout_ms {
            0 => self.most,
            shorter => self.most.min(Duration::from_millis(shorter)),
        };
        let waiting = Waiting::new(&self.metrics);
        let answer = self.broker.request(message, wait).await;
        drop(waiting);
        match answer {
            // An answer stands nowhere but in the frame that brings it.
            Ok(envelope) => Ok(Message::new(asked, envelope).stamped(unix_millis()).into()),
            Err(error) => Err(self.refusal(&subject, error, wait)),
        }
    }

    fn refusal(&self, subject: &str, error: RequestError, wait: Duration) -> Refusal {
        let (code, message) = match error {
            RequestError::TooLarge { max } => return too_large(subject, max, BROKER_LIMIT),
            RequestError::Service { code, text } => {
                let words = [&*code, &*text].join(" ");
                let message = format!("the service answers with an error: {}", words.trim());
                return Refusal { service_code: Some(code), ..Refusal::of(Code::ServiceError, subject, message) };
            }
            RequestError::NoResponders => (Code::NoResponders, "no service listens there; try again later".to_owned()),
            RequestError::Timeout => {
                let wait = wait.as_millis();
                (Code::Timeout, format!("no answer within {wait} ms; the service may have done what it was asked"))
            }
            RequestError::Unavailable => (
                Code::BrokerUnavailable,
                "this node has no connection to its broker; nobody was asked, try again".to_owned(),
            ),
            RequestError::Busy => (
                Code::BrokerUnavailable,
                "too much waits to leave this node for its broker; nobody was asked, try again".to_owned(),
            ),
            RequestError::Lost => (
                Code::BrokerUnavailable,
                "this node lost its broker before the answer; the service may have done what it was asked".to_owned(),
            ),
            RequestError::AnswerTooLarge => {
                let most = self.event.bytes;
                (Code::BadResponse, format!("the answer has more than {most} bytes; the service has to send less"))
            }
            RequestError::Unreadable => {
                (Code::BadResponse, "the answer claims to be an envelope and is none".to_owned())
            }
        };
        Refusal::of(code, subject, message)
    }
}

impl<'a> Waiting<'a> {
    fn new(metrics: &'a Metrics) -> Self {
        metrics.requests.increment(1);
        metrics.requests_waiting.increment(1);
        Self(metrics, Instant::now())
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let Self(metrics, begun) = self;
        metrics.requests_waiting.decrement(1);
        metrics.request_time.record(begun.elapsed().as_secs_f64());
    }
}
