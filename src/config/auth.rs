//! Settings of authentication: with a token of which issuers, or without one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{
    error::ConfigError,
    issuers::{self, Issuer},
    units::{Size, Span},
};

/// Longest leeway: more would accept tokens that expired long ago.
const LEEWAY: Span = Span::seconds(600);

/// Names of query parameters that requests have already.
const TAKEN: [&str; 4] = ["subject", "after", "last", "limit"];

/// Authentication: which clients may connect.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// `jwt`: clients with a token of one of `[[auth.issuers]]`. `anonymous`:
    /// all clients; tokens are ignored. There is no default: the configuration
    /// of an open node has to say so.
    pub mode: Option<AuthMode>,
    /// Whether `jwt` also accepts clients without a token. They have no name
    /// and the role `anonymous`. An invalid token is refused all the same.
    pub allow_anonymous: bool,
    /// Name of a query parameter to take tokens from, for clients that cannot
    /// send headers. Not set: tokens in the URL are ignored. URLs are written
    /// to the logs of proxies, so leave it off if you can.
    pub query_parameter: Option<String>,
    /// Name of a cookie to take tokens from. List the pages that may use it in
    /// `server.allowed_origins`, because browsers send cookies with requests
    /// from pages of any site.
    pub cookie: Option<String>,
    /// Bytes of a token. Usual tokens have 1 to 3 KiB.
    pub token_bytes: Size,
    /// Tolerance between the clocks of an issuer and this node, for `exp`,
    /// `nbf` and `iat`. At most 10m.
    pub leeway: Span,
    /// Time before its token expires at which a client is told to bring a new
    /// one.
    pub expiry_warning: Span,
    /// Time for which a revocation is kept: at least the longest life of a
    /// token.
    pub revocation_time: Span,
    /// Fetching of keys from `jwks_url`.
    pub jwks: Jwks,
    /// The issuers whose tokens are accepted.
    pub issuers: Vec<Issuer>,
}

impl Auth {
    /// Whether there are several issuers: then a name identifies a user only
    /// together with its issuer.
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

/// The ways to decide which clients may connect.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    /// Clients with a token of a configured issuer.
    Jwt,
    /// All clients, without a token.
    Anonymous,
}

/// Fetching of keys from `jwks_url`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Jwks {
    /// Interval between fetches, give or take a tenth. A key that its issuer
    /// withdraws stays valid for this long.
    pub refresh: Span,
    /// Least time between two fetches of one issuer's keys, even if tokens name
    /// unknown keys. A token with a new key may have to wait for this long.
    pub cooldown: Span,
    /// Time for one fetch, from the connection to the last byte.
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
