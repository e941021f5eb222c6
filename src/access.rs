//! Access: a token becomes an identity, an identity becomes grants, the same for
//! WebSocket and HTTP.

pub mod auth;
pub mod grants;
pub mod identity;
pub mod revocation;

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use serde_json::Value;

use crate::{
    access::{
        auth::Auth,
        grants::{Grants, Rules},
        identity::Identity,
        revocation::Revocations,
    },
    classes::Classes,
    clock,
    config::{Config, ConfigError},
    error::{Code, Refusal},
    metrics::{Metrics, TokenRefusal},
    tasks::Tasks,
};

/// How long a token waits until it is known what was revoked before this node
/// started. Beyond that it is refused: another node may know.
const KNOWN_TIME: Duration = Duration::from_secs(3);

/// Decides which clients are admitted, and by which grants.
#[derive(Debug)]
pub struct Access {
    auth: Auth,
    rules: Rules,
    revocations: Arc<Revocations>,
    metrics: Arc<Metrics>,
}

impl Access {
    /// The way in that the configuration describes; reads key
    /// files, and has tasks fetch the keys that are published.
    ///
    /// # Errors
    /// Names the key of the configuration and the remedy.
    pub fn new(
        config: &Config,
        classes: Arc<Classes>,
        revocations: Arc<Revocations>,
        metrics: &Arc<Metrics>,
        tasks: &Tasks,
    ) -> Result<Self, ConfigError> {
        let (auth, keepers) = Auth::new(&config.auth, metrics.clone())?;
        for jwks_refresher in keepers {
            tasks.spawn_vital("keys of an issuer", jwks_refresher.keep());
        }
        Ok(Self { auth, rules: Rules::new(config, classes), revocations, metrics: metrics.clone() })
    }

    /// Whether the keys of every issuer have been here once.
    pub fn has_begun(&self) -> bool {
        self.auth.has_begun()
    }

    /// For operators: how it is with the keys of each issuer.
    pub fn state(&self) -> Value {
        self.auth.state()
    }

    /// Admits whoever presents a token, or nothing.
    ///
    /// # Errors
    /// The refusal to tell.
    pub async fn admit(&self, token: Option<&str>) -> Result<Grants, Refusal> {
        let identity = self.auth.identify(token).await?;
        self.check_revoked(&identity).await?;
        self.rules.grant(identity)
    }

    /// Whether somebody's token has been revoked.
    pub fn is_revoked(&self, identity: &Identity) -> bool {
        self.revocations.covers(identity, clock::unix_seconds())
    }

    /// Refuses a token that is revoked, or may be as far as is known here.
    async fn check_revoked(&self, identity: &Identity) -> Result<(), Refusal> {
        if identity.is_anonymous() {
            return Ok(());
        }
        if !self.revocations.is_known() && timeout(KNOWN_TIME, self.revocations.known()).await.is_err() {
            let message = "this node does not know yet which tokens are revoked; try again, or another node";
            return Err(Refusal::new(Code::BrokerUnavailable, message));
        }
        if self.is_revoked(identity) {
            self.metrics.tokens_refused.of(TokenRefusal::Revoked).increment(1);
            return Err(Refusal::new(Code::Unauthorized, "the token was revoked; get a new one"));
        }
        Ok(())
    }
}
