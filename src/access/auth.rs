//! Authentication: a JSON Web Token (RFC 7519) becomes an identity, checked as
//! RFC 8725 recommends. The configuration says whose tokens are taken and how they are
//! signed; a token only chooses among that. No token is ever written down.

mod token_error;
mod fetch;
mod freshness;
mod unverified_token;
mod issuer;
mod jwks;
mod jwks_refresher;
mod keyring;
mod keys;
mod mint;
mod pem;
mod claim_mapping;

use std::{fmt, sync::Arc};

pub use jwks_refresher::JwksRefresher;
pub use mint::{MintError, Signer};
use serde_json::Value;

use crate::{
    access::{
        auth::{
            freshness::Freshness, issuer::Issuer, keys::Requirements, token_error::TokenError,
            unverified_token::UnverifiedToken,
        },
        identity::Identity,
    },
    config::{self, AuthMode, ConfigError},
    error::Refusal,
    metrics::Metrics,
};

/// Authenticates clients by their tokens.
pub struct Auth {
    /// Nothing in anonymous mode.
    issuers: Option<Vec<Issuer>>,
    allow_anonymous: bool,
    token_bytes: usize,
    metrics: Arc<Metrics>,
}

impl Auth {
    /// As the configuration says; reads key files. Keys that are published
    /// are there once somebody has the keepers run.
    ///
    /// # Errors
    /// Names the key of the configuration and the remedy.
    pub fn new(config: &config::Auth, metrics: Arc<Metrics>) -> Result<(Self, Vec<JwksRefresher>), ConfigError> {
        let mut keepers = Vec::new();
        let issuers = match config.mode {
            Some(AuthMode::Jwt) => Some(issuers(config, &metrics, &mut keepers)?),
            Some(AuthMode::Anonymous) | None => None,
        };
        let auth =
            Self { issuers, allow_anonymous: config.allow_anonymous, token_bytes: config.token_bytes.bytes(), metrics };
        Ok((auth, keepers))
    }

    /// Whether the keys of every issuer have been here once.
    pub fn has_begun(&self) -> bool {
        self.issuers.iter().flatten().all(Issuer::has_begun)
    }

    /// For operators: how it is with the keys of each issuer.
    pub fn state(&self) -> Value {
        self.issuers.iter().flatten().map(Issuer::state).collect()
    }

    /// The identity of a client that presents a token, or none.
    ///
    /// # Errors
    /// The refusal to tell, with one reason.
    pub async fn identify(&self, token: Option<&str>) -> Result<Identity, Refusal> {
        self.judge(token).await.map_err(|token_error| {
            self.metrics.tokens_refused.of(token_error.label()).increment(1);
            token_error.refusal()
        })
    }

    async fn judge(&self, token: Option<&str>) -> Result<Identity, TokenError> {
        let Some(issuers) = &self.issuers else { return Ok(Identity::anonymous()) };
        let Some(token) = token else {
            return if self.allow_anonymous { Ok(Identity::anonymous()) } else { Err(TokenError::Missing) };
        };
        let unverified_token = UnverifiedToken::read(token, self.token_bytes)?;
        let issuer =
            issuers.iter().find(|issuer| issuer.name() == unverified_token.issuer).ok_or(TokenError::Issuer)?;
        issuer.identify(token, &unverified_token).await
    }
}

/// Whether a set of keys, as an issuer publishes it, vouches for a token. A
/// node asks its own copy of the set; this one is for trying sets out.
pub fn vouches(set: &[u8], issuer: &config::Issuer, token: &str) -> bool {
    let requirements = Requirements::of(issuer, 0);
    let keys = jwks::parse(set, &requirements).map(|(keys, _)| keys).unwrap_or_default();
    let unverified_token = UnverifiedToken::read(token, usize::MAX);
    unverified_token.is_ok_and(|unverified_token| {
        keys.verify(token, unverified_token.algorithm, unverified_token.key.as_deref()).is_ok()
    })
}

fn issuers(
    config: &config::Auth,
    metrics: &Arc<Metrics>,
    keepers: &mut Vec<JwksRefresher>,
) -> Result<Vec<Issuer>, ConfigError> {
    let freshness = Freshness::new(metrics.clone());
    let mut issuers = Vec::new();
    for issuer in &config.issuers {
        issuers.push(match &issuer.jwks_url {
            Some(url) => {
                let (issuer, jwks_refresher) = Issuer::published(issuer, url, config, freshness.another(), metrics)?;
                keepers.push(jwks_refresher);
                issuer
            }
            None => Issuer::known(issuer, config.leeway.duration().as_secs())?,
        });
    }
    Ok(issuers)
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth").field("issuers", &self.issuers.as_ref().map(Vec::len)).finish_non_exhaustive()
    }
}
