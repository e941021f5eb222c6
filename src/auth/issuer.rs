//! Somebody whose tokens are taken.

use crate::{
    auth::{
        fault::Fault,
        head::Head,
        keys::{Demands, Key, Keys},
        pem,
        person::Naming,
    },
    config::{self, Algorithm, ConfigError},
    identity::Identity,
};

/// Somebody whose tokens are taken.
#[derive(Debug)]
pub(crate) struct Issuer {
    name: String,
    algorithms: Vec<Algorithm>,
    keys: Keys,
    naming: Naming,
}

impl Issuer {
    /// The one that the configuration describes.
    ///
    /// # Errors
    /// Names the key of the configuration and the remedy.
    pub(crate) fn new(issuer: &config::Issuer, leeway: u64) -> Result<Self, ConfigError> {
        let demands = Demands::of(issuer, leeway);
        let keys = match (&issuer.secret, &issuer.public_key_file) {
            (Some(secret), _) => Keys::new(vec![Key::secret(secret.reveal().as_bytes(), &demands)]),
            (None, Some(path)) => pem::read(path, issuer, &demands)?,
            (None, None) => Keys::default(),
        };
        Ok(Self {
            name: issuer.issuer.clone(),
            algorithms: issuer.algorithms.clone(),
            keys,
            naming: Naming { user: issuer.user_claim.clone(), roles: issuer.roles_claim.clone() },
        })
    }

    /// The `iss` of its tokens.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whom a token of this issuer speaks of.
    ///
    /// # Errors
    /// What is wrong with the token.
    pub(crate) async fn identify(&self, token: &str, head: &Head) -> Result<Identity, Fault> {
        if !self.algorithms.contains(&head.algorithm) {
            return Err(Fault::Algorithm);
        }
        let claims = self.keys.verify(token, head.algorithm, head.key.as_deref())?;
        self.naming.identity(claims)
    }
}
