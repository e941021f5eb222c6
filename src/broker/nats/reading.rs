//! The reading connection: everything that publishers send to this node comes
//! in here. It connects for ever, subscribes to what the node wants, and hands
//! out all that one read brought.
//!
//! It exists because a general client answers one malformed header of one
//! careless publisher by giving up the connection, and gives each subscription
//! a channel of its own; see `docs/decisions/0008`.

mod acks;
mod direct_get_replies;
mod denial;
mod faults;
mod headers;
mod interest;
mod nats_connection;
mod parser;
mod pending_requests;
mod refused;
mod request_replies;
mod servers;
mod session;
mod message_router;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use tokio::time::sleep;

pub(crate) use acks::Acks;
pub(crate) use denial::{Denial, denial};
pub(crate) use direct_get_replies::DirectGetReplies;
pub(crate) use interest::{Interest, NotSent};
pub(crate) use message_router::{MessageRouter, ReadTime, StoredAt};
pub(crate) use nats_connection::{CONNECT_TIME, ConnectOptions};
pub(crate) use parser::HEADER_BYTES;
pub(crate) use parser::Raw;
pub(crate) use pending_requests::PendingRequests;
pub(crate) use request_replies::{Awaited, RequestReplies};
pub(crate) use servers::Servers;
pub(crate) use session::LASTING;

use crate::{
    broker::{
        arrived::Arrived,
        attempts::{Attempted, Attempts, Cause},
        contract::Intake,
        feed::FeedId,
        nats::{address::Address, remedy::remedy},
        state::{BrokerPart, BrokerState},
    },
    config::Limits,
    event::{header_limits::HeaderLimits, headers::HeaderReader, message::Message},
    metrics::{BrokerEvent, Metrics},
    subject::Pattern,
};
use nats_connection::{ConnectionError, NatsConnection};
use parser::{Op, Parser};
use session::{News, Session, SessionEnd};

/// The least time between two lines about refused subscriptions.
const TELL: Duration = Duration::from_secs(1);

/// Everything that arrives for the feeds of one interest.
#[derive(Debug)]
pub(crate) struct NatsIntake {
    servers: Servers,
    connect_options: ConnectOptions,
    ping_interval: Duration,
    interest: Arc<Interest>,
    message_router: MessageRouter,
    /// Requests that wait on this connection.
    pending_requests: PendingRequests,
    signal: Signal,
    session: Option<Session>,
    /// The server to try next, if that was decided already.
    upcoming: Option<(Duration, Address, String)>,
    /// When it was last written down that something is refused.
    told: Option<Instant>,
}

/// Tells the rest of the node how the connection is.
#[derive(Debug)]
pub(crate) struct Signal {
    pub(crate) state: Arc<BrokerState>,
    pub(crate) part: BrokerPart,
    /// The use of the connection.
    pub(crate) attempted: Attempted,
    pub(crate) metrics: Arc<Metrics>,
}

impl NatsIntake {
    pub(crate) fn new(
        servers: Servers,
        connect_options: ConnectOptions,
        ping_interval: Duration,
        interest: Arc<Interest>,
        message_router: MessageRouter,
        pending_requests: PendingRequests,
        signal: Signal,
    ) -> Self {
        let (session, upcoming, told) = (None, None, None);
        Self {
            servers,
            connect_options,
            ping_interval,
            interest,
            message_router,
            pending_requests,
            signal,
            session,
            upcoming,
            told,
        }
    }

    /// Tries the next server.
    async fn attempt(&mut self) -> Option<Session> {
        let next = self.upcoming.take().or_else(|| self.servers.next());
        let (wait, address, certified) = next?;
        sleep(wait).await;
        match self.begin(&address, &certified).await {
            Ok(session) => {
                tracing::debug!(server = %address, "a connection to read from");
                Some(session)
            }
            Err(error) => {
                self.signal.count(BrokerEvent::ClientError);
                self.upcoming = self.servers.next();
                let wait = self.upcoming.as_ref().map_or(Duration::ZERO, |(wait, ..)| *wait);
                let problem = error.to_string();
                let cause = Cause { server: address.to_string(), remedy: remedy(&problem), problem };
                tell(self.signal.state.attempts(), self.signal.attempted, &cause, wait);
                None
            }
        }
    }

    async fn begin(&mut self, address: &Address, certified: &str) -> Result<Session, ConnectionError> {
        let (connection, info) = NatsConnection::open(address, certified, &self.connect_options).await?;
        self.servers.learn(&info.connect_urls);
        info.max_payload.into_iter().for_each(|most| self.interest.limit(most));
        Session::begin(connection, &self.interest, self.ping_interval).await
    }

