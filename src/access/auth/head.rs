//! What a token says before anybody believes it: its header, and whose it
//! claims to be. Enough to choose a key, and to refuse what no key would mend.
//! Free of keys and I/O.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{access::auth::fault::Fault, config::Algorithm};

/// What a token says of itself, unverified.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// How it says that it is signed.
    pub(crate) algorithm: Algorithm,
    /// The name of the key.
    pub(crate) key: Option<String>,
    /// Whose it claims to be.
    pub(crate) issuer: String,
}

/// The header. Whatever else stands there (`jku`, `jwk`, `x5u`, `x5c`) would
/// let a token bring its own key, and is not looked at.
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

impl Head {
    /// Reads a token of at most so many bytes.
    ///
    /// # Errors
    /// What stands against it already (RFC 7519 section 7.2, RFC 8725 section 3).
    pub(crate) fn read(token: &str, most: usize) -> Result<Self, Fault> {
        if token.len() > most {
            return Err(Fault::TooLarge(most));
        }
        let parts: Vec<&str> = token.split('.').collect();
        let [header, claims, _] = parts[..] else {
            // Five parts are an encrypted token (RFC 7516).
            return Err(if parts.len() == 5 { Fault::Nested } else { Fault::Malformed });
        };
        let header: Header = part(header).ok_or(Fault::Malformed)?;
        if header.crit.is_some() {
            return Err(Fault::Critical);
        }
        if header.cty.is_some() {
            return Err(Fault::Nested);
        }
        if header.typ.is_some_and(|typ| !is_access_token(&typ)) {
            return Err(Fault::Type);
        }
        // `none` is no algorithm of ours either.
        let algorithm = Algorithm::deserialize(Value::String(header.alg)).map_err(|_| Fault::Algorithm)?;
        let claims: Value = part(claims).ok_or(Fault::Malformed)?;
        let claims = Claims::deserialize(claims).map_err(|_| Fault::Claim("iss".into()))?;
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
            (token(&json!({"alg": "none"}), &ours), Fault::Algorithm),
            (token(&json!({"alg": "nOnE"}), &ours), Fault::Algorithm),
            (token(&json!({"alg": "HS1"}), &ours), Fault::Algorithm),
            (token(&json!({"alg": 5}), &ours), Fault::Malformed),
            (token(&json!({}), &ours), Fault::Malformed),
            (token(&json!({"alg": "ES256", "crit": ["x"], "x": 1}), &ours), Fault::Critical),
            (token(&json!({"alg": "ES256", "crit": []}), &ours), Fault::Critical),
            (token(&json!({"alg": "ES256", "crit": ["b64"], "b64": false}), &ours), Fault::Critical),
            (token(&json!({"alg": "ES256", "typ": "dpop+jwt"}), &ours), Fault::Type),
            (token(&json!({"alg": "ES256", "typ": "application/logout+jwt"}), &ours), Fault::Type),
            (token(&json!({"alg": "ES256", "cty": "JWT"}), &ours), Fault::Nested),
            (token(&json!({"alg": "ES256"}), &json!({})), Fault::Claim("iss".into())),
            (token(&json!({"alg": "ES256"}), &json!({"iss": ["us"]})), Fault::Claim("iss".into())),
            (token(&json!({"alg": "ES256"}), &json!(7)), Fault::Claim("iss".into())),
            ("a.b.c.d.e".into(), Fault::Nested),
            ("a.b.c".into(), Fault::Malformed),
            ("..".into(), Fault::Malformed),
            ("".into(), Fault::Malformed),
            (format!("{} ", token(&json!({"alg": "ES256"}), &ours)).replace('.', "=."), Fault::Malformed),
            ("x".repeat(1001), Fault::TooLarge(1000)),
        ];
        for (token, fault) in rows {
            assert_eq!(Head::read(&token, 1000), Err(fault), "{token}");
        }
    }

    #[test]
    fn a_token_brings_no_key_of_its_own() {
        let header = json!({"alg": "ES256", "kid": "k", "typ": "application/AT+jwt", "jku": "http://evil/", "jwk": 7});
        let head = Head::read(&token(&header, &json!({"iss": "us", "more": [1]})), 1000).expect("a token");
        assert_eq!(head, Head { algorithm: Algorithm::ES256, key: Some("k".into()), issuer: "us".into() });
    }
}
