//! The way in: a token becomes an identity, an identity becomes grants. The
//! same for WebSocket and HTTP.

use std::sync::Arc;

use crate::{
    auth::Auth,
    classes::Classes,
    config::{Config, ConfigError},
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
    /// The way in that the configuration describes; reads key files.
    ///
    /// # Errors
    /// Names the key of the configuration and the remedy.
    pub fn new(config: &Config, classes: Arc<Classes>, metrics: Arc<Metrics>) -> Result<Self, ConfigError> {
        Ok(Self {
            auth: Auth::new(&config.auth, metrics)?,
            query_parameter: config.auth.query_parameter.clone(),
            rules: Rules::new(config, classes),
        })
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
