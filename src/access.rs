//! The way in: a token becomes an identity, an identity becomes grants. The
//! same for WebSocket and HTTP.

use std::sync::Arc;

use crate::{
    classes::Classes,
    config::Config,
    error::Refusal,
    grants::{Grants, Rules},
    identity::Identity,
};

/// Decides who comes in, and what they may do there.
#[derive(Debug)]
pub struct Access {
    rules: Rules,
}

impl Access {
    /// The way in that the configuration describes.
    pub fn new(config: &Config, classes: Arc<Classes>) -> Self {
        Self { rules: Rules::new(config, classes) }
    }

    /// Admits whoever presents a token, or nothing.
    ///
    /// # Errors
    /// The refusal to tell.
    pub async fn admit(&self, _token: Option<&str>) -> Result<Grants, Refusal> {
        self.rules.grant(Identity::anonymous())
    }
}
