//! From a token to an identity: JSON Web Tokens (RFC 7519) as RFC 8725 wants
//! them taken. The configuration says whose tokens are taken and how they are
//! signed; a token only chooses among that. No token is ever written down.

mod fault;
mod head;
mod issuer;
mod keys;
mod mint;
mod pem;
mod person;

use std::{fmt, sync::Arc};

pub use mint::{MintError, Signer};

use crate::{
    auth::{fault::Fault, head::Head, issuer::Issuer},
    config::{self, AuthMode, ConfigError},
    error::Refusal,
    identity::Identity,
    metrics::Metrics,
};

/// Says who somebody is.
pub struct Auth {
    /// Nothing in anonymous mode.
    issuers: Option<Vec<Issuer>>,
    allow_anonymous: bool,
    token_bytes: usize,
    metrics: Arc<Metrics>,
}

impl Auth {
    /// As the configuration says; reads key files.
    ///
    /// # Errors
    /// Names the key of the configuration and the remedy.
    pub fn new(config: &config::Auth, metrics: Arc<Metrics>) -> Result<Self, ConfigError> {
        let leeway = config.leeway.duration().as_secs();
        let issuers = match config.mode {
            Some(AuthMode::Jwt) => {
                Some(config.issuers.iter().map(|issuer| Issuer::new(issuer, leeway)).collect::<Result<_, _>>()?)
            }
            Some(AuthMode::Anonymous) | None => None,
        };
        Ok(Self { issuers, allow_anonymous: config.allow_anonymous, token_bytes: config.token_bytes.bytes(), metrics })
    }

    /// Who presents a token, or nothing.
    ///
    /// # Errors
    /// The refusal to tell, with one reason.
    pub async fn identify(&self, token: Option<&str>) -> Result<Identity, Refusal> {
        self.judge(token).await.map_err(|fault| {
            self.metrics.tokens_refused.of(fault.label()).increment(1);
            fault.refusal()
        })
    }

    async fn judge(&self, token: Option<&str>) -> Result<Identity, Fault> {
        let Some(issuers) = &self.issuers else { return Ok(Identity::anonymous()) };
        let Some(token) = token else {
            return if self.allow_anonymous { Ok(Identity::anonymous()) } else { Err(Fault::Missing) };
        };
        let head = Head::read(token, self.token_bytes)?;
        let issuer = issuers.iter().find(|issuer| issuer.name() == head.issuer).ok_or(Fault::Issuer)?;
        issuer.identify(token, &head).await
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth").field("issuers", &self.issuers.as_ref().map(Vec::len)).finish_non_exhaustive()
    }
}
