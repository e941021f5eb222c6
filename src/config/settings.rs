//! Every setting, documented where it is defined. `docs/configuration.md` is
//! generated from these structs.

use std::{net::SocketAddr, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    config::{
        auth::{self, Auth, AuthMode},
        consistency, edge,
        error::ConfigError,
        grants::{self, Grant},
        limits::Limits,
        network::{ForwardedHeader, Network, listens},
        server_url::{self, ServerUrl},
        streams::{Stream, SubjectRule},
        units::{Secret, Span},
    },
    subject::Subject,
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

/// Most connections to read from: more than cores help nobody.
const READ_CONNECTIONS: usize = 32;

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

/// The NATS connection. At most one way to authenticate may be set.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Nats {
    /// Servers to try, `nats://host:port` or `tls://host:port`; the cluster's
    /// others are learned from them. `user:password@` or `token@` in front of
    /// the host is never shown.
    #[serde(deserialize_with = "server_url::list")]
    #[schemars(with = "Vec<ServerUrl>")]
    pub urls: Vec<ServerUrl>,
    /// User, with `password`.
    pub user: Option<String>,
    /// Password of `user`.
    pub password: Option<Secret>,
    /// File that holds the password.
    pub password_file: Option<PathBuf>,
    /// Token.
    pub token: Option<Secret>,
    /// File that holds the token.
    pub token_file: Option<PathBuf>,
    /// Seed of an nkey user (`SU..`).
    pub nkey: Option<Secret>,
    /// File that holds the seed.
    pub nkey_file: Option<PathBuf>,
    /// `.creds` file of a JWT user.
    pub credentials_file: Option<PathBuf>,
    /// Prefix of reply subjects; set it where the user may not use `_INBOX`.
    pub inbox_prefix: String,
    /// Subject on which nodes hear what operators ask of all of them; answers go
    /// below it. Each installation on the same NATS account needs its own, and
    /// nobody but nodes may use it. It begins with `_`, out of clients' reach.
    pub control_subject: String,
    /// A server that does not answer for twice as long is given up.
    pub ping_interval: Span,
    /// Connections to read from; patterns are spread over them, and each
    /// occupies at most one core. 0: as many as there are cores, at most 4.
    pub read_connections: usize,
    /// TLS towards NATS.
    pub tls: NatsTls,
}

impl Default for Nats {
    fn default() -> Self {
        Self {
            urls: vec!["nats://127.0.0.1:4222".into()],
            user: None,
            password: None,
            password_file: None,
            token: None,
            token_file: None,
            nkey: None,
            nkey_file: None,
            credentials_file: None,
            inbox_prefix: "_INBOX".into(),
            control_subject: "_ntf.control".into(),
            ping_interval: Span::seconds(10),
            read_connections: 0,
            tls: NatsTls::default(),
        }
    }
}

impl Nats {
    /// How many connections to read from, at least one.
    pub fn read_connections(&self) -> usize {
        match self.read_connections {
            0 => std::thread::available_parallelism().map_or(1, usize::from).min(4),
            set => set,
        }
    }
}

/// TLS towards NATS.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct NatsTls {
    /// Refuse a server that does not offer TLS.
    pub required: bool,
    /// Start with TLS before the server says anything (`handshake_first`).
    pub first: bool,
    /// PEM file with the authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// PEM file with this node's certificate.
    pub cert_file: Option<PathBuf>,
    /// PEM file with its private key.
    pub key_file: Option<PathBuf>,
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
        let nats = &self.broker.nats;
        let ways = [
            ("user", nats.user.is_some()),
            ("token", nats.token.is_some()),
            ("nkey", nats.nkey.is_some()),
            ("credentials_file", nats.credentials_file.is_some()),
        ];
        let set: Vec<_> = ways.iter().filter(|(_, set)| *set).map(|(key, _)| *key).collect();
        if set.len() > 1 {
            return refuse("broker.nats", format!("{} are both set; keep one way to authenticate", set.join(" and ")));
        }
        if nats.read_connections > READ_CONNECTIONS {
            return refuse("broker.nats.read_connections", format!("is above {READ_CONNECTIONS}; lower it"));
        }
        if nats.user.is_some() != nats.password.is_some() {
            return refuse("broker.nats", "`user` and `password` go together; set both or neither".into());
        }
        if nats.tls.cert_file.is_some() != nats.tls.key_file.is_some() {
            return refuse("broker.nats.tls", "`cert_file` and `key_file` go together; set both or neither".into());
        }
        let control = Subject::parse(&nats.control_subject);
        let fits = control.is_ok_and(|subject| subject.as_str().starts_with('_'));
        if !fits || nats.control_subject.split('.').next() == Some("_INBOX") {
            return refuse(
                "broker.nats.control_subject",
                "must be a subject without wildcards that begins with `_`, and none of an inbox, as \"_ntf.control\""
                    .into(),
            );
        }
        let positive = [
            ("server.heartbeat", self.server.heartbeat.is_zero()),
            ("broker.nats.ping_interval", nats.ping_interval.is_zero()),
        ];
        if let Some((key, _)) = positive.iter().find(|(_, zero)| *zero) {
            return refuse(key, "is zero; it must be more".into());
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
