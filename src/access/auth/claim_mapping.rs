//! The claim mapping turns the claims of a verified token into an identity. Free of
//! keys and I/O.

use serde_json::{Map, Value};

use crate::access::{
    auth::token_error::TokenError,
    identity::{Identity, is_invisible},
};

/// Longest name of a user or role, bytes: it becomes part of subjects, which
/// have 256, and of headers.
const NAME_BYTES: usize = 128;

/// The end of the year 9999, seconds since 1970. A token that ends later never
/// ends.
const FAR: u64 = 253_402_300_799;

/// Most roles of one token.
const ROLES: usize = 64;

/// The claims that hold user and roles.
#[derive(Clone, Debug)]
pub(crate) struct ClaimMapping {
    pub(crate) user: String,
    pub(crate) roles: String,
}

impl ClaimMapping {
    /// The identity that the claims tell.
    ///
    /// # Errors
    /// The claim that is missing or not as it has to be.
    pub(crate) fn identity(&self, claims: Map<String, Value>) -> Result<Identity, TokenError> {
        let user = find(&claims, &self.user).and_then(Value::as_str).filter(|user| is_name(user));
        let user = user.ok_or_else(|| TokenError::Claim(self.user.clone()))?.to_owned();
        let roles = roles(find(&claims, &self.roles)).ok_or_else(|| TokenError::Claim(self.roles.clone()))?;
        let token_id = match claims.get("jti") {
            None | Some(Value::Null) => None,
            Some(Value::String(id)) if is_name(id) => Some(id.clone()),
            Some(_) => return Err(TokenError::Claim("jti".into())),
        };
        let expires_at = claims.get("exp").and_then(seconds).map(|end| end.min(FAR));
        let issuer = claims.get("iss").and_then(Value::as_str).map(str::to_owned);
        let issued_at = claims.get("iat").and_then(seconds);
        Ok(Identity { user, roles, token_id, issuer, issued_at, expires_at, claims })
    }
}

/// A claim, or one within a claim; a name with dots may be either.
fn find<'c>(claims: &'c Map<String, Value>, name: &str) -> Option<&'c Value> {
    claims.get(name).or_else(|| {
        let (outer, inner) = name.split_once('.')?;
        find(claims.get(outer)?.as_object()?, inner)
    })
}

fn roles(claim: Option<&Value>) -> Option<Vec<String>> {
    let names: Vec<&str> = match claim {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(text)) => text.split_whitespace().collect(),
        Some(Value::Array(list)) => list.iter().map(Value::as_str).collect::<Option<_>>()?,
        Some(_) => return None,
    };
    let fit = names.len() <= ROLES && names.iter().all(|name| is_name(name));
    fit.then(|| names.into_iter().map(str::to_owned).collect())
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= NAME_BYTES && !text.chars().any(is_invisible)
}

/// Some issuers write fractions (RFC 7519 section 2, NumericDate).
fn seconds(exp: &Value) -> Option<u64> {
    exp.as_u64().or_else(|| exp.as_f64().map(|seconds| seconds.round() as u64))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn identity(claims: &Value, user: &str, roles: &str) -> Result<Identity, TokenError> {
        let claim_mapping = ClaimMapping { user: user.into(), roles: roles.into() };
        claim_mapping.identity(claims.as_object().expect("an object").clone())
    }

    #[test]
    fn users_and_roles_are_where_the_configuration_says() {
        let claims = json!({
            "sub": "u42", "oid": "o", "exp": 17.6, "jti": "t1", "roles": ["a", "b"], "scope": "a  b",
            "realm_access": {"roles": ["a", "b"]}, "https://shop.example/roles": ["a", "b"],
        });
        for roles in ["roles", "scope", "realm_access.roles", "https://shop.example/roles"] {
            let identity = identity(&claims, "sub", roles).expect(roles);
            assert_eq!((identity.user.as_str(), identity.roles), ("u42", vec!["a".to_owned(), "b".to_owned()]));
            assert_eq!((identity.token_id.as_deref(), identity.expires_at), (Some("t1"), Some(18)));
        }
        let other = identity(&claims, "oid", "groups").expect("no roles are needed");
        assert_eq!((other.user.as_str(), other.roles.len()), ("o", 0));
    }

    #[test]
    fn claims_that_are_no_names_are_refused_by_name() {
        let long = "x".repeat(NAME_BYTES + 1);
        let many: Vec<String> = (0..=ROLES).map(|n| n.to_string()).collect();
        let rows = [
            (json!({}), "sub"),
            (json!({"sub": ""}), "sub"),
            (json!({"sub": 7}), "sub"),
            (json!({"sub": long}), "sub"),
            (json!({"sub": "a\r\nb"}), "sub"),
            (json!({"sub": "u", "roles": 7}), "roles"),
            (json!({"sub": "u", "roles": ["a", 7]}), "roles"),
            (json!({"sub": "u", "roles": [""]}), "roles"),
            (json!({"sub": "u", "roles": ["a\u{0}"]}), "roles"),
            (json!({"sub": "u", "roles": many}), "roles"),
            (json!({"sub": "u", "jti": 7}), "jti"),
            // They would look like u1 in a list, or turn a line of the log round.
            (json!({"sub": "u1\u{200b}"}), "sub"),
            (json!({"sub": "u\u{202e}1"}), "sub"),
            (json!({"sub": "u1\u{2066}"}), "sub"),
            (json!({"sub": "u1\u{2028}"}), "sub"),
            (json!({"sub": "u1\u{e0061}"}), "sub"),
            (json!({"sub": "\u{3164}"}), "sub"),
            (json!({"sub": "u", "roles": ["admin\u{feff}"]}), "roles"),
            (json!({"sub": "u", "jti": "t\u{200d}"}), "jti"),
        ];
        for (claims, named) in rows {
            assert_eq!(identity(&claims, "sub", "roles"), Err(TokenError::Claim(named.into())), "{claims}");
        }
    }
}
