//! Settings of issuers, and how their tokens are verified.

use std::{fmt, net::IpAddr, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::config::{error::ConfigError, units::Secret};

/// Longest name of an issuer, bytes: it travels in headers and between nodes.
/// Those of the usual providers have some 40 to 100.
pub const ISSUER_BYTES: usize = 512;

/// An issuer whose tokens are accepted. Exactly one of `jwks_url`,
/// `public_key_file` and `secret` (or `secret_file`) says how its tokens are
/// verified.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// The `iss` of the tokens, exactly.
    pub issuer: String,
    /// The value that the `aud` of the tokens must contain: the name of this
    /// service at the issuer.
    pub audience: String,
    /// Accepted signature algorithms: `RS256`, `RS384`, `RS512`, `PS256`,
    /// `PS384`, `PS512`, `ES256`, `ES384`, `EdDSA`; with a secret `HS256`,
    /// `HS384`, `HS512`. The algorithm that a token names must be one of these.
    pub algorithms: Vec<Algorithm>,
    /// URL of the issuer's published keys (RFC 7517).
    #[serde(default)]
    pub jwks_url: Option<String>,
    /// PEM file with the authorities to trust for `jwks_url` instead of the
    /// system's.
    #[serde(default)]
    pub jwks_ca_file: Option<PathBuf>,
    /// Whether `jwks_url` may be `http://` to another machine. Anyone who can
    /// change its answer can impersonate every user.
    #[serde(default)]
    pub jwks_allow_http: bool,
    /// PEM file with the issuer's public key, or several.
    #[serde(default)]
    pub public_key_file: Option<PathBuf>,
    /// Secret shared with the issuer, at least as long as the hash: 32, 48 or
    /// 64 bytes. Anyone who knows it can impersonate every user.
    #[serde(default)]
    pub secret: Option<Secret>,
    /// File that holds the secret; white space at its end is dropped.
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
    /// The claim that names the user.
    #[serde(default = "sub")]
    pub user_claim: String,
    /// The claim that holds the roles: a list of texts, or one text with spaces
    /// between them. A claim within a claim is written `realm_access.roles`.
    #[serde(default = "roles")]
    pub roles_claim: String,
}

/// Signature algorithms (RFC 7518 section 3.1, RFC 8037).
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[allow(missing_docs)] // the names are those of the RFC
pub enum Algorithm {
    HS256,
    HS384,
    HS512,
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}

/// The kinds of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// A shared secret.
    Hmac,
    /// RSA, whatever the padding.
    Rsa,
    /// An elliptic curve.
    Ec,
    /// Ed25519.
    Ed,
}

impl Algorithm {
    /// The keys that it works with.
    pub const fn family(self) -> Family {
        match self {
            Self::HS256 | Self::HS384 | Self::HS512 => Family::Hmac,
            Self::RS256 | Self::RS384 | Self::RS512 | Self::PS256 | Self::PS384 | Self::PS512 => Family::Rsa,
            Self::ES256 | Self::ES384 => Family::Ec,
            Self::EdDSA => Family::Ed,
        }
    }

