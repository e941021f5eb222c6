//! The row of a connection in the lists that operators see.

use serde::{Deserialize, Serialize};

use crate::{access::identity::Identity, socket::ConnectionId};

/// Characters of a name that are shown: long ones would make a list unreadable.
const SHOWN: usize = 128;

/// The row of one connection.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ConnectionInfo {
    /// The identifier of the connection.
    pub connection: String,
    /// The user; absent when anonymous. Cut after 128 characters.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// The issuer of its token; absent when anonymous.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// `jti` of its token, where it has one. Cut after 128 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_id: Option<String>,
    /// When its token ends, milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
}

impl ConnectionInfo {
    pub(crate) fn new(id: ConnectionId, identity: &Identity) -> Self {
        let shown = |name: &String| name.chars().take(SHOWN).collect();
        Self {
            connection: id.to_string(),
            user: shown(&identity.user),
            issuer: identity.issuer.clone(),
            token_id: identity.token_id.as_ref().map(shown),
            expires_at: identity.expires_at_ms(),
        }
    }
}
