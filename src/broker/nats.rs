//! NATS: a connection of our own to read from, `async-nats` to publish.

mod address;
mod direct_get;
mod block;
mod bus;
mod choice;
mod credentials;
mod drift;
mod error;
mod failures;
mod reading;
mod identity;
mod random_ids;
mod jetstream;
mod leader;
mod live_publisher;
mod options;
mod last_refusal;
mod remedy;
mod services;
mod store;
mod streams;
mod tls;

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_nats::Client;
use async_trait::async_trait;
use tokio::time::sleep;

pub use error::NatsError;
pub use jetstream::Report;
pub use reading::decode_all;
pub use streams::Streams;

use crate::{
    broker::{
        attempts::{Attempted, Cause},
        bus::Bus,
        contract::{Acknowledgement, Broker, Connection, Intake},
        feed::{Feed, FeedId, FeedIds},
        publish_error::PublishError,
        request_error::RequestError,
        state::{BrokerPart, BrokerState, Link},
        stored::{Page, Purpose, Query, ReadError, StreamState},
        stream_error::StreamError,
    },
    classes::{Classes, StreamIndex},
    config::Config,
    event::{PageSize, header_limits::HeaderLimits, headers::HeaderReader, message::Message},
    metrics::{Metrics, StreamRequest},
    proto::Envelope,
    subject::Pattern,
    tasks::Tasks,
};
use bus::NatsBus;
use direct_get::DirectGet;
use drift::Drift;
use failures::StreamFailures;
use jetstream::{JetStream, Wanted, deleted, deleted_through, ensure_streams};
use live_publisher::{LivePublisher, PUBLISH_TIME, is_connected};
use options::NatsAccess;
use random_ids::{RandomIds, inbox};
use reading::{ConnectOptions, Interest, MessageRouter, NatsIntake, PendingRequests, Servers, Signal};
use services::Services;
use store::StreamPublisher;

/// Bytes of the longest acknowledgement that is read; streams say some hundred.
const ACK_BYTES: usize = 64 * 1024;

/// Between two attempts to look after a stream.
const SETTLE_PAUSE: Duration = Duration::from_millis(500);

/// The client's events can be lost when they come in bursts, so the state is
/// also compared this often.
const STATE_CHECK: Duration = Duration::from_secs(1);

/// A NATS server or cluster.
#[derive(Debug)]
struct Nats {
    jetstream: JetStream,
    classes: Arc<Classes>,
    state: Arc<BrokerState>,
    feeds: FeedIds,
    /// Where nodes talk to each other.
    bus: Arc<dyn Bus>,
    /// One for each connection that is read from.
    interests: Vec<Arc<Interest>>,
    /// Spreads patterns over them.
    spread: RandomState,
    /// Names of the streams, in the order of the configuration.
    streams: Arc<[Arc<str>]>,
    /// Where each of them republishes.
    tails: Vec<Pattern>,
    /// The settings that each of them has to have.
    wanted: Vec<Wanted>,
    /// Whether it is known to be so.
    settled: Vec<AtomicBool>,
    /// Whether it stays so.
    drifts: Vec<Drift>,
    direct_get: DirectGet,
    /// Why streams cannot be used.
    failures: StreamFailures,
    services: Services,
    live: LivePublisher,
    /// Exists where there are streams.
    stored: Option<StreamPublisher>,
    message_router: MessageRouter,
    metrics: Arc<Metrics>,
    /// Answers of streams come in by it, where there are streams.
    _answers: Option<Feed>,
}

