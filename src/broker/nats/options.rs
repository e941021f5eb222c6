//! From our settings to what both connections are made with: servers,
//! identity, TLS. And, for the one that publishes, the client's own options.

use std::{
    future::{Ready, ready},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_nats::{AuthError, Client, ConnectOptions, Event, ReconnectToServer, Server, ServerAddr, ServerInfo};
use rustls::ClientConfig;
use tokio::time::Instant;

use crate::{
    broker::{
        attempts::{Attempted, Attempts},
        feed::FeedId,
        nats::{
            address::Address,
            choice::{NextServer, ServerChoice},
            credentials::Credentials,
            error::NatsError,
            reading::{CONNECT_TIME, Denial, Servers, denial, tell},
            remedy::{plain, remedy},
            tls,
        },
        state::{BrokerPart, BrokerState},
    },
    config::{self, Config, ServerUrl},
    metrics::{BrokerEvent, Metrics},
    sync::Mutex,
};

/// The parts of the settings that both kinds of connection need.
#[derive(Clone, Debug)]
pub(crate) struct NatsAccess {
    pub(crate) name: String,
    pub(crate) servers: Vec<Address>,
    pub(crate) credentials: Arc<Credentials>,
    pub(crate) tls: Arc<ClientConfig>,
}

impl NatsAccess {
    /// Reads the files that the settings name.
    ///
    /// # Errors
    /// See [`NatsError`].
    pub(crate) fn of(config: &Config) -> Result<Self, NatsError> {
        let nats = &config.broker.nats;
        let server = |url: &ServerUrl| {
            Address::parse(url.reveal()).map_err(|problem| NatsError::Url { url: url.clone(), problem })
        };
        let servers = nats.urls.iter().map(server).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            name: format!("notifier {}", config.node.name),
            credentials: Arc::new(Credentials::of(nats, &servers)?),
            servers,
            tls: tls::client_config(&nats.tls)?,
        })
    }
}

/// Starts connecting the client that publishes.
pub(crate) async fn connect(
    access: &NatsAccess,
    nats: &config::Nats,
    metrics: &Arc<Metrics>,
    state: &Arc<BrokerState>,
) -> Result<Client, NatsError> {
    let connected = Arc::new(AtomicBool::new(false));
    let options = options(access, nats)
        .retry_on_initial_connect()
        .max_reconnects(None)
        .connection_timeout(CONNECT_TIME)
        .reconnect_to_server_callback(chooser(access, state.attempts().clone(), connected.clone()))
        .event_callback(observer(nats, metrics.clone(), state.clone(), connected));
    Ok(options.connect(servers(nats)).await?)
}

/// Connects a client for a few questions, once.
///
/// # Errors
/// [`NatsError::Away`] when no server takes it in within this time.
pub(crate) async fn connect_once(
    access: &NatsAccess,
    nats: &config::Nats,
    patience: Duration,
    heard: impl Fn(&Event) + Send + Sync + 'static,
) -> Result<Client, NatsError> {
    // Twice as long as it is waited here, so that only one of the two ever ends it.
    let options = options(access, nats).connection_timeout(2 * patience).event_callback(move |event| {
        heard(&event);
        ready(())
    });
    let away =
        |problem: String| NatsError::Away { urls: shown(nats), remedy: remedy(&problem), problem: plain(&problem) };
    match tokio::time::timeout(patience, options.connect(servers(nats))).await {
        Ok(connected) => connected.map_err(|error| away(error.to_string())),
        Err(_) => Err(away(format!("it does not answer within {} s", patience.as_secs()))),
    }
}

