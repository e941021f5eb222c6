//! Tokens for tests and for trying things out. No node makes one but for the sample
//! shop of `notifier dev`.

use jsonwebtoken::{EncodingKey, Header, encode, errors::Error};
use serde_json::{Map, Value};

use crate::{
    access::auth::keys::signed,
    config::{Algorithm, Family},
};

/// The signer of tokens.
#[derive(Clone, Debug)]
pub struct Signer {
    algorithm: Algorithm,
    key: EncodingKey,
    id: Option<String>,
}

/// Why a token cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// The text does not hold a private key.
    #[error("this is no private key in PEM (PKCS#8; for RSA also PKCS#1)")]
    Key,
    /// The key is of another kind.
    #[error("the key does not work with {0}")]
    Algorithm(Algorithm),
    /// Signing failed.
    #[error("cannot sign: {0}")]
    Sign(#[from] Error),
}

impl Signer {
    /// With a shared secret.
    ///
    /// # Errors
    /// When the algorithm does not sign with secrets.
    pub fn secret(secret: &[u8], algorithm: Algorithm) -> Result<Self, MintError> {
        match algorithm.family() {
            Family::Hmac => Ok(Self { algorithm, key: EncodingKey::from_secret(secret), id: None }),
            _ => Err(MintError::Algorithm(algorithm)),
        }
    }

    /// With a private key in PEM; without an algorithm the usual one of the key.
    ///
    /// # Errors
    /// When the text does not hold a key, or holds one of another kind.
    pub fn private(pem: &[u8], algorithm: Option<Algorithm>) -> Result<Self, MintError> {
        let read = |algorithm: Algorithm| match algorithm.family() {
            Family::Rsa => EncodingKey::from_rsa_pem(pem).ok(),
            Family::Ec => EncodingKey::from_ec_pem(pem).ok(),
            Family::Ed => EncodingKey::from_ed_pem(pem).ok(),
            Family::Hmac => None,
        };
        // Whether it signs tells one curve from the other.
        let usual = [Algorithm::EdDSA, Algorithm::ES256, Algorithm::ES384, Algorithm::RS256];
        let candidates = algorithm.map_or(usual.to_vec(), |one| vec![one]);
        for candidate in candidates {
            let Some(key) = read(candidate) else { continue };
            let signer = Self { algorithm: candidate, key, id: None };
            if signer.mint(&Map::new()).is_ok() {
                return Ok(signer);
            }
        }
        Err(algorithm.map_or(MintError::Key, MintError::Algorithm))
    }

    /// The same, naming its key in the tokens.
    #[must_use]
    pub fn named(mut self, id: Option<String>) -> Self {
        self.id = id;
        self
    }

    /// A token with these claims.
    ///
    /// # Errors
    /// When the key cannot sign.
    pub fn mint(&self, claims: &Map<String, Value>) -> Result<String, MintError> {
        let mut header = Header::new(signed(self.algorithm));
        header.kid.clone_from(&self.id);
        Ok(encode(&header, claims, &self.key)?)
    }
}