    /// Shortest secret, bytes: as long as the hash (RFC 7518 section 3.2).
    const fn secret_bytes(self) -> usize {
        match self {
            Self::HS384 => 48,
            Self::HS512 => 64,
            _ => 32,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Checks rules between fields, which no single field can check.
///
/// # Errors
/// Names the key and the remedy.
pub(crate) fn check(issuer: &Issuer) -> Result<(), ConfigError> {
    if issuer.issuer.is_empty() {
        return refuse("auth.issuers.issuer".into(), "is empty; write the tokens' `iss`");
    }
    if issuer.issuer.len() > ISSUER_BYTES || issuer.issuer.chars().any(char::is_control) {
        return refuse(
            "auth.issuers.issuer".into(),
            format!("is longer than {ISSUER_BYTES} bytes or has control characters; write the tokens' `iss`"),
        );
    }
    for (field, text, remedy) in [
        ("audience", &issuer.audience, "name this service as the tokens' `aud` does"),
        ("user_claim", &issuer.user_claim, "leave it out for `sub`"),
        ("roles_claim", &issuer.roles_claim, "leave it out for `roles`"),
    ] {
        if text.is_empty() {
            return refuse(issuer.key(field), format!("is empty; {remedy}"));
        }
    }
    if issuer.algorithms.is_empty() {
        return refuse(issuer.key("algorithms"), "is empty; say how the tokens are signed, as [\"ES256\"]");
    }
    let ways = [
        ("jwks_url", issuer.jwks_url.is_some()),
        ("public_key_file", issuer.public_key_file.is_some()),
        ("secret", issuer.secret.is_some()),
    ];
    let set: Vec<_> = ways.iter().filter(|(_, set)| *set).map(|(key, _)| *key).collect();
    match set.as_slice() {
        ["jwks_url"] => check_jwks(issuer)?,
        ["public_key_file"] => check_public(issuer)?,
        ["secret"] => check_secret(issuer)?,
        [] => {
            return refuse(
                issuer.key("jwks_url"),
                "nothing says how its tokens are verified; set one of jwks_url, public_key_file and secret_file",
            );
        }
        several => {
            return refuse(issuer.key(several[0]), format!("{} are all set; keep one", several.join(" and ")));
        }
    }
    if issuer.jwks_url.is_none() && (issuer.jwks_ca_file.is_some() || issuer.jwks_allow_http) {
        return refuse(issuer.key("jwks_url"), "is not set, but jwks_ca_file or jwks_allow_http is; remove them");
    }
    Ok(())
}

fn check_secret(issuer: &Issuer) -> Result<(), ConfigError> {
    if let Some(other) = issuer.algorithms.iter().find(|algorithm| algorithm.family() != Family::Hmac) {
        return refuse(
            issuer.key("algorithms"),
            format!("{other} needs a public key, and there is a secret; use HS256, HS384 or HS512, or set a key"),
        );
    }
    let least = issuer.algorithms.iter().map(|algorithm| algorithm.secret_bytes()).max().unwrap_or_default();
    let bytes = issuer.secret.as_ref().map_or(0, |secret| secret.reveal().len());
    if bytes < least {
        return refuse(
            issuer.key("secret"),
            format!("has {bytes} bytes, which can be guessed; use at least {least} random ones"),
        );
    }
    Ok(())
}

/// Refuses a shared-secret algorithm beside public keys: a node that used a
/// public key as a secret would accept tokens that anybody can sign (RFC 8725
/// section 2.1).
fn no_hmac(issuer: &Issuer, way: &str) -> Result<(), ConfigError> {
    match issuer.algorithms.iter().find(|algorithm| algorithm.family() == Family::Hmac) {
        None => Ok(()),
        Some(hmac) => refuse(
            issuer.key("algorithms"),
            format!("{hmac} needs a secret, and {way} holds public keys, which anybody may know; remove it"),
        ),
    }
}

fn check_public(issuer: &Issuer) -> Result<(), ConfigError> {
    no_hmac(issuer, "public_key_file")?;
    let first = issuer.algorithms[0];
    match issuer.algorithms.iter().find(|other| other.family() != first.family()) {
        None => Ok(()),
        Some(other) => refuse(
            issuer.key("algorithms"),
            format!("no key works with both {first} and {other}; keep those of the key in public_key_file"),
        ),
    }
}

fn check_jwks(issuer: &Issuer) -> Result<(), ConfigError> {
    no_hmac(issuer, "jwks_url")?;
    let key = issuer.key("jwks_url");
    let url = match issuer.jwks_url.as_deref().map(Url::parse) {
        Some(Ok(url)) if url.host().is_some() => url,
        _ => return refuse(key, "is no URL; write it as \"https://login.example/jwks.json\""),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return refuse(key, "holds a user or password; keys are public, remove it");
    }
    let here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => Ok(()),
        "http" if here || issuer.jwks_allow_http => Ok(()),
        "http" => refuse(
            key,
            "is not encrypted: whoever can change what it answers can be anybody; use https, or set \
             jwks_allow_http = true where the network is yours",
        ),
        other => refuse(key, format!("has the scheme {other}; use https")),
    }
}

impl Issuer {
    /// Name of a field in errors.
    pub fn key(&self, field: &str) -> String {
        format!("auth.issuers[{}].{field}", self.issuer)
    }
}

fn refuse<T>(key: String, problem: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError::Invalid { key, problem: problem.into() })
}

fn sub() -> String {
    "sub".into()
}

fn roles() -> String {
    "roles".into()
}
