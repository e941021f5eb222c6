//! Settings of the NATS connection: servers, credentials, and the place of
//! JetStream.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    config::{
        error::ConfigError,
        server_url::{self, ServerUrl},
        units::{Secret, Span},
    },
    subject::Subject,
};

/// Most connections to read from: more than one per core brings nothing.
const READ_CONNECTIONS: usize = 32;

/// The NATS connection. At most one way to authenticate may be set.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Nats {
    /// Servers to try, `nats://host:port` or `tls://host:port`; the cluster
    /// announces its other servers. `user:password@` or `token@` in front of
    /// the host is never shown.
    #[serde(deserialize_with = "server_url::list")]
    #[schemars(with = "Vec<ServerUrl>")]
    pub urls: Vec<ServerUrl>,
    /// User, with `password`.
    pub user: Option<String>,
    /// Password of `user`.
    pub password: Option<Secret>,
    /// File that holds the password; read again for each connection.
    pub password_file: Option<PathBuf>,
    /// Token.
    pub token: Option<Secret>,
    /// File that holds the token; read again for each connection.
    pub token_file: Option<PathBuf>,
    /// Seed of an nkey user (`SU..`).
    pub nkey: Option<Secret>,
    /// File that holds the seed; read again for each connection.
    pub nkey_file: Option<PathBuf>,
    /// `.creds` file of a JWT user; read again for each connection.
    pub credentials_file: Option<PathBuf>,
    /// Prefix of reply subjects; set it if the NATS user may not use `_INBOX`.
    pub inbox_prefix: String,
    /// JetStream domain that holds the streams, if it is not the domain of the
    /// servers that nodes connect to: the hub's domain, behind a leaf node.
    pub jetstream_domain: Option<String>,
    /// Subject prefix of JetStream requests instead of `$JS.API`, if an account
    /// imports them under another subject. Not with `jetstream_domain`.
    pub jetstream_api_prefix: Option<String>,
    /// Subject on which nodes exchange operators' commands; answers use
    /// subjects below it. Each installation on the same NATS account needs its
    /// own, and only nodes may use it. It begins with `_`, so clients cannot
    /// reach it.
    pub control_subject: String,
    /// Interval of PINGs to NATS; after two without an answer the node
    /// reconnects.
    pub ping_interval: Span,
    /// Connections to read from; patterns are spread over them, and each uses
    /// at most one core. 0: one per core, at most 4.
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
            jetstream_domain: None,
            jetstream_api_prefix: None,
            control_subject: "_ntf.control".into(),
            ping_interval: Span::seconds(10),
            read_connections: 0,
            tls: NatsTls::default(),
        }
    }
}

impl Nats {
    /// Number of connections to read from, at least one.
    pub fn read_connections(&self) -> usize {
        match self.read_connections {
            0 => std::thread::available_parallelism().map_or(1, usize::from).min(4),
            set => set,
        }
    }

    /// Subject prefix of requests to JetStream.
    pub fn jetstream_prefix(&self) -> String {
        match (&self.jetstream_domain, &self.jetstream_api_prefix) {
            (Some(domain), _) => format!("$JS.{domain}.API"),
            (None, Some(prefix)) => prefix.clone(),
            (None, None) => "$JS.API".to_owned(),
        }
    }

    /// Checks what no single field can say of itself.
    ///
    /// # Errors
    /// Names the key and the remedy.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        self.check_login()?;
        self.check_jetstream()?;
        if self.read_connections > READ_CONNECTIONS {
            return refuse("read_connections", &format!("is above {READ_CONNECTIONS}; lower it"));
        }
        if self.tls.cert_file.is_some() != self.tls.key_file.is_some() {
            return refuse("tls", "`cert_file` and `key_file` go together; set both or neither");
        }
        if self.ping_interval.is_zero() {
            return refuse("ping_interval", "is zero; it must be more");
        }
        let control = Subject::parse(&self.control_subject);
        let fits = control.is_ok_and(|subject| subject.as_str().starts_with('_'));
        if !fits || self.control_subject.split('.').next() == Some("_INBOX") {
            return refuse(
                "control_subject",
                "must be a subject without wildcards that begins with `_`, and none of an inbox, as \"_ntf.control\"",
            );
        }
        Ok(())
    }

    fn check_login(&self) -> Result<(), ConfigError> {
        let ways = [
            ("user", self.user.is_some()),
            ("token", self.token.is_some()),
            ("nkey", self.nkey.is_some()),
            ("credentials_file", self.credentials_file.is_some()),
        ];
        let set: Vec<_> = ways.iter().filter(|(_, set)| *set).map(|(key, _)| *key).collect();
        if set.len() > 1 {
            return refuse("", &format!("{} are both set; keep one way to authenticate", set.join(" and ")));
        }
        if self.user.is_some() != self.password.is_some() {
            return refuse("", "`user` and `password` go together; set both or neither");
        }
        Ok(())
    }

    fn check_jetstream(&self) -> Result<(), ConfigError> {
        if self.jetstream_domain.is_some() && self.jetstream_api_prefix.is_some() {
            return refuse("", "`jetstream_domain` and `jetstream_api_prefix` are both set; keep one");
        }
        let is_token = |domain: &String| Subject::parse(domain).is_ok() && !domain.contains('.');
        if !self.jetstream_domain.as_ref().is_none_or(is_token) {
            return refuse(
                "jetstream_domain",
                "must be one token, the `domain` in the `jetstream` block of the server",
            );
        }
        if self.jetstream_api_prefix.as_ref().is_some_and(|prefix| Subject::parse(prefix).is_err()) {
            return refuse("jetstream_api_prefix", "must be a subject without wildcards, as \"hub.JS.API\"");
        }
        Ok(())
    }
}

/// The refusal of one of these keys, or of all of them together.
fn refuse(key: &str, problem: &str) -> Result<(), ConfigError> {
    let key = if key.is_empty() { "broker.nats".to_owned() } else { format!("broker.nats.{key}") };
    Err(ConfigError::Invalid { key, problem: problem.to_owned() })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jetstream_is_asked_where_it_is() {
        let nats = |text: &str| toml::from_str::<Nats>(text).expect("settings");
        let prefix = |text| nats(text).jetstream_prefix();
        assert_eq!(prefix(""), "$JS.API");
        assert_eq!(prefix("jetstream_domain = 'hub'"), "$JS.hub.API");
        assert_eq!(prefix("jetstream_api_prefix = 'hub.JS.API'"), "hub.JS.API");
        for (text, key) in [
            ("jetstream_domain = 'a.b'", "broker.nats.jetstream_domain"),
            ("jetstream_domain = ''", "broker.nats.jetstream_domain"),
            ("jetstream_api_prefix = 'a.>'", "broker.nats.jetstream_api_prefix"),
            ("jetstream_domain = 'a'\njetstream_api_prefix = 'b'", "jetstream_api_prefix"),
        ] {
            let error = nats(text).check().expect_err(text).to_string();
            assert!(error.contains(key), "{error}");
        }
    }
}