    fn receive(&mut self, news: News) {
        match news {
            News::Ready => {
                tracing::info!("reading from NATS");
                self.signal.count(BrokerEvent::Connected);
                self.signal.state.attempts().clear(self.signal.attempted);
                self.signal.up(true);
            }
            News::Cluster { urls, leaving } => {
                self.servers.learn(&urls);
                if leaving {
                    self.signal.count(BrokerEvent::LameDuck);
                    let elsewhere = self.servers.others();
                    tracing::warn!(elsewhere, "the NATS server is leaving");
                    if let (true, Some(session)) = (elsewhere, &mut self.session) {
                        session.leave();
                    }
                }
            }
            News::Refused { said, feeds } => {
                for said in &said {
                    self.signal.count(BrokerEvent::ServerError);
                    // It is told below, with the subject and the remedy.
                    let _ = self.signal.state.attempts().observe(said);
                }
                if let Some(feed) = feeds.first() {
                    self.tell_refused(*feed, feeds.len() - 1, said.first().map(String::as_str).unwrap_or_default());
                }
            }
            News::Allowed(count) => tracing::info!(count, "NATS takes subscriptions that it had refused"),
            News::Error(text) => {
                if self.signal.state.attempts().observe(&text) {
                    tracing::warn!(error = text, "the NATS server reports an error");
                }
                self.signal.count(BrokerEvent::ServerError);
            }
        }
    }

    /// Clients decide how many there are, so not each has a line.
    fn tell_refused(&mut self, feed: FeedId, more: usize, said: &str) {
        if self.told.is_some_and(|told| told.elapsed() < TELL) {
            return;
        }
        self.told = Some(Instant::now());
        let subject = self.interest.subject(feed);
        let subject = subject.as_ref().map(Pattern::as_str).unwrap_or_default();
        tracing::warn!(
            subject,
            more,
            said,
            "NATS refuses this node a subscription and is asked again; allow the NATS user of the nodes to subscribe to \
             the subject, or raise max_subscriptions"
        );
    }

    fn lose(&mut self, end: &SessionEnd) {
        let reason = end.to_string();
        let attempts = self.signal.state.attempts();
        let lasted = self.session.as_ref().is_some_and(Session::lasted);
        // One that ends each connection at once would have a line for each.
        if attempts.is_due(&reason) || lasted {
            tracing::warn!(reason, "the connection to read from is lost; reconnecting");
        }
        let cause = Cause { server: String::new(), remedy: remedy(&reason), problem: reason };
        attempts.note(self.signal.attempted, &cause);
        self.signal.count(BrokerEvent::Disconnected);
        self.signal.up(false);
        if let Some(session) = self.session.take() {
            if lasted {
                self.servers.worked();
            }
            session.end(&self.interest);
        }
        self.pending_requests.lost();
    }
}

#[async_trait]
impl Intake for NatsIntake {
    /// Through any number of connections.
    async fn next(&mut self, arrived: &mut Arrived) {
        while arrived.is_empty() {
            let Some(session) = &mut self.session else {
                self.session = self.attempt().await;
                continue;
            };
            match session.turn(&self.interest, &self.message_router, arrived).await {
                Ok(news) => news.into_iter().for_each(|news| self.receive(news)),
                Err(end) => self.lose(&end),
            }
        }
    }

    fn is_remote(&self) -> bool {
        true
    }
}

/// Tells why a connection to NATS has not come about, where that is due.
pub(crate) fn tell(attempts: &Attempts, what: Attempted, cause: &Cause, wait: Duration) {
    let Some(failed) = attempts.fail(what, cause, wait) else { return };
    let Cause { server, problem, remedy } = cause;
    let next_in = format!("{} ms", wait.as_millis());
    tracing::warn!(server, problem, remedy, attempts = failed, next_in, "no connection to NATS; trying again");
}

/// A server's bytes as text, and the events among them. The last line of the
/// text is the error that ends the stream, if one does. Without I/O, for the
/// fuzz target.
pub fn decode_all<'p>(
    pieces: impl Iterator<Item = &'p [u8]>,
    event_bytes: usize,
    metrics: &Arc<Metrics>,
) -> (Vec<String>, Vec<Arc<Message>>) {
    let reader = HeaderReader::new(&["traceparent".into()]);
    let limits = HeaderLimits::new(&Limits::default());
    let message_router =
        MessageRouter::new(reader, limits, Arc::default(), Arc::default(), PendingRequests::default(), metrics.clone());
    let mut parser = Parser::new(event_bytes);
    let (mut buffer, mut said, mut events) = (Vec::new(), Vec::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        let done = parser.each(&buffer, |op| {
            said.push(format!("{op:?}"));
            if let Op::Message(raw) = op {
                events.extend(message_router.event(&raw, ReadTime::now()));
            }
        });
        match done {
            Ok(done) => drop(buffer.drain(..done)),
            Err(end) => {
                said.push(end.to_string());
                break;
            }
        }
    }
    (said, events)
}

impl Signal {
    fn count(&self, event: BrokerEvent) {
        self.metrics.broker_events.of(event).increment(1);
    }

    fn up(&self, up: bool) {
        self.state.observe(self.part, up);
    }
}
