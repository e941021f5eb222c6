//! The keys of an issuer. Each knows for which algorithms it is used, so that
//! no token can have it used otherwise. Free of I/O.

use jsonwebtoken::{
    Algorithm as Signed, DecodingKey, Validation, decode,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse},
};
use serde_json::{Map, Value};

use crate::{
    access::auth::token_error::TokenError,
    config::{self, Algorithm},
    metrics::PassedOver,
};

/// Fewest bits of an RSA key that is not weak (RFC 7518 section 3.3).
const RSA_BITS: usize = 2048;

/// Keys that a token without `kid` is tried with: what an issuer has while it
/// changes keys. Each costs a signature check.
const TRIES: usize = 4;

/// Requirements that every token of an issuer has to meet.
#[derive(Clone, Debug)]
pub(crate) struct Requirements {
    pub(crate) issuer: String,
    pub(crate) audience: String,
    pub(crate) algorithms: Vec<Algorithm>,
    /// Seconds.
    pub(crate) leeway: u64,
}

/// One key, with all that a token verified by it has to fulfil.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    id: Option<String>,
    verifying: DecodingKey,
    validation: Validation,
}

/// Reason for which a key is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RejectedKey {
    #[error("is for encryption, not for signatures")]
    Use,
    #[error("is of a kind that none of `algorithms` works with")]
    Kind,
    #[error("is an RSA key of less than {RSA_BITS} bits, which is weak")]
    Weak,
    #[error("is no key: its numbers cannot be read")]
    Broken,
    #[error("has the name (`kid`) of another one before it, and an algorithm in common with it")]
    Duplicate,
}

impl RejectedKey {
    /// The label that it is counted under.
    pub(crate) const fn label(self) -> PassedOver {
        match self {
            Self::Use => PassedOver::Use,
            Self::Kind => PassedOver::Kind,
            Self::Weak => PassedOver::Weak,
            Self::Broken => PassedOver::Broken,
            Self::Duplicate => PassedOver::Duplicate,
        }
    }
}

/// The keys of an issuer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys(Vec<Key>);

impl Requirements {
    /// Those of the configuration.
    pub(crate) fn of(issuer: &config::Issuer, leeway: u64) -> Self {
        Self {
            issuer: issuer.issuer.clone(),
            audience: issuer.audience.clone(),
            algorithms: issuer.algorithms.clone(),
            leeway,
        }
    }

    fn validation(&self, algorithms: Vec<Signed>) -> Validation {
        let mut validation = Validation::new(Signed::default());
        validation.algorithms = algorithms;
        validation.leeway = self.leeway;
        validation.validate_nbf = true;
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation
    }
}

impl Key {
    /// A shared secret.
    pub(crate) fn secret(secret: &[u8], requirements: &Requirements) -> Self {
        let algorithms = requirements.algorithms.iter().copied().map(signed).collect();
        Self { id: None, verifying: DecodingKey::from_secret(secret), validation: requirements.validation(algorithms) }
    }

    /// A public key, for those of the algorithms that it is meant for.
    ///
    /// # Errors
    /// Why it is not used.
    pub(crate) fn public(jwk: &Jwk, requirements: &Requirements) -> Result<Self, RejectedKey> {
        let Jwk { common, algorithm } = jwk;
        let signs = common.public_key_use.as_ref().is_none_or(|one| *one == PublicKeyUse::Signature);
        let verifies = common.key_operations.as_ref().is_none_or(|all| all.contains(&KeyOperations::Verify));
        if !signs || !verifies {
            return Err(RejectedKey::Use);
        }
        let possible = possible(algorithm)?;
        let meant = common.key_algorithm.map(Signed::try_from);
        let algorithms: Vec<Signed> = requirements
            .algorithms
            .iter()
            .copied()
            .map(signed)
            .filter(|one| possible.contains(one) && meant.as_ref().is_none_or(|meant| meant.as_ref() == Ok(one)))
            .collect();
        if algorithms.is_empty() {
            return Err(RejectedKey::Kind);
        }
        let verifying = DecodingKey::from_jwk(jwk).map_err(|_| RejectedKey::Broken)?;
        Ok(Self { id: common.key_id.clone(), verifying, validation: requirements.validation(algorithms) })
    }

