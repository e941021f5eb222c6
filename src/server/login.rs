//! The login of the sample shop: a token of the page's user, which a real shop has its
//! login service issue.

use serde_json::{Map, Value, json};

use crate::{
    access::auth::Signer,
    clock,
    config::{self, Algorithm},
    error::{Code, Refusal},
    server::{
        response,
        route::{Answered, PublicRequest},
    },
};

/// The user of the page.
const USER: &str = "u42";

/// `customer` shops, `tester` floods the page.
const ROLES: [&str; 2] = ["customer", "tester"];

/// The longest life of a token, seconds.
const LONGEST: u64 = 600;

/// Issues tokens of the node's one issuer.
#[derive(Debug)]
pub(crate) struct Login {
    issuer: String,
    audience: String,
    signer: Signer,
}

impl Login {
    /// The login of a node that knows the secret of its issuer.
    pub(crate) fn new(auth: &config::Auth) -> Option<Self> {
        let issuer = auth.issuers.first()?;
        let signer = Signer::secret(issuer.secret.as_ref()?.reveal().as_bytes(), Algorithm::HS256).ok()?;
        Some(Self { issuer: issuer.issuer.clone(), audience: issuer.audience.clone(), signer })
    }

    /// `POST /demo/token/{seconds}`: a token that holds for so long.
    pub(crate) fn token(&self, request: &PublicRequest<'_>) -> Answered {
        let seconds = request.rest.parse().ok().filter(|seconds| (1..=LONGEST).contains(seconds));
        let Some(seconds) = seconds else {
            let message = format!("name the life of the token in seconds, 1 to {LONGEST}");
            return Err(Refusal::new(Code::BadRequest, message).into());
        };
        match self.signer.mint(&self.claims(clock::unix_seconds(), seconds)) {
            Ok(token) => Ok(response::of_type("text/plain; charset=utf-8", token)),
            Err(problem) => Err(Refusal::new(Code::KeysUnavailable, problem.to_string()).into()),
        }
    }

    fn claims(&self, now: u64, seconds: u64) -> Map<String, Value> {
        Map::from_iter([
            ("iss".into(), self.issuer.as_str().into()),
            ("aud".into(), self.audience.as_str().into()),
            ("sub".into(), USER.into()),
            ("roles".into(), json!(ROLES)),
            ("iat".into(), now.into()),
            ("exp".into(), now.saturating_add(seconds).into()),
        ])
    }
}
