//! Somebody whose tokens are taken.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;

use crate::{
    access::{
        auth::{
            claim_mapping::ClaimMapping,
            fetch::{Document, DocumentError},
            freshness::IssuerFetchTime,
            jwks_refresher::JwksRefresher,
            keyring::{Keyring, KeyringState},
            keys::{Key, Keys, Requirements},
            pem,
            token_error::TokenError,
            unverified_token::UnverifiedToken,
        },
        identity::Identity,
    },
    clock,
    config::{self, Algorithm, ConfigError},
    metrics::Metrics,
};

/// Somebody whose tokens are taken.
#[derive(Debug)]
pub(crate) struct Issuer {
    name: String,
    algorithms: Vec<Algorithm>,
    keys: Keyring,
    claim_mapping: ClaimMapping,
    /// By how much its clock may be ahead of ours, seconds.
    leeway: u64,
}

impl Issuer {
    /// The one that the configuration describes; its keys are those of a file.
    ///
    /// # Errors
    /// Names the key of the configuration and the remedy.
    pub(crate) fn known(issuer: &config::Issuer, leeway: u64) -> Result<Self, ConfigError> {
        let requirements = Requirements::of(issuer, leeway);
        let keys = match (&issuer.secret, &issuer.public_key_file) {
            (Some(secret), _) => Keys::new(vec![Key::secret(secret.reveal().as_bytes(), &requirements)]),
            (None, Some(path)) => pem::read(path, issuer, &requirements)?,
            (None, None) => Keys::default(),
        };
        Ok(Self::with(issuer, Keyring::fixed(keys), leeway))
    }

    /// One whose keys are fetched, and who does it.
    ///
    /// # Errors
    /// Names the key of the configuration and the remedy.
    pub(crate) fn published(
        issuer: &config::Issuer,
        url: &str,
        auth: &config::Auth,
        freshness: IssuerFetchTime,
        metrics: &Arc<Metrics>,
    ) -> Result<(Self, JwksRefresher), ConfigError> {
        let invalid = |field: &str, problem: String| ConfigError::Invalid { key: issuer.key(field), problem };
        let url = Url::parse(url).map_err(|error| invalid("jwks_url", error.to_string()))?;
        let document = Document::new(&url, issuer.jwks_ca_file.as_deref());
        let document = document.map_err(|error| match error {
            DocumentError::Authorities(problem) => invalid("jwks_ca_file", problem.to_string()),
            other => invalid("jwks_url", other.to_string()),
        })?;
        let leeway = auth.leeway.duration().as_secs();
        let (keys, known, wanted) = Keyring::fetched();
        let jwks_refresher = JwksRefresher {
            issuer: issuer.issuer.clone(),
            requirements: Requirements::of(issuer, leeway),
            document,
            settings: auth.jwks,
            known,
            wanted,
            freshness,
            metrics: metrics.clone(),
        };
        Ok((Self::with(issuer, keys, leeway), jwks_refresher))
    }

    fn with(issuer: &config::Issuer, keys: Keyring, leeway: u64) -> Self {
        Self {
            name: issuer.issuer.clone(),
            algorithms: issuer.algorithms.clone(),
            keys,
            claim_mapping: ClaimMapping { user: issuer.user_claim.clone(), roles: issuer.roles_claim.clone() },
            leeway,
        }
    }

    /// Whether it has keys.
    pub(crate) fn has_begun(&self) -> bool {
        self.keys.has_begun()
    }

    /// For operators: how it is with its keys.
    pub(crate) fn state(&self) -> Value {
        match self.keys.known() {
            None => json!({"issuer": self.name, "keys": "fixed"}),
            Some(KeyringState { keys, fetched, failure, next, .. }) => {
                let now = Instant::now();
                let mut state = json!({
                    "issuer": self.name,
                    "keys": keys.len(),
                    "fetchedSecondsAgo": fetched.map(|then| now.duration_since(then).as_secs()),
                    "failing": failure.is_some(),
                });
                if let Some((problem, remedy)) = failure {
                    state["problem"] = json!(problem);
                    state["remedy"] = json!(remedy);
                    state["nextAttemptSeconds"] = json!(next.map(|next| next.saturating_duration_since(now).as_secs()));
                }
                state
            }
        }
    }

    /// The `iss` of its tokens.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The identity that a token of this issuer tells.
    ///
    /// # Errors
    /// An error of the token.
    pub(crate) async fn identify(
        &self,
        token: &str,
        unverified_token: &UnverifiedToken,
    ) -> Result<Identity, TokenError> {
        if !self.algorithms.contains(&unverified_token.algorithm) {
            return Err(TokenError::Algorithm);
        }
        let claims = self.keys.verify(token, unverified_token).await?;
        let identity = self.claim_mapping.identity(claims)?;
        // Revoking a user reaches what was issued until then, so nothing may claim to come from later.
        let latest = clock::unix_seconds().saturating_add(self.leeway);
        if identity.issued_at.is_some_and(|issued| issued > latest) {
            return Err(TokenError::IssuedInFuture);
        }
        Ok(identity)
    }
}