/// Starts connecting and returns; `state` tells when it is connected.
///
/// # Errors
/// See [`NatsError`].
pub(crate) async fn connect(
    config: &Config,
    classes: &Arc<Classes>,
    metrics: &Arc<Metrics>,
    tasks: &Tasks,
) -> Result<Connection, NatsError> {
    let access = NatsAccess::of(config)?;
    let nats = &config.broker.nats;
    tracing::info!(servers = options::shown(nats), "connecting to NATS");
    let connections = nats.read_connections();
    // Stored events leave by one more connection, on which nothing but acknowledgements comes in.
    let stores = !config.streams.is_empty();
    let state = Arc::new(BrokerState::away(1 + connections + usize::from(stores), metrics.clone()));
    let client = options::connect(&access, nats, metrics, &state).await?;
    tasks.spawn_vital("broker state", watch(client.clone(), state.clone()));
    let streams: Arc<[Arc<str>]> = config.streams.iter().map(|stream| stream.name.as_str().into()).collect();
    let pending_requests = PendingRequests::default();
    let reader = HeaderReader::new(&config.events.forward_headers);
    let limits = HeaderLimits::new(&config.limits);
    let message_router =
        MessageRouter::new(reader, limits, classes.clone(), streams.clone(), pending_requests.clone(), metrics.clone());
    let connection = |number: usize, payload_bytes: usize, pending_requests: PendingRequests| {
        let interest = Arc::new(Interest::new(state.degraded().clone()));
        let attempted = if number < connections { Attempted::Reading(number) } else { Attempted::Storing };
        let connect_options = ConnectOptions {
            name: access.name.clone(),
            credentials: access.credentials.clone(),
            tls: access.tls.clone(),
            tls_required: nats.tls.required,
            tls_first: nats.tls.first,
            payload_bytes,
        };
        let intake = NatsIntake::new(
            Servers::new(access.servers.clone()),
            connect_options,
            nats.ping_interval.duration(),
            interest.clone(),
            message_router.clone(),
            pending_requests,
            Signal { state: state.clone(), part: BrokerPart::Reading(number), attempted, metrics: metrics.clone() },
        );
        (interest, Box::new(intake) as Box<dyn Intake>)
    };
    // All questions are asked on the first one.
    let asked = PendingRequests { acks: Arc::default(), ..pending_requests.clone() };
    let mut asked = std::iter::once(asked).chain(std::iter::repeat_with(PendingRequests::default));
    let event_bytes = config.limits.event_bytes.bytes();
    let (interests, mut intakes): (Vec<Arc<Interest>>, Vec<Box<dyn Intake>>) =
        (0..connections).zip(&mut asked).map(|(number, asked)| connection(number, event_bytes, asked)).unzip();
    let random_ids = RandomIds::new();
    // Three, because services get to know theirs.
    let [inbox, desk, receipts] = [(); 3].map(|()| inbox(&nats.inbox_prefix, random_ids));
    let everything = |prefix: &str| Pattern::parse(&format!("{prefix}.>")).map_err(NatsError::Subject);
    let first = interests[0].clone();
    let request_replies = everything(&inbox)?;
    let answered = (!streams.is_empty()).then(|| first.open(FeedId::ANSWERS, &request_replies));
    let stored = if stores {
        let awaited = PendingRequests { acks: pending_requests.acks.clone(), ..PendingRequests::default() };
        let (interest, intake) = connection(connections, ACK_BYTES, awaited);
        intakes.push(intake);
        let everything = everything(&receipts)?;
        Some(StreamPublisher::new(interest, pending_requests.acks.clone(), receipts, &everything, random_ids))
    } else {
        None
    };
    let broker = Nats {
        failures: StreamFailures::new(state.clone(), streams.clone()),
        _answers: answered,
        stored,
        services: Services::new(
            first.clone(),
            pending_requests.request_replies,
            desk.clone(),
            everything(&desk)?,
            random_ids,
        ),
        direct_get: DirectGet::new(
            first,
            pending_requests.direct_get_replies,
            inbox,
            &nats.jetstream_prefix(),
            streams.clone(),
            config.limits.stream_reads,
            metrics.clone(),
        ),
        message_router,
        live: LivePublisher::new(client.clone(), tasks),
        bus: Arc::new(NatsBus::new(client.clone(), nats.control_subject.clone(), state.degraded().clone())),
        drifts: config.streams.iter().map(|_| Drift::new(state.degraded().clone())).collect(),
        jetstream: JetStream::new(client, &nats.jetstream_prefix()),
        classes: classes.clone(),
        state,
        feeds: FeedIds::default(),
        interests,
        spread: RandomState::new(),
        streams,
        wanted: Wanted::all(config),
        settled: config.streams.iter().map(|_| AtomicBool::new(false)).collect(),
        metrics: metrics.clone(),
        tails: config.streams.iter().map(|stream| everything(&stream.prefix())).collect::<Result<_, _>>()?,
    };
    Ok((Arc::new(broker), intakes))
}

#[async_trait]
impl Broker for Nats {
    fn tail(&self, stream: StreamIndex) -> Feed {
        let tail = &self.tails[stream.0];
        self.open_as(FeedId::tail(stream), tail, tail)
    }

    async fn read(
        &self,
        stream: StreamIndex,
        query: &Query,
        size: PageSize,
        purpose: Purpose,
    ) -> Result<Page, ReadError> {
        let read = self.direct_get.read(stream, query, size, purpose).await;
        self.failures.judge_read(stream, &read, || self.direct_get.subject(stream));
        read
    }

