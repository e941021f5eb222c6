//! Public keys in a PEM file.

use std::path::Path;

use jsonwebtoken::{DecodingKey, jwk::Jwk};

use crate::{
    access::auth::keys::{Key, Keys, Requirements},
    config::{ConfigError, Family, Issuer},
};

/// Largest file, bytes: a few keys, not a bundle.
const FILE_BYTES: usize = 64 * 1024;

/// The beginning of a block.
const BEGIN: &str = "-----BEGIN ";

/// Reads the keys of an issuer's `public_key_file`.
///
/// # Errors
/// Names the file, or what is wrong with its content.
pub(crate) fn read(path: &Path, issuer: &Issuer, requirements: &Requirements) -> Result<Keys, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.into(), source })?;
    let keys = if text.len() > FILE_BYTES {
        Err("is no file of keys: it is too large".into())
    } else {
        parse(&text, requirements)
    };
    keys.map_err(|problem: String| ConfigError::Invalid {
        key: issuer.key("public_key_file"),
        problem: format!("{} {problem}", path.display()),
    })
}

fn parse(text: &str, requirements: &Requirements) -> Result<Keys, String> {
    let begins: Vec<usize> = text.match_indices(BEGIN).map(|(place, _)| place).collect();
    let ends = begins.iter().skip(1).copied().chain([text.len()]);
    let keys: Result<Vec<Key>, String> =
        begins.iter().zip(ends).map(|(begin, end)| key(&text[*begin..end], requirements)).collect();
    match keys {
        Ok(keys) if keys.is_empty() => Err("holds no key; it begins with `-----BEGIN PUBLIC KEY-----`".into()),
        keys => keys.map(Keys::new),
    }
}

fn key(block: &str, requirements: &Requirements) -> Result<Key, String> {
    let label = block[BEGIN.len()..].split("-----").next().unwrap_or_default();
    if !matches!(label, "PUBLIC KEY" | "RSA PUBLIC KEY") {
        let remedy = match label {
            "CERTIFICATE" => "take the key out of it: openssl x509 -pubkey -noout",
            _ if label.ends_with("PRIVATE KEY") => "it belongs to the issuer alone: openssl pkey -pubout",
            _ => "give the PUBLIC KEY",
        };
        return Err(format!("holds a {label}; {remedy}"));
    }
    let pem = block.as_bytes();
    let read = match requirements.algorithms.first().map(|algorithm| algorithm.family()) {
        Some(Family::Rsa) => DecodingKey::from_rsa_pem(pem),
        Some(Family::Ec) => DecodingKey::from_ec_pem(pem),
        _ => DecodingKey::from_ed_pem(pem),
    };
    let jwk = read.and_then(|key| Jwk::from_decoding_key(&key, None));
    let jwk = jwk.map_err(|_| "holds no key that `algorithms` works with; are they those of the key?".to_owned())?;
    Key::public(&jwk, requirements).map_err(|why| format!("holds a key that {why}"))
}