/// The configured servers, for people.
pub(crate) fn shown(nats: &config::Nats) -> String {
    nats.urls.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn servers(nats: &config::Nats) -> Vec<ServerAddr> {
    nats.urls.iter().filter_map(|url| url.reveal().parse().ok()).collect()
}

/// The options of every client.
fn options(access: &NatsAccess, nats: &config::Nats) -> ConnectOptions {
    let credentials = access.credentials.clone();
    let auth = move |nonce: Vec<u8>| {
        let credentials = credentials.clone();
        async move { credentials.current().await.auth(&nonce).map_err(AuthError::new) }
    };
    let mut options = ConnectOptions::with_auth_callback(auth)
        .name(&access.name)
        .ping_interval(nats.ping_interval.duration())
        .custom_inbox_prefix(&nats.inbox_prefix)
        .tls_client_config(ClientConfig::clone(&access.tls));
    // Set only when wanted: the client takes a plain `false` as a choice too.
    if nats.tls.required {
        options = options.require_tls(true);
    }
    if nats.tls.first {
        options = options.tls_first();
    }
    options
}

/// Says where to connect, and tells why there was no connection before.
/// `connected` is set whenever there is one.
fn chooser(
    access: &NatsAccess,
    attempts: Arc<Attempts>,
    connected: Arc<AtomicBool>,
) -> impl Fn(Vec<Server>, ServerInfo) -> Pin<Box<dyn Future<Output = Option<ReconnectToServer>> + Send + Sync>>
+ Send
+ Sync
+ 'static {
    let choice: Mutex<_> = Mutex::new(ServerChoice::new(Servers::new(access.servers.clone())));
    move |pool, _| {
        let connected = connected.swap(false, Ordering::Relaxed);
        let mut choice = choice.lock();
        let NextServer { target, failed, wait } = choice.next(&pool, connected, Instant::now());
        let attempts = attempts.clone();
        Box::pin(async move {
            if let Some(failed) = failed {
                tell(&attempts, Attempted::Publishing, &failed.cause().await, wait);
            }
            target
        })
    }
}

/// Counts and logs what the client reports. Must not wait: events queue up behind it.
fn observer(
    nats: &config::Nats,
    metrics: Arc<Metrics>,
    state: Arc<BrokerState>,
    connected: Arc<AtomicBool>,
) -> impl Fn(Event) -> Ready<()> + Send + Sync + 'static {
    let (control, inbox) = (nats.control_subject.clone(), nats.inbox_prefix.clone());
    let own = move |error: &str| match denial(error) {
        Some(Denial::Subject(subject)) if subject.starts_with(&control) => Some(FeedId::CONTROL),
        Some(Denial::Subject(subject)) if subject.starts_with(&inbox) => Some(FeedId::INBOX),
        // The subject of nodes is subscribed to first, and whether it is heard is found out anyway.
        Some(Denial::Limit) => Some(FeedId::INBOX),
        _ => None,
    };
    move |event| {
        let kind = match &event {
            Event::Connected => {
                connected.store(true, Ordering::Relaxed);
                // It subscribes anew, and is refused anew.
                [FeedId::CONTROL, FeedId::INBOX].iter().for_each(|feed| state.degraded().allow(*feed));
                state.attempts().clear(Attempted::Publishing);
                tracing::info!("publishing to NATS");
                state.observe(BrokerPart::Publishing, true);
                BrokerEvent::Connected
            }
            Event::Disconnected => {
                tracing::warn!("the connection to publish to is lost; reconnecting");
                state.observe(BrokerPart::Publishing, false);
                BrokerEvent::Disconnected
            }
            Event::LameDuckMode => BrokerEvent::LameDuck,
            Event::ServerError(error) => {
                let said = error.to_string();
                if state.attempts().observe(&said) {
                    tracing::warn!(error = said, "the NATS server reports an error");
                }
                if let Some(feed) = own(&said) {
                    state.degraded().refuse(feed);
                }
                BrokerEvent::ServerError
            }
            Event::ClientError(error) => {
                tracing::debug!(%error, "the NATS client reports an error");
                BrokerEvent::ClientError
            }
            // It has no subscriptions that could be slow.
            Event::SlowConsumer(_) | Event::Draining | Event::Closed => return ready(()),
        };
        metrics.broker_events.of(kind).increment(1);
        ready(())
    }
}
