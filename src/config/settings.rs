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
    /// Who this node is.
    pub node: Node,
    /// Where it listens.
    pub server: Server,
    /// Where events come from.
    pub broker: Broker,
    /// Who may connect.
    pub auth: Auth,
    /// Who may do what.
    pub grants: Vec<Grant>,
    /// What clients get to see of an event.
    pub events: Events,
    /// What is stored.
    pub streams: Vec<Stream>,
    /// What each subject promises.
    pub subjects: Vec<SubjectRule>,
    /// How much of everything there may be.
    pub limits: Limits,
    /// How the node leaves.
    pub drain: Drain,
    /// What it writes down.
    pub log: Log,
}

/// Who this node is.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Node {
    /// Name told to clients and used towards NATS. Default: the host's name.
    pub name: String,
}

impl Default for Node {
    fn default() -> Self {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let name = name.trim();
        Self { name: if name.is_empty() { "notifier".into() } else { name.into() } }
    }
}

/// Where it listens.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Address for clients: WebSocket and HTTP.
    #[serde(deserialize_with = "listens")]
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// Address for operators: health, metrics, debugging. Never expose it.
    #[serde(deserialize_with = "listens")]
    #[schemars(with = "String")]
    pub internal_listen: SocketAddr,
    /// Names by which the internal listener is reached, as `notifier-internal`
    /// or `*.notifier.svc` (any name below, not the name itself). Where it asks
    /// neither for a token nor for a certificate, only these, `localhost` and
    /// addresses are taken as `Host`: a page in an operator's browser could else
    /// read it by a name of its own (DNS rebinding). The probes take any.
    pub internal_hosts: Vec<String>,
    /// Proxies in front of the node, as networks or addresses. What they say of
    /// a client's address is believed, and from nobody else.
    pub trusted_proxies: Vec<Network>,
    /// Where they say it: `x-forwarded-for`, or `forwarded` (RFC 7239). Only
    /// this one is read: a proxy passes the other on as the client wrote it.
    pub forwarded_header: ForwardedHeader,
    /// Bearer token that everything on the internal listener but the probes
    /// asks for; at least 16 characters.
    pub internal_token: Option<Secret>,
    /// File that holds the token.
    pub internal_token_file: Option<PathBuf>,
    /// TLS of the internal listener.
    pub internal_tls: edge::ServerTls,
    /// TLS of the clients' listener.
    pub tls: edge::ServerTls,
    /// For how long browsers shall use nothing but TLS for this host (HSTS,
    /// RFC 6797). Not told unless set.
    pub hsts: Option<Span>,
    /// Origins whose pages may use the node: `https://shop.example`,
    /// `https://*.shop.example` (any name below, not the name itself), `null`,
    /// or `*` for all. Empty: pages of the node's own origin. Clients that are
    /// no browsers tell no origin and are not concerned.
    pub allowed_origins: Vec<String>,
    /// How often each client is pinged. Two pings unanswered: the connection is
    /// closed. Below the 30 s after which the shortest-lived
    /// common proxies and NATs forget an idle connection.
    pub heartbeat: Span,
    /// Whether `/readyz` says 503 while NATS is away. Off: taking every node
    /// out of rotation at once helps nobody and makes a reconnect storm.
    pub strict_readiness: bool,
    /// Whether `/` shows a page with the events that flow. For development.
    pub live_page: bool,
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
        }
    }
}

/// Where events come from.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Broker {
    /// `nats`, or `memory`: one process, nothing to install, same behaviour.
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
    /// Inside this process: development and small installs of one node.
    Memory,
}

impl BrokerKind {
    /// Its name, as in the configuration.
    pub fn label(self) -> &'static str {
        match self {
            Self::Nats => "nats",
            Self::Memory => "memory",
        }
    }
}

/// What clients get to see of an event.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Events {
    /// NATS headers passed on to clients, besides CloudEvents extension
    /// attributes. Case does not matter. Others stay inside.
    pub forward_headers: Vec<String>,
}

impl Default for Events {
    fn default() -> Self {
        Self { forward_headers: vec!["traceparent".into(), "tracestate".into()] }
    }
}

/// How the node leaves after SIGTERM.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Drain {
    /// Over how long clients are told to go, so that they do not all arrive
    /// elsewhere at once.
    pub window: Span,
    /// From `goaway` to the close: long enough to connect elsewhere first.
    pub move_time: Span,
    /// After this the node exits whoever is left. At least window + move_time.
    pub grace: Span,
}

impl Default for Drain {
    fn default() -> Self {
        Self { window: Span::seconds(30), move_time: Span::seconds(10), grace: Span::seconds(50) }
    }
}

/// What it writes down, to standard error.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `text` for people, `json` for machines.
    pub format: LogFormat,
    /// Least severe level, or directives as `info,notifier::hub=debug`.
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
    /// Checks what no single field can say of itself.
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
        edge::check_listeners(tls, *hsts, internal_tls, internal_token.as_ref())?;
        consistency::check(&self.streams, &self.subjects, self.limits.subject_tokens)
    }
}
