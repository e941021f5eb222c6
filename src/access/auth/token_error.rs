//! Errors of tokens: the text that the client is told, and the label under which
//! they are counted. No text here repeats anything of the token.

use jsonwebtoken::errors::{Error, ErrorKind};

use crate::{
    error::{Code, Refusal},
    metrics::TokenRefusal,
};

/// An error of a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("a token is needed here; send it in `connect`, or as `Authorization: Bearer`")]
    Missing,
    #[error("the token is longer than the {0} bytes of auth.token_bytes")]
    TooLarge(usize),
    #[error("the token is no signed JWT: three parts in base64url, joined by dots, the first two of them JSON objects")]
    Malformed,
    #[error("the token is encrypted or holds another token; send one that is only signed")]
    Nested,
    #[error(
        "the token is signed in another way than auth.issuers.algorithms names for its issuer, or than its key can"
    )]
    Algorithm,
    #[error("the token says that something in its header must be understood (`crit`); nothing of the kind is here")]
    Critical,
    #[error("the token is of another type; its `typ` has to be JWT or at+jwt, or absent")]
    Type,
    #[error("the token's issuer (`iss`) is none of auth.issuers")]
    Issuer,
    #[error("the token is for somebody else: its `aud` does not hold the audience that is configured for its issuer")]
    Audience,
    #[error("the token has expired; get a new one")]
    Expired,
    #[error("the token does not hold yet (`nbf`); are the clocks right?")]
    NotYetValid,
    #[error("the token says that it was issued later than now (`iat`); are the clocks right?")]
    IssuedInFuture,
    #[error("the token's claim `{0}` is missing or not as it has to be")]
    Claim(String),
    #[error("the issuer has no key of the name (`kid`) that the token gives; get a new token")]
    UnknownKey,
    #[error("the token's signature is wrong")]
    Signature,
    #[error("the issuer's keys cannot be read now, so the token cannot be verified; try again later")]
    KeysUnavailable,
}

impl TokenError {
    /// The label that it is counted under.
    pub(crate) const fn label(&self) -> TokenRefusal {
        match self {
            Self::Missing => TokenRefusal::Missing,
            Self::TooLarge(_) => TokenRefusal::TooLarge,
            Self::Malformed | Self::Nested => TokenRefusal::Malformed,
            Self::Algorithm => TokenRefusal::Algorithm,
            Self::Critical => TokenRefusal::Critical,
            Self::Type => TokenRefusal::Type,
            Self::Issuer => TokenRefusal::Issuer,
            Self::Audience => TokenRefusal::Audience,
            Self::Expired => TokenRefusal::Expired,
            Self::NotYetValid => TokenRefusal::NotYetValid,
            Self::IssuedInFuture => TokenRefusal::IssuedInFuture,
            Self::Claim(_) => TokenRefusal::Claim,
            Self::UnknownKey => TokenRefusal::UnknownKey,
            Self::Signature => TokenRefusal::Signature,
            Self::KeysUnavailable => TokenRefusal::KeysUnavailable,
        }
    }

    /// The refusal that the client receives. It is retryable only where a later
    /// try can end differently.
    pub(crate) fn refusal(&self) -> Refusal {
        let code = match self {
            Self::KeysUnavailable => Code::KeysUnavailable,
            _ => Code::Unauthorized,
        };
        Refusal::new(code, self.to_string())
    }
}

impl From<Error> for TokenError {
    fn from(error: Error) -> Self {
        match error.into_kind() {
            ErrorKind::InvalidSignature => Self::Signature,
            ErrorKind::MissingRequiredClaim(claim) | ErrorKind::InvalidClaimFormat(claim) => Self::Claim(claim),
            ErrorKind::ExpiredSignature => Self::Expired,
            ErrorKind::ImmatureSignature => Self::NotYetValid,
            ErrorKind::InvalidIssuer => Self::Issuer,
            ErrorKind::InvalidAudience => Self::Audience,
            ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName | ErrorKind::UnsupportedAlgorithm => {
                Self::Algorithm
            }
            ErrorKind::InvalidToken | ErrorKind::Base64(_) | ErrorKind::Json(_) | ErrorKind::Utf8(_) => Self::Malformed,
            // The key itself is at fault, so nothing verifies.
            _ => Self::Signature,
        }
    }
}
