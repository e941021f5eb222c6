//! Who may connect: with a token of whom, or without one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{
    error::ConfigError,
    issuers::{self, Issuer},
    units::{Size, Span},
};

/// Longest leeway: more would keep tokens alive that have ended long ago.
const LEEWAY: Span = Span::seconds(600);

/// Names of query parameters that requests have already.
const TAKEN: [&str; 4] = ["subject", "after", "last", "limit"];

/// Who may connect.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// `jwt`: whoever has a token of one of `[[auth.issuers]]`. `anonymous`:
    /// everybody, tokens are not looked at. There is no default: a node that
    /// lets everybody in says so in its configuration.
    pub mode: Option<AuthMode>,
    /// Whether clients without a token come in too, in mode `jwt`. They have
    /// no name and the role `anonymous`. A token that does not hold is refused
    /// all the same.
    pub allow_anonymous: bool,
    /// Name of a query parameter to take tokens from, for clients that can send
    /// no header. Not set: a token in the URL counts for nothing. URLs end up in
    /// the logs of proxies, so leave it off where you can.
    pub query_parameter: Option<String>,
    /// Name of a cookie to take tokens from. Pages that may use it have to be
    /// named in `server.allowed_origins`: browsers send cookies along with what
    /// pages of any site ask for.
    pub cookie: Option<String>,
    /// Bytes of a token. Real ones have 1 to 3 KiB.
    pub token_bytes: Size,
    /// How far the clocks of an issuer and of this node may be apart, for `exp`,
    /// `nbf` and `iat`. At most 10m.
    pub leeway: Span,
    /// How long before its token expires a client is told to bring a new one.
    pub expiry_warning: Span,
    /// How long a revocation is kept: at least as long as tokens live.
    pub revocation_time: Span,
    /// How keys are fetched from `jwks_url`.
    pub jwks: Jwks,
    /// Whose tokens are taken.
    pub issuers: Vec<Issuer>,
}

impl Auth {
    /// Whether tokens of several issuers are taken: then a name says who
    /// somebody is only together with its issuer.
    pub fn has_several_issuers(&self) -> bool {
        self.mode == Some(AuthMode::Jwt) && self.issuers.len() > 1
    }

    /// Names of the issuers, for messages to operators.
    pub fn issuer_names(&self) -> String {
        let names: Vec<&str> = self.issuers.iter().map(|issuer| issuer.issuer.as_str()).collect();
        if names.is_empty() { "none".into() } else { names.join(", ") }
    }
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            mode: None,
            allow_anonymous: false,
            query_parameter: None,
            cookie: None,
            token_bytes: Size::kib(8),
            leeway: Span::seconds(30),
            expiry_warning: Span::seconds(30),
            revocation_time: Span::seconds(24 * 60 * 60),
            jwks: Jwks::default(),
            issuers: Vec::new(),
        }
    }
}

/// The ways to decide who may connect.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    /// Whoever has a token of a known issuer.
    Jwt,
    /// Everybody, without a token.
    Anonymous,
}

/// How keys are fetched from `jwks_url`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Jwks {
    /// How often keys are fetched, give or take a tenth: a key that its issuer
    /// withdraws is honoured for so long.
    pub refresh: Span,
    /// The least time between two fetches of one issuer's keys, whatever tokens
    /// name keys that nobody has. A token with a new key may wait for so long.
    pub cooldown: Span,
    /// For one fetch, from the connection to the last byte.
    pub timeout: Span,
}

impl Default for Jwks {
    fn default() -> Self {
        Self { refresh: Span::seconds(600), cooldown: Span::seconds(5), timeout: Span::seconds(5) }
    }
}

/// Checks what no single field can say of itself.
///
/// # Errors
/// Names the key and the remedy.
pub(crate) fn check(auth: &Auth) -> Result<(), ConfigError> {
    match auth.mode {
        None => {
            return refuse(
                "auth.mode".into(),
                "nothing says who may connect; write `mode = \"jwt\"` under [auth] and name [[auth.issuers]], or let \
                 everybody use every subject with `mode = \"anonymous\"` or --anonymous",
            );
        }
        Some(AuthMode::Jwt) if auth.issuers.is_empty() => {
            return refuse(
                "auth.issuers".into(),
                "is empty, so no token would do; add [[auth.issuers]] with issuer, audience, algorithms and one of \
                 jwks_url, public_key_file and secret_file",
            );
        }
        Some(_) => {}
    }
    if auth.query_parameter.as_deref().is_some_and(|name| name.is_empty() || !name.bytes().all(is_plain)) {
        return refuse("auth.query_parameter".into(), "is no name; use letters, digits, `-` and `_`, or leave it out");
    }
    if auth.query_parameter.as_deref().is_some_and(|name| TAKEN.contains(&name)) {
        return refuse("auth.query_parameter".into(), "has a meaning of its own in /v1/fetch; choose another name");
    }
    if auth.leeway.duration() > LEEWAY.duration() {
        return refuse("auth.leeway".into(), "is above 10m; set the clocks instead");
    }
    let zero = [
        ("auth.token_bytes", auth.token_bytes.bytes() == 0),
        ("auth.revocation_time", auth.revocation_time.is_zero()),
        ("auth.jwks.refresh", auth.jwks.refresh.is_zero()),
        ("auth.jwks.cooldown", auth.jwks.cooldown.is_zero()),
        ("auth.jwks.timeout", auth.jwks.timeout.is_zero()),
    ];
    if let Some((key, _)) = zero.iter().find(|(_, zero)| *zero) {
        return refuse((*key).into(), "is zero; it must be more");
    }
    for (place, issuer) in auth.issuers.iter().enumerate() {
        issuers::check(issuer)?;
        if auth.issuers[..place].iter().any(|other| other.issuer == issuer.issuer) {
            return refuse(issuer.key("issuer"), "is there twice; a token has to say whose it is");
        }
    }
    Ok(())
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

fn refuse<T>(key: String, problem: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError::Invalid { key, problem: problem.into() })
}
