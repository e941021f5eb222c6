//! Every setting, documented where it is defined. `docs/configuration.md` is
//! generated from these structs.

use std::{net::SocketAddr, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{
    auth::{self, Auth, AuthMode},
    consistency, edge,
    error::ConfigError,
    grants::{self, Grant},
    limits::Limits,
    nats::Nats,
    network::{ForwardedHeader, Network, listens},
    streams::{Stream, SubjectRule},
    units::{Secret, Span},
};

/// Settings of one node.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The node's identity.
    pub node: Node,
    /// The listeners of the node.
    pub server: Server,
    /// The source of events.
    pub broker: Broker,
    /// Authentication: which clients may connect.
    pub auth: Auth,
    /// Authorization: what each role may do.
    pub grants: Vec<Grant>,
    /// The parts of an event that clients see.
    pub events: Events,
    /// The streams that store events.
    pub streams: Vec<Stream>,
    /// The delivery guarantee of each subject.
    pub subjects: Vec<SubjectRule>,
    /// Limits on everything that clients can use.
    pub limits: Limits,
    /// The drain after SIGTERM.
    pub drain: Drain,
    /// The log.
    pub log: Log,
}

/// The node's identity.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Node {
    /// Name of the node, told to clients and to NATS. Default: the host's name.
    pub name: String,
}

impl Default for Node {
    fn default() -> Self {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let name = name.trim();
        Self { name: if name.is_empty() { "notifier".into() } else { name.into() } }
    }
}

/// The listeners of the node.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Address for clients: WebSocket and HTTP.
    #[serde(deserialize_with = "listens")]
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// Address for operators: probes, metrics, administration. Never expose it
    /// to clients.
    #[serde(deserialize_with = "listens")]
    #[schemars(with = "String")]
    pub internal_listen: SocketAddr,
    /// Names by which the internal listener is reached, such as
    /// `notifier-internal` or `*.notifier.svc` (any name below, not the name
    /// itself). A listener that requires neither a token nor a certificate
    /// accepts only these names, `localhost` and addresses as `Host`. Otherwise
    /// a page in an operator's browser could read it through a name of its own
    /// (DNS rebinding). The probes accept any name.
    pub internal_hosts: Vec<String>,
    /// Proxies in front of the node, as networks or addresses. The node
    /// believes the client address that these proxies report, and no other.
    pub trusted_proxies: Vec<Network>,
    /// Header in which trusted proxies report the client's address:
    /// `x-forwarded-for`, or `forwarded` (RFC 7239). The other header is
    /// ignored, because a proxy passes it on as the client wrote it.
    pub forwarded_header: ForwardedHeader,
    /// Bearer token required on the internal listener, except by the probes; at
    /// least 16 characters.
    pub internal_token: Option<Secret>,
    /// File that holds the token.
    pub internal_token_file: Option<PathBuf>,
    /// TLS of the internal listener.
    pub internal_tls: edge::ServerTls,
    /// TLS of the clients' listener.
    pub tls: edge::ServerTls,
    /// Time for which browsers shall use only TLS for this host (HSTS, RFC
    /// 6797). Not sent unless set.
    pub hsts: Option<Span>,
    /// Origins whose pages may use the node: `https://shop.example`,
    /// `https://*.shop.example` (any name below, not the name itself), `null`,
    /// or `*` for all. Empty: pages of the node's own origin. Clients that are
    /// not browsers send no origin and are not affected.
    pub allowed_origins: Vec<String>,
    /// Interval of pings to each client. A connection is closed after two pings
    /// without an answer. Shorter than the 30 s after which common proxies and
    /// NATs forget an idle connection.
    pub heartbeat: Span,
    /// Whether `/readyz` answers 503 while NATS is away. Off by default: taking
    /// every node out of rotation at once helps nobody and causes a reconnect
    /// storm.
    pub strict_readiness: bool,
    /// Whether `/` shows a page with the events that arrive. For development.
    pub live_page: bool,
    /// Whether `/` shows the sample shop, and `/live` the live page. No setting:
    /// `notifier dev` alone serves it.
    #[serde(skip)]
    pub demo: bool,
    /// Path below which the clients' listener serves everything, `/v1/ws` too:
    /// `/notifier` for a node behind a path of the site. Empty: nothing in front.
    pub path_prefix: String,
    /// Whether the clients' listener answers `/livez` and `/readyz` too, without
    /// reasons, and `/` as `/readyz` unless it shows the live page. For
    /// balancers that can check no other port than the one they send clients to.
    pub public_probes: bool,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([0, 0, 0, 0], 8080)),
            internal_listen: SocketAddr::from(([127, 0, 0, 1], 9090)),
            internal_hosts: Vec::new(),
            trusted_proxies: Vec::new(),
            forwarded_header: ForwardedHeader::default(),
            internal_token: None,
            internal_token_file: None,
            internal_tls: edge::ServerTls::default(),
            tls: edge::ServerTls::default(),
            hsts: None,
            allowed_origins: Vec::new(),
            heartbeat: Span::seconds(25),
            strict_readiness: false,
            live_page: false,
            demo: false,
            path_prefix: String::new(),
            public_probes: false,
        }
    }
}

