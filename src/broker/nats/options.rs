//! From our settings to what both connections are made with: servers,
//! identity, TLS. And, for the one that publishes, the client's own options.

use std::{sync::Arc, time::Duration};

use async_nats::{Client, ConnectOptions, Event, ServerAddr};
use rustls::ClientConfig;

use crate::{
    broker::{
        feed::FeedId,
        nats::{
            address::Address,
            error::NatsError,
            identity::Identity,
            reading::{Denial, denial, wait},
            tls,
        },
        state::{BrokerState, Part},
    },
    config::{self, Config, ServerUrl},
    metrics::{BrokerEvent, Metrics},
};

/// What both kinds of connection are made with.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    pub(crate) name: String,
    pub(crate) servers: Vec<Address>,
    pub(crate) identity: Identity,
    pub(crate) tls: Arc<ClientConfig>,
}

impl Access {
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
        let identity = match Identity::of(nats)? {
            // The client that publishes is one for all servers.
            Identity::Nobody => servers.iter().find_map(|server| server.identity.clone()).unwrap_or(Identity::Nobody),
            set => set,
        };
        Ok(Self {
            name: format!("notifier {}", config.node.name),
            servers,
            identity,
            tls: tls::client_config(&nats.tls)?,
        })
    }
}

/// Starts connecting the client that publishes.
pub(crate) async fn connect(
    access: &Access,
    nats: &config::Nats,
    metrics: &Arc<Metrics>,
    state: &Arc<BrokerState>,
) -> Result<Client, NatsError> {
    let options = options(access, nats)
        .retry_on_initial_connect()
        .max_reconnects(None)
        .reconnect_delay_callback(wait)
        .event_callback(observer(nats, metrics.clone(), state.clone()));
    Ok(options.connect(servers(nats)).await?)
}

/// Connects a client for a few questions, once.
///
/// # Errors
/// [`NatsError::Away`] when no server takes it in within this time.
pub(crate) async fn connect_once(
    access: &Access,
    nats: &config::Nats,
    patience: Duration,
    heard: impl Fn(&Event) + Send + Sync + 'static,
) -> Result<Client, NatsError> {
    // Twice as long as it is waited here, so that only one of the two ever ends it.
    let options = options(access, nats).connection_timeout(2 * patience).event_callback(move |event| {
        heard(&event);
        std::future::ready(())
    });
    let away = |problem: String| NatsError::Away { urls: shown(nats), problem };
    match tokio::time::timeout(patience, options.connect(servers(nats))).await {
        Ok(connected) => connected.map_err(|error| away(error.to_string())),
        Err(_) => Err(away(format!("no answer within {} s", patience.as_secs()))),
    }
}

/// The configured servers, for people.
pub(crate) fn shown(nats: &config::Nats) -> String {
    nats.urls.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn servers(nats: &config::Nats) -> Vec<ServerAddr> {
    nats.urls.iter().filter_map(|url| url.reveal().parse().ok()).collect()
}

/// What every client is made with.
fn options(access: &Access, nats: &config::Nats) -> ConnectOptions {
    let mut options = ConnectOptions::new()
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
    with_identity(options, &access.identity)
}

fn with_identity(options: ConnectOptions, identity: &Identity) -> ConnectOptions {
    match identity.clone() {
        Identity::Nobody => options,
        Identity::User { user, password } => options.user_and_password(user, password),
        Identity::Token(token) => options.token(token),
        Identity::Nkey { seed } => options.nkey(seed),
        Identity::Jwt { jwt, seed } => options.jwt(jwt, move |nonce| {
            let signed = nkeys::KeyPair::from_seed(&seed).and_then(|key| key.sign(&nonce));
            std::future::ready(signed.map_err(async_nats::AuthError::new))
        }),
    }
}

/// Counts and logs what the client reports. Must not wait: events queue up behind it.
fn observer(
    nats: &config::Nats,
    metrics: Arc<Metrics>,
    state: Arc<BrokerState>,
) -> impl Fn(Event) -> std::future::Ready<()> + Send + Sync + 'static {
    let (control, inbox) = (nats.control_subject.clone(), nats.inbox_prefix.clone());
    let own = move |error: &str| match denial(error) {
        Some(Denial::Subject(subject)) if subject.starts_with(&control) => Some(FeedId::CONTROL),
        Some(Denial::Subject(subject)) if subject.starts_with(&inbox) => Some(FeedId::INBOX),
        _ => None,
    };
    move |event| {
        let kind = match &event {
            Event::Connected => {
                // It subscribes anew, and is refused anew.
                [FeedId::CONTROL, FeedId::INBOX].iter().for_each(|feed| state.degraded().allow(*feed));
                tracing::info!("publishing to NATS");
                state.observe(Part::Publishing, true);
                BrokerEvent::Connected
            }
            Event::Disconnected => {
                tracing::warn!("the connection to publish to is lost; reconnecting");
                state.observe(Part::Publishing, false);
                BrokerEvent::Disconnected
            }
            Event::LameDuckMode => BrokerEvent::LameDuck,
            Event::ServerError(error) => {
                tracing::warn!(%error, "the NATS server reports an error");
                if let Some(feed) = own(&error.to_string()) {
                    state.degraded().refuse(feed);
                }
                BrokerEvent::ServerError
            }
            Event::ClientError(error) => {
                tracing::debug!(%error, "the NATS client reports an error");
                BrokerEvent::ClientError
            }
            // It has no subscriptions that could be slow.
            Event::SlowConsumer(_) | Event::Draining | Event::Closed => return std::future::ready(()),
        };
        metrics.broker_events.of(kind).increment(1);
        std::future::ready(())
    }
}
