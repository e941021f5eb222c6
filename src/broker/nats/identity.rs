//! The node's identity at NATS: the settings, and the proof that the protocol
//! asks for. Free of I/O but for reading the credentials file.

use std::{io, path::Path};

use async_nats::Auth;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use nkeys::KeyPair;
use serde::Serialize;

use crate::{
    broker::nats::error::NatsError,
    config::{self, read_text},
};

/// The marks around the two parts of a `.creds` file (nats-io/nsc).
const JWT: &str = "-----BEGIN NATS USER JWT-----";
const SEED: &str = "-----BEGIN USER NKEY SEED-----";

/// One way to say who we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NatsIdentity {
    Nobody,
    User {
        user: String,
        password: String,
    },
    Token(String),
    Nkey {
        seed: String,
    },
    /// A user's JWT, which the server takes together with a proof of its key.
    Jwt {
        jwt: String,
        seed: String,
    },
}

/// The fields of `CONNECT` that say who connects; absent ones are not sent.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Proof {
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pass: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nkey: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sig: Option<String>,
}

impl NatsIdentity {
    /// The identity in the settings. The configuration has checked that at most
    /// one way is set.
    pub(crate) fn of(nats: &config::Nats) -> Result<Self, NatsError> {
        if let (Some(user), Some(password)) = (&nats.user, &nats.password) {
            return Ok(Self::User { user: user.clone(), password: password.reveal().to_owned() });
        }
        if let Some(token) = &nats.token {
            return Ok(Self::Token(token.reveal().to_owned()));
        }
        if let Some(seed) = &nats.nkey {
            let seed = seed.reveal().trim().to_owned();
            KeyPair::from_seed(&seed).map_err(NatsError::Seed)?;
            return Ok(Self::Nkey { seed });
        }
        match &nats.credentials_file {
            None => Ok(Self::Nobody),
            Some(path) => Self::from_file(path).map_err(|source| NatsError::Credentials { path: path.clone(), source }),
        }
    }

    fn from_file(path: &Path) -> io::Result<Self> {
        let text = read_text(path)?;
        let part = |mark: &str| {
            let line = text.lines().skip_while(|line| line.trim() != mark).nth(1).map(|line| line.trim().to_owned());
            line.ok_or_else(|| io::Error::other(format!("there is no `{mark}` in it")))
        };
        let (jwt, seed) = (part(JWT)?, part(SEED)?);
        KeyPair::from_seed(&seed).map_err(io::Error::other)?;
        Ok(Self::Jwt { jwt, seed })
    }

    /// The same proof for the client library.
    ///
    /// # Errors
    /// When the key cannot sign.
    pub(crate) fn auth(&self, nonce: &[u8]) -> Result<Auth, nkeys::error::Error> {
        let mut auth = Auth::new();
        match self {
            Self::Nobody => {}
            Self::User { user, password } => {
                auth.username = Some(user.clone());
                auth.password = Some(password.clone());
            }
            Self::Token(token) => auth.token = Some(token.clone()),
            Self::Nkey { seed } => {
                let key = KeyPair::from_seed(seed)?;
                auth.nkey = Some(key.public_key());
                auth.signature = Some(key.sign(nonce)?);
            }
            Self::Jwt { jwt, seed } => {
                auth.jwt = Some(jwt.clone());
                auth.signature = Some(KeyPair::from_seed(seed)?.sign(nonce)?);
            }
        }
        Ok(auth)
    }

    /// The proof for a server that has sent this nonce.
    ///
    /// # Errors
    /// When the key cannot sign.
    pub(crate) fn prove(&self, nonce: &str) -> Result<Proof, nkeys::error::Error> {
        let sign = |key: &KeyPair| key.sign(nonce.as_bytes()).map(|signed| Some(BASE64_URL_SAFE_NO_PAD.encode(signed)));
        Ok(match self {
            Self::Nobody => Proof::default(),
            Self::User { user, password } => {
                Proof { user: Some(user.clone()), pass: Some(password.clone()), ..Proof::default() }
            }
            Self::Token(token) => Proof { auth_token: Some(token.clone()), ..Proof::default() },
            Self::Nkey { seed } => {
                let key = KeyPair::from_seed(seed)?;
                Proof { nkey: Some(key.public_key()), sig: sign(&key)?, ..Proof::default() }
            }
            Self::Jwt { jwt, seed } => {
                let key = KeyPair::from_seed(seed)?;
                Proof { jwt: Some(jwt.clone()), sig: sign(&key)?, ..Proof::default() }
            }
        })
    }
}