    /// Whether a token may mean either of two keys: they have the same name and
    /// an algorithm in common (RFC 7517 section 4.5).
    pub(crate) fn is_ambiguous_with(&self, other: &Self) -> bool {
        let named = self.id.is_some() && self.id == other.id;
        named && self.validation.algorithms.iter().any(|algorithm| other.validation.algorithms.contains(algorithm))
    }

    fn is_meant(&self, id: Option<&str>) -> bool {
        // A key or a token without a name leaves the choice open.
        id.is_none() || self.id.is_none() || self.id.as_deref() == id
    }
}

/// Algorithms that the numbers of a key can be used for.
fn possible(numbers: &AlgorithmParameters) -> Result<&'static [Signed], RejectedKey> {
    use Signed::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    match numbers {
        AlgorithmParameters::RSA(rsa) => {
            // A letter is six bits; a leading zero byte does not belong to the
            // number.
            let zeros = rsa.n.bytes().take_while(|letter| *letter == b'A').count();
            let bits = (rsa.n.len() - zeros) * 6;
            if bits < RSA_BITS { Err(RejectedKey::Weak) } else { Ok(&[RS256, RS384, RS512, PS256, PS384, PS512]) }
        }
        AlgorithmParameters::EllipticCurve(point) if point.curve == EllipticCurve::P256 => Ok(&[ES256]),
        AlgorithmParameters::EllipticCurve(point) if point.curve == EllipticCurve::P384 => Ok(&[ES384]),
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => Ok(&[EdDSA]),
        // A secret that is published protects nothing.
        _ => Err(RejectedKey::Kind),
    }
}

impl Keys {
    /// These keys.
    pub(crate) fn new(keys: Vec<Key>) -> Self {
        Self(keys)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is one of this name, or one that a token without a name
    /// may mean.
    pub(crate) fn has(&self, id: Option<&str>) -> bool {
        self.0.iter().any(|key| key.is_meant(id))
    }

    /// The claims of a token that one of the keys verifies and that fulfils
    /// what is demanded. The algorithm and the name are what the token says:
    /// they choose among what each key allows.
    ///
    /// # Errors
    /// An error of the token.
    pub(crate) fn verify(
        &self,
        token: &str,
        algorithm: Algorithm,
        id: Option<&str>,
    ) -> Result<Map<String, Value>, TokenError> {
        let algorithm = signed(algorithm);
        let meant = self.0.iter().filter(|key| key.is_meant(id));
        let mut token_error = if self.has(id) { TokenError::Algorithm } else { TokenError::UnknownKey };
        for key in meant.filter(|key| key.validation.algorithms.contains(&algorithm)).take(TRIES) {
            match decode(token, &key.verifying, &key.validation) {
                Ok(data) => return Ok(data.claims),
                Err(error) => token_error = error.into(),
            }
            // Another key would not mend what a right signature stands under.
            if token_error != TokenError::Signature {
                break;
            }
        }
        Err(token_error)
    }
}

/// The library's name of an algorithm.
pub(crate) const fn signed(algorithm: Algorithm) -> Signed {
    match algorithm {
        Algorithm::HS256 => Signed::HS256,
        Algorithm::HS384 => Signed::HS384,
        Algorithm::HS512 => Signed::HS512,
        Algorithm::RS256 => Signed::RS256,
        Algorithm::RS384 => Signed::RS384,
        Algorithm::RS512 => Signed::RS512,
        Algorithm::PS256 => Signed::PS256,
        Algorithm::PS384 => Signed::PS384,
        Algorithm::PS512 => Signed::PS512,
        Algorithm::ES256 => Signed::ES256,
        Algorithm::ES384 => Signed::ES384,
        Algorithm::EdDSA => Signed::EdDSA,
    }
}