    async fn ensure_streams(&self) -> Result<(), (String, StreamError)> {
        for (index, (wanted, settled)) in self.wanted.iter().zip(&self.settled).enumerate() {
            let (name, what) = (&wanted.settings.name, Attempted::Stream(index));
            loop {
                match ensure_streams(&self.jetstream, wanted, wanted.manage).await {
                    Ok(report) => {
                        report.tell(name);
                        self.failures.attempts().clear(what);
                        settled.store(true, Ordering::Relaxed);
                        break;
                    }
                    // The connection tells why it is away.
                    Err(StreamError::Away) => self.failures.attempts().clear(what),
                    Err(error) if error.retryable() => {
                        let cause = Cause::of(&self.failures.explained(error));
                        if let Some(attempts) = self.failures.attempts().fail(what, &cause, SETTLE_PAUSE) {
                            let problem = cause.problem;
                            tracing::warn!(
                                stream = name,
                                problem,
                                attempts,
                                "the stream cannot be used yet; trying again"
                            );
                        }
                    }
                    Err(error) => return Err((name.clone(), error)),
                }
                sleep(SETTLE_PAUSE).await;
            }
        }
        Ok(())
    }

    async fn stream_state(&self, stream: StreamIndex) -> Result<StreamState, ReadError> {
        if !self.settled[stream.0].load(Ordering::Relaxed) {
            return Err(ReadError::Unavailable);
        }
        self.metrics.stream_requests.of(StreamRequest::State).increment(1);
        let wanted = &self.wanted[stream.0];
        let drift = &self.drifts[stream.0];
        let mut answer = drift.watch(&self.jetstream, wanted).await;
        if matches!(answer, Err(StreamError::Missing)) && wanted.manage {
            // Somebody has deleted it.
            answer = match ensure_streams(&self.jetstream, wanted, true).await {
                Ok(_) => drift.watch(&self.jetstream, wanted).await,
                Err(error) => Err(error),
            };
        }
        self.failures.judge(Attempted::State(stream.0), stream, answer)
    }

    async fn deleted_through(&self, stream: StreamIndex, from: u64, to: u64) -> Result<Option<u64>, ReadError> {
        self.metrics.stream_requests.of(StreamRequest::Deleted).increment(1);
        let answer = deleted_through(&self.jetstream, &self.streams[stream.0], from, to).await;
        self.failures.judge(Attempted::State(stream.0), stream, answer)
    }

    async fn deleted(&self, stream: StreamIndex) -> Result<(StreamState, Vec<u64>), ReadError> {
        self.metrics.stream_requests.of(StreamRequest::Deleted).increment(1);
        let answer = deleted(&self.jetstream, &self.streams[stream.0]).await;
        self.failures.judge(Attempted::State(stream.0), stream, answer)
    }

    async fn read_leader(&self, stream: StreamIndex, from: u64) -> Result<Page, ReadError> {
        self.metrics.stream_requests.of(StreamRequest::Leader).increment(1);
        let name = &self.streams[stream.0];
        let read = leader::read(&self.jetstream, &self.message_router, name, stream, from).await;
        self.failures.judge(Attempted::LeaderReads(stream.0), stream, read)
    }

    async fn submit(&self, stream: StreamIndex, message: Message) -> Result<Acknowledgement, PublishError> {
        let Some(publisher) = &self.stored else { return Err(PublishError::NoStream) };
        // Clients have been told so.
        if self.state.link() != Link::Up {
            return Err(PublishError::Unavailable);
        }
        publisher.submit(&self.streams[stream.0], &message).await
    }

    fn open(&self, pattern: &Pattern) -> Feed {
        self.open_beside(pattern, pattern)
    }

    fn open_beside(&self, pattern: &Pattern, other: &Pattern) -> Feed {
        self.open_as(self.feeds.next(), pattern, other)
    }

    async fn publish(&self, message: Message) -> Result<(), PublishError> {
        self.live.publish(message).await
    }

    async fn request(&self, message: Message, wait: Duration) -> Result<Envelope, RequestError> {
        self.services.ask(message, wait).await
    }

    async fn flush(&self) {
        let left = async {
            let live = self.live.flush().await;
            if let Some(stored) = &self.stored {
                stored.flush().await;
            }
            live
        };
        if !matches!(tokio::time::timeout(PUBLISH_TIME, left).await, Ok(Ok(()))) {
            tracing::warn!("some events may not have reached NATS");
        }
    }

    fn bus(&self) -> &Arc<dyn Bus> {
        &self.bus
    }

    fn classes(&self) -> &Arc<Classes> {
        &self.classes
    }

    fn state(&self) -> &BrokerState {
        &self.state
    }
}

impl Nats {
    fn open_as(&self, feed: FeedId, pattern: &Pattern, beside: &Pattern) -> Feed {
        // Always the same connection for a pattern, so that its order outlasts its members.
        let place = self.spread.hash_one(beside) as usize % self.interests.len();
        self.interests[place].open(feed, pattern)
    }
}

/// Keeps the state true, whatever becomes of the client's events.
async fn watch(client: Client, state: Arc<BrokerState>) {
    let mut check = tokio::time::interval(STATE_CHECK);
    loop {
        check.tick().await;
        state.observe(BrokerPart::Publishing, is_connected(&client));
    }
}
