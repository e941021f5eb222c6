//! Who a client is: what its token says of it. Plain data; it decides nothing.

use serde_json::{Map, Value};

/// Who a client is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Identity {
    /// The user, as the token's `sub` says; empty when anonymous.
    pub user: String,
    /// Roles, which grants are given to.
    pub roles: Vec<String>,
    /// Identifier of the token (`jti`), where it has one.
    pub token_id: Option<String>,
    /// When the token ends, seconds since 1970; nothing when anonymous.
    pub expires_at: Option<u64>,
    /// All claims of the token, for templates in grants.
    pub claims: Map<String, Value>,
}

impl Identity {
    /// Somebody without a token.
    pub fn anonymous() -> Self {
        Self::default()
    }
}