/// The source of events.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Broker {
    /// `nats`, or `memory`: a broker inside the process, with nothing to
    /// install and the same behaviour.
    pub kind: BrokerKind,
    /// The NATS connection.
    pub nats: Nats,
}

/// The kinds of broker.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BrokerKind {
    /// A NATS server or cluster.
    #[default]
    Nats,
    /// A broker inside this process: for development and small installations of
    /// one node.
    Memory,
}

impl BrokerKind {
    /// Name in the configuration.
    pub fn label(self) -> &'static str {
        match self {
            Self::Nats => "nats",
            Self::Memory => "memory",
        }
    }
}

/// The parts of an event that clients see.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Events {
    /// NATS headers passed on to clients, besides CloudEvents extension
    /// attributes. Case does not matter. Other headers are not passed on.
    pub forward_headers: Vec<String>,
}

impl Default for Events {
    fn default() -> Self {
        Self { forward_headers: vec!["traceparent".into(), "tracestate".into()] }
    }
}

/// The drain after SIGTERM.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Drain {
    /// Time over which clients are told to move, so that they do not all
    /// reconnect at once.
    pub window: Span,
    /// Time from a client's `goaway` to its close: long enough to connect to
    /// another node first.
    pub move_time: Span,
    /// After this time the node closes the remaining connections and exits. At
    /// least window + move_time.
    pub grace: Span,
}

impl Default for Drain {
    fn default() -> Self {
        Self { window: Span::seconds(30), move_time: Span::seconds(10), grace: Span::seconds(50) }
    }
}

/// The log, written to standard error.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `text` for people, `json` for machines.
    pub format: LogFormat,
    /// Least severe level, or directives such as `info,notifier::hub=debug`.
    pub filter: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info".into() }
    }
}

/// The forms of the log.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object per line.
    Json,
}

impl Config {
    /// Checks rules between fields, which no single field can check.
    ///
    /// # Errors
    /// Names the keys that do not go together and the remedy.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let refuse = |key: &str, problem: String| Err(ConfigError::Invalid { key: key.into(), problem });
        auth::check(&self.auth)?;
        if self.auth.mode != Some(AuthMode::Anonymous) && self.grants.is_empty() {
            return refuse(
                "grants",
                "are empty, so no token would be good for anything; say what a role may do, as [[grants]] with \
                 role = \"*\" and subscribe = [\"shop.cart.{sub}.>\"]"
                    .into(),
            );
        }
        grants::check(&self.grants, &self.streams, &self.auth, self.limits.subject_tokens)?;
        if self.broker.kind == BrokerKind::Nats && self.broker.nats.urls.is_empty() {
            return refuse("broker.nats.urls", "is empty; name at least one server, as \"nats://nats:4222\"".into());
        }
        self.broker.nats.check()?;
        if self.server.heartbeat.is_zero() {
            return refuse("server.heartbeat", "is zero; it must be more".into());
        }
        self.limits.check()?;
        if self.drain.grace.duration() < self.drain.window.duration() + self.drain.move_time.duration() {
            return refuse("drain.grace", "is shorter than drain.window + drain.move_time; raise it".into());
        }
        let Server { tls, hsts, internal_tls, internal_token, allowed_origins, .. } = &self.server;
        edge::check_origins(allowed_origins, self.auth.cookie.as_deref())?;
        edge::check_hosts(&self.server.internal_hosts)?;
        edge::check_path_prefix(&self.server.path_prefix)?;
        edge::check_listeners(tls, *hsts, internal_tls, internal_token.as_ref())?;
        consistency::check(&self.streams, &self.subjects, self.limits.subject_tokens)
    }
}
