//! The way in: a token becomes an identity, an identity becomes grants. The
//! same for WebSocket and HTTP.

use std::sync::Arc;

use serde_json::Value;

use crate::{
    auth::Auth,
    classes::Classes,
    config::{Config, ConfigError},
    drain::Tasks,
    error::Refusal,
    grants::{Grants, Rules},
    metrics::Metrics,
};

/// Decides who comes in, and what they may do there.
#[derive(Debug)]
pub struct Access {
    auth: Auth,
    query_parameter: Option<String>,
    rules: Rules,
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
        metrics: &Arc<Metrics>,
        tasks: &Tasks,
    ) -> Result<Self, ConfigError> {
        let (auth, keepers) = Auth::new(&config.auth, metrics.clone())?;
        for keeper in keepers {
            tasks.spawn_vital("keys of an issuer", keeper.keep());
        }
        Ok(Self { auth, query_parameter: config.auth.query_parameter.clone(), rules: Rules::new(config, classes) })
    }

    /// Whether the keys of every issuer have been here once.
    pub fn has_begun(&self) -> bool {
        self.auth.has_begun()
    }

    /// For operators: how it is with the keys of each issuer.
    pub fn state(&self) -> Value {
        self.auth.state()
    }

    /// The query parameter that may hold a token, where one may.
    pub fn query_parameter(&self) -> Option<&str> {
        self.query_parameter.as_deref()
    }

    /// Admits whoever presents a token, or nothing.
    ///
    /// # Errors
    /// The refusal to tell.
    pub async fn admit(&self, token: Option<&str>) -> Result<Grants, Refusal> {
        self.rules.grant(self.auth.identify(token).await?)
    }
}
