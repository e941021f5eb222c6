//! The identity of a client, as its token says. Plain data; it decides nothing.

mod invisible;

pub use invisible::is_invisible;
use serde_json::{Map, Value};

use crate::config::ANONYMOUS;

/// The identity of a client.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Identity {
    /// The user, as the token's `sub` says; empty when anonymous. At most 128
    /// bytes, no characters that nobody sees.
    pub user: String,
    /// Roles, which grants are given to; `anonymous` without a token.
    pub roles: Vec<String>,
    /// Identifier of the token (`jti`), where it has one.
    pub token_id: Option<String>,
    /// The issuer of the token (`iss`); none when anonymous.
    pub issuer: Option<String>,
    /// When it was issued (`iat`), seconds since 1970, where it says so.
    pub issued_at: Option<u64>,
    /// When the token ends (`exp`), seconds since 1970; nothing when anonymous.
    /// The configured leeway comes on top, for coming in and for staying.
    pub expires_at: Option<u64>,
    /// All claims of the token, for templates in grants.
    pub claims: Map<String, Value>,
}

/// The key of a user. Names are given out by issuers, each for itself:
/// `u1` of two issuers is two users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UserKey<'a> {
    /// The issuer of the token (`iss`).
    pub issuer: &'a str,
    /// The user there, never empty.
    pub user: &'a str,
}

/// A filter for users by name and issuer.
#[derive(Clone, Copy, Debug, Default)]
pub struct UserFilter<'a> {
    /// The user; nothing: everybody.
    pub user: Option<&'a str>,
    /// The issuer that gave out the name; none: any issuer.
    pub issuer: Option<&'a str>,
}

impl UserFilter<'_> {
    /// Whether somebody is meant.
    pub fn matches(&self, identity: &Identity) -> bool {
        self.user.is_none_or(|user| identity.user == user)
            && self.issuer.is_none_or(|issuer| identity.issuer.as_deref() == Some(issuer))
    }
}

impl Identity {
    /// Which user this is; nothing when anonymous.
    pub fn user_key(&self) -> Option<UserKey<'_>> {
        let issuer = self.issuer.as_deref().unwrap_or_default();
        (!self.user.is_empty()).then_some(UserKey { issuer, user: &self.user })
    }

    /// Somebody without a token.
    pub fn anonymous() -> Self {
        Self { roles: vec![ANONYMOUS.into()], ..Self::default() }
    }

    /// When the token ends, as clients are told: milliseconds since 1970.
    pub fn expires_at_ms(&self) -> Option<u64> {
        self.expires_at.map(|seconds| seconds.saturating_mul(1_000))
    }

    /// Whether nobody knows who it is.
    pub fn is_anonymous(&self) -> bool {
        self.issuer.is_none() && self.expires_at.is_none()
    }
}
