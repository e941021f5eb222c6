//! From our settings to a connecting client: servers, authentication, TLS,
//! reconnecting, and what its events mean to us.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use async_nats::{Client, ConnectOptions, Event, ServerAddr};

use crate::{
    broker::state::BrokerState,
    config::{self, Config},
    metrics::{BrokerEvent, Metrics},
};

/// Messages that may wait for one subscription before the client drops some.
const FEED_MESSAGES: usize = 8_192;

/// The longest wait between two attempts to connect. Events are lost while we
/// wait (NATS core), so it is short.
const RECONNECT_MAX: Duration = Duration::from_secs(2);

/// The shortest.
const RECONNECT_MIN: Duration = Duration::from_millis(50);

/// Why connecting cannot even begin.
#[derive(Debug, thiserror::Error)]
pub enum NatsError {
    /// A server address that is none.
    #[error("broker.nats.urls: `{url}` is no server address, write it as nats://host:4222: {source}")]
    Url {
        /// The address.
        url: String,
        /// What is wrong.
        source: std::io::Error,
    },
    /// The credentials file cannot be used.
    #[error("broker.nats.credentials_file: {}: {source}", path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: std::io::Error,
    },
    /// The client refuses the settings.
    #[error("broker.nats: {0}")]
    Settings(#[from] async_nats::ConnectError),
}

/// Starts connecting.
pub(crate) async fn connect(
    config: &Config,
    metrics: &Arc<Metrics>,
    state: &Arc<BrokerState>,
) -> Result<Client, NatsError> {
    // The process-wide choice of cryptography; an earlier, equal one is fine.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let nats = &config.broker.nats;
    let servers = nats
        .urls
        .iter()
        .map(|url| server(url).map_err(|source| NatsError::Url { url: url.clone(), source }))
        .collect::<Result<Vec<ServerAddr>, _>>()?;
    let options = ConnectOptions::new()
        .name(format!("notifier {}", config.node.name))
        .retry_on_initial_connect()
        .max_reconnects(None)
        .reconnect_delay_callback(reconnect_delay)
        .ping_interval(nats.ping_interval.duration())
        .subscription_capacity(FEED_MESSAGES)
        .custom_inbox_prefix(&nats.inbox_prefix)
        .event_callback(observer(metrics.clone(), state.clone()));
    let options = with_tls(with_identity(options, nats).await?, &nats.tls);
    Ok(options.connect(servers).await?)
}

/// The client takes an address without a host for one.
fn server(url: &str) -> io::Result<ServerAddr> {
    let server: ServerAddr = url.parse()?;
    match (server.host(), server.scheme()) {
        ("", _) => Err(io::Error::other("it has no host")),
        (_, "nats" | "tls") => Ok(server),
        (_, scheme) => Err(io::Error::other(format!("the scheme `{scheme}` is neither `nats` nor `tls`"))),
    }
}

async fn with_identity(options: ConnectOptions, nats: &config::Nats) -> Result<ConnectOptions, NatsError> {
    if let (Some(user), Some(password)) = (&nats.user, &nats.password) {
        return Ok(options.user_and_password(user.clone(), password.reveal().to_owned()));
    }
    if let Some(token) = &nats.token {
        return Ok(options.token(token.reveal().to_owned()));
    }
    if let Some(seed) = &nats.nkey {
        return Ok(options.nkey(seed.reveal().to_owned()));
    }
    match &nats.credentials_file {
        None => Ok(options),
        Some(path) => {
            options.credentials_file(path).await.map_err(|source| NatsError::Credentials { path: path.clone(), source })
        }
    }
}

fn with_tls(mut options: ConnectOptions, tls: &config::NatsTls) -> ConnectOptions {
    // Set only when wanted: the client takes a plain `false` as a choice too.
    if tls.required {
        options = options.require_tls(true);
    }
    if tls.first {
        options = options.tls_first();
    }
    if let Some(authorities) = &tls.ca_file {
        options = options.add_root_certificates(authorities.clone());
    }
    if let (Some(certificate), Some(key)) = (&tls.cert_file, &tls.key_file) {
        options = options.add_client_certificate(certificate.clone(), key.clone());
    }
    options
}

/// Doubling with jitter, so that the nodes of a cluster do not all knock at once.
fn reconnect_delay(attempts: usize) -> Duration {
    let doubled = RECONNECT_MIN.saturating_mul(1 << attempts.min(10));
    doubled.min(RECONNECT_MAX).mul_f64(0.5 + fastrand::f64() / 2.0)
}

/// Counts and logs what the client reports. Must not wait: events queue up behind it.
fn observer(
    metrics: Arc<Metrics>,
    state: Arc<BrokerState>,
) -> impl Fn(Event) -> std::future::Ready<()> + Send + Sync + 'static {
    move |event| {
        let kind = match &event {
            Event::Connected => {
                tracing::info!("connected to NATS");
                state.observe(true);
                BrokerEvent::Connected
            }
            Event::Disconnected => {
                tracing::warn!("NATS is away; reconnecting");
                state.observe(false);
                BrokerEvent::Disconnected
            }
            Event::LameDuckMode => BrokerEvent::LameDuck,
            Event::SlowConsumer(_) => {
                metrics.drops.of(crate::metrics::Drop::BrokerOverflow).increment(1);
                BrokerEvent::SlowConsumer
            }
            Event::ServerError(error) => {
                tracing::warn!(%error, "the NATS server reports an error");
                BrokerEvent::ServerError
            }
            Event::ClientError(error) => {
                tracing::debug!(%error, "the NATS client reports an error");
                BrokerEvent::ClientError
            }
            Event::Draining | Event::Closed => return std::future::ready(()),
        };
        metrics.broker_events.of(kind).increment(1);
        std::future::ready(())
    }
}
