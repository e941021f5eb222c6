//! The unverified part of a token: its header, and the issuer that it claims.
//! Enough to choose a key, and to refuse a token that no key would verify. Free of
//! keys and I/O.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{access::auth::token_error::TokenError, config::Algorithm};

/// The unverified part of a token.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnverifiedToken {
    /// How it says that it is signed.
    pub(crate) algorithm: Algorithm,
    /// The name of the key.
    pub(crate) key: Option<String>,
    /// The issuer that the token names.
    pub(crate) issuer: String,
}

/// The header. Its other members (`jku`, `jwk`, `x5u`, `x5c`) would let a token
/// bring its own key, and are ignored.
#[derive(Deserialize)]
struct Header {
    alg: String,
    typ: Option<String>,
    cty: Option<String>,
    kid: Option<String>,
    crit: Option<Value>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
}

impl UnverifiedToken {
    /// Reads a token of at most `most` bytes.
    ///
    /// # Errors
    /// Each reason to reject the token before its signature is verified (RFC
    /// 7519 section 7.2, RFC 8725 section 3).
    pub(crate) fn read(token: &str, most: usize) -> Result<Self, TokenError> {
        if token.len() > most {
            return Err(TokenError::TooLarge(most));
        }
        let parts: Vec<&str> = token.split('.').collect();
        let [header, claims, _] = parts[..] else {
            // Five parts are an encrypted token (RFC 7516).
            return Err(if parts.len() == 5 { TokenError::Nested } else { TokenError::Malformed });
        };
        let header: Header = part(header).ok_or(TokenError::Malformed)?;
        if header.crit.is_some() {
            return Err(TokenError::Critical);
        }
        if header.cty.is_some() {
            return Err(TokenError::Nested);
        }
        if header.typ.is_some_and(|typ| !is_access_token(&typ)) {
            return Err(TokenError::Type);
        }
        // `none` is not among our algorithms either.
        let algorithm = Algorithm::deserialize(Value::String(header.alg)).map_err(|_| TokenError::Algorithm)?;
        let claims: Value = part(claims).ok_or(TokenError::Malformed)?;
        let claims = Claims::deserialize(claims).map_err(|_| TokenError::Claim("iss".into()))?;
        Ok(Self { algorithm, key: header.kid, issuer: claims.iss })
    }
}

fn part<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

/// RFC 9068 section 2.1, RFC 7515 section 4.1.9: the prefix may be left out,
/// and case does not matter.
fn is_access_token(typ: &str) -> bool {
    let short = typ.get(..12).filter(|prefix| prefix.eq_ignore_ascii_case("application/")).map_or(typ, |_| &typ[12..]);
    ["JWT", "at+jwt"].iter().any(|known| known.eq_ignore_ascii_case(short))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn token(header: &Value, claims: &Value) -> String {
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.c2ln", part(header), part(claims))
    }

    #[test]
    fn what_no_key_would_mend_is_refused_before_any_key_is_asked_for() {
        let ours = json!({"iss": "us"});
        let rows = [
            (token(&json!({"alg": "none"}), &ours), TokenError::Algorithm),
            (token(&json!({"alg": "nOnE"}), &ours), TokenError::Algorithm),
            (token(&json!({"alg": "HS1"}), &ours), TokenError::Algorithm),
            (token(&json!({"alg": 5}), &ours), TokenError::Malformed),
            (token(&json!({}), &ours), TokenError::Malformed),
            (token(&json!({"alg": "ES256", "crit": ["x"], "x": 1}), &ours), TokenError::Critical),
            (token(&json!({"alg": "ES256", "crit": []}), &ours), TokenError::Critical),
            (token(&json!({"alg": "ES256", "crit": ["b64"], "b64": false}), &ours), TokenError::Critical),
            (token(&json!({"alg": "ES256", "typ": "dpop+jwt"}), &ours), TokenError::Type),
            (token(&json!({"alg": "ES256", "typ": "application/logout+jwt"}), &ours), TokenError::Type),
            (token(&json!({"alg": "ES256", "cty": "JWT"}), &ours), TokenError::Nested),
            (token(&json!({"alg": "ES256"}), &json!({})), TokenError::Claim("iss".into())),
            (token(&json!({"alg": "ES256"}), &json!({"iss": ["us"]})), TokenError::Claim("iss".into())),
            (token(&json!({"alg": "ES256"}), &json!(7)), TokenError::Claim("iss".into())),
            ("a.b.c.d.e".into(), TokenError::Nested),
            ("a.b.c".into(), TokenError::Malformed),
            ("..".into(), TokenError::Malformed),
            ("".into(), TokenError::Malformed),
            (format!("{} ", token(&json!({"alg": "ES256"}), &ours)).replace('.', "=."), TokenError::Malformed),
            ("x".repeat(1001), TokenError::TooLarge(1000)),
        ];
        for (token, token_error) in rows {
            assert_eq!(UnverifiedToken::read(&token, 1000), Err(token_error), "{token}");
        }
    }

    #[test]
    fn a_token_brings_no_key_of_its_own() {
        let header = json!({"alg": "ES256", "kid": "k", "typ": "application/AT+jwt", "jku": "http://evil/", "jwk": 7});
        let unverified_token =
            UnverifiedToken::read(&token(&header, &json!({"iss": "us", "more": [1]})), 1000).expect("a token");
        assert_eq!(
            unverified_token,
            UnverifiedToken { algorithm: Algorithm::ES256, key: Some("k".into()), issuer: "us".into() }
        );
    }
}
