//! A published set of keys (RFC 7517 section 5), read with care: it comes over
//! a network, and one odd key must not cost the others. Free of I/O.

use std::fmt;

use jsonwebtoken::jwk::Jwk;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::access::auth::keys::{Key, Keys, RejectedKey, Requirements};

/// Most keys of one issuer that are looked at; large ones have about a dozen.
const KEYS: usize = 64;

/// Longest key, bytes of JSON: one with a chain of certificates has some ten
/// thousand. Parsed, a text can take sixteen times as much.
const KEY_BYTES: usize = 32 * 1024;

#[derive(Deserialize)]
struct Set<'a> {
    #[serde(borrow, deserialize_with = "first")]
    keys: Vec<&'a RawValue>,
}

/// Reads a set: the keys that are used, and why others are not.
///
/// # Errors
/// Why none is.
pub(crate) fn parse(bytes: &[u8], requirements: &Requirements) -> Result<(Keys, Vec<RejectedKey>), &'static str> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let Set { keys } = serde_json::from_slice(bytes).map_err(|_| "is no JWK set: an object with a list `keys`")?;
    let mut fit: Vec<Key> = Vec::new();
    let mut unfit = Vec::new();
    for text in keys {
        let jwk = if text.get().len() > KEY_BYTES { None } else { serde_json::from_str::<Jwk>(text.get()).ok() };
        match jwk.ok_or(RejectedKey::Broken).and_then(|jwk| Key::public(&jwk, requirements)) {
            Ok(key) if fit.iter().any(|other| other.is_ambiguous_with(&key)) => {
                unfit.push(RejectedKey::Duplicate);
            }
            Ok(key) => fit.push(key),
            Err(why) => unfit.push(why),
        }
    }
    if fit.is_empty() { Err("holds no key that `algorithms` works with") } else { Ok((Keys::new(fit), unfit)) }
}

/// The first keys of a list as text. Those behind them are passed over.
fn first<'de, D: Deserializer<'de>>(list: D) -> Result<Vec<&'de RawValue>, D::Error> {
    struct First;

    impl<'de> Visitor<'de> for First {
        type Value = Vec<&'de RawValue>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of keys")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut keys = Vec::new();
            while keys.len() < KEYS {
                match list.next_element()? {
                    Some(key) => keys.push(key),
                    None => return Ok(keys),
                }
            }
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok(keys)
        }
    }

    list.deserialize_seq(First)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        access::auth::token_error::TokenError,
        config::Algorithm::{self, ES256, EdDSA, HS256, PS256, RS256},
    };

    fn read(keys: &Value, algorithms: &[Algorithm]) -> Result<(usize, Vec<RejectedKey>), &'static str> {
        let requirements =
            Requirements { issuer: "us".into(), audience: "n".into(), algorithms: algorithms.to_vec(), leeway: 0 };
        parse(json!({"keys": keys}).to_string().as_bytes(), &requirements).map(|(keys, unfit)| (keys.len(), unfit))
    }

    fn rsa(bits: usize, more: &Value) -> Value {
        let mut key = json!({"kty": "RSA", "n": format!("w{}w", "x".repeat(bits / 6 - 1)), "e": "AQAB"});
        key.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        key
    }

    #[test]
    fn keys_that_are_of_no_use_are_passed_over_and_the_others_used() {
        let point = |kid: &str| json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": "eA", "y": "eQ"});
        let odd = json!({"kty": "EC", "crv": "secp256k1", "x": "eA", "y": "eQ"});
        let secret = json!({"kty": "oct", "k": "c2VjcmV0"});
        let curve = json!({"kty": "OKP", "crv": "X25519", "x": "eA"});
        let keys = json!([
            point("a"),
            point("a"),
            point("b"),
            rsa(2048, &json!({"kid": "c"})),
            rsa(1024, &json!({})),
            rsa(2048, &json!({"use": "enc"})),
            rsa(2048, &json!({"key_ops": ["encrypt"]})),
            rsa(2048, &json!({"alg": "RSA-OAEP"})),
            rsa(2048, &json!({"alg": "PS256"})),
            json!({"kty": "RSA", "n": "?", "e": "AQAB"}),
            odd,
            secret,
            curve,
            json!({"kty": "post-quantum"}),
            json!(7),
        ]);
        let (fit, unfit) = read(&keys, &[ES256, RS256]).expect("some are fit");
        assert_eq!(fit, 3);
        let count = |why| unfit.iter().filter(|one| **one == why).count();
        assert_eq!((count(RejectedKey::Duplicate), count(RejectedKey::Use), unfit.len()), (1, 2, 12), "{unfit:?}");
        assert_eq!(count(RejectedKey::Weak), 2, "a number that is none counts as short: {unfit:?}");
        assert_eq!(read(&json!([rsa(2048, &json!({}))]), &[EdDSA]), Err("holds no key that `algorithms` works with"));
        assert!(read(&json!([{"kty": "oct", "k": "c2VjcmV0"}]), &[HS256]).is_err(), "a published secret is none");
    }

    /// RFC 7517 section 4.5: equivalent alternatives of different kinds may share a name.
    #[test]
    fn keys_that_share_a_name_are_all_used_where_no_token_can_mean_both() {
        let point = json!({"kty": "EC", "crv": "P-256", "kid": "a", "x": "eA", "y": "eQ"});
        let named = |algorithm: &str| rsa(2048, &json!({"kid": "a", "alg": algorithm}));
        let requirements = Requirements {
            issuer: "us".into(),
            audience: "n".into(),
            algorithms: vec![ES256, RS256, PS256],
            leeway: 0,
        };
        let set = json!({"keys": [named("PS256"), named("RS256"), point, named("RS256")]});
        let (keys, unfit) = parse(set.to_string().as_bytes(), &requirements).expect("a set");
        assert_eq!((keys.len(), unfit), (3, vec![RejectedKey::Duplicate]));
        for algorithm in [ES256, RS256, PS256] {
            assert_eq!(keys.verify("a.b.c", algorithm, Some("a")), Err(TokenError::Malformed), "one of them is asked");
        }
    }

    #[test]
    fn a_byte_order_mark_in_front_of_a_set_is_no_part_of_it() {
        let requirements =
            Requirements { issuer: "us".into(), audience: "n".into(), algorithms: vec![RS256], leeway: 0 };
        let text = format!("\u{feff}{}", json!({"keys": [rsa(2048, &json!({"kid": "a"}))]}));
        assert!(parse(text.as_bytes(), &requirements).is_ok());
    }

    #[test]
    fn what_is_no_set_is_refused() {
        for text in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[]}"#, "\u{0}", r#"<html>"#] {
            let requirements =
                Requirements { issuer: String::new(), audience: String::new(), algorithms: vec![ES256], leeway: 0 };
            assert!(parse(text.as_bytes(), &requirements).is_err(), "{text}");
        }
    }

    #[test]
    fn a_key_is_used_for_what_it_is_meant_for_only() {
        let requirements =
            Requirements { issuer: "us".into(), audience: "n".into(), algorithms: vec![ES256, RS256], leeway: 0 };
        let set = json!({"keys": [rsa(2048, &json!({"kid": "a"}))]});
        let (keys, _) = parse(set.to_string().as_bytes(), &requirements).expect("a set");
        assert_eq!(keys.verify("a.b.c", ES256, Some("a")), Err(TokenError::Algorithm));
        assert_eq!(keys.verify("a.b.c", RS256, Some("b")), Err(TokenError::UnknownKey));
        assert_eq!(keys.verify("a.b.c", RS256, Some("a")), Err(TokenError::Malformed));
    }
}
