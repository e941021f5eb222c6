//! Whoever signs tokens, and what a token usually says.

use std::time::{SystemTime, UNIX_EPOCH};

use notifier::{
    access::auth::Signer,
    config::{Algorithm, AuthMode, Config, Grant, Issuer},
};
use serde_json::{Value, json};

/// The issuer and the audience of most tests.
pub const ISSUER: &str = "https://login.example";
pub const AUDIENCE: &str = "notifier";

/// The secret of most tests.
pub const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// An issuer without keys yet.
pub fn issuer(algorithms: &[Algorithm]) -> Issuer {
    serde_json::from_value(json!({"issuer": ISSUER, "audience": AUDIENCE, "algorithms": algorithms}))
        .expect("an issuer")
}

/// Has a node take tokens that are signed with [`SECRET`].
pub fn with_secret(config: &mut Config) {
    let mut issuer = issuer(&[Algorithm::HS256]);
    issuer.secret = Some(SECRET.to_owned().into());
    with_issuer(config, issuer);
}

/// Has a node take tokens of this issuer too. Everybody may do everything
/// unless the test sets `config.grants`.
pub fn with_issuer(config: &mut Config, issuer: Issuer) {
    config.auth.mode = Some(AuthMode::Jwt);
    config.auth.issuers.push(issuer);
    if config.grants.is_empty() {
        let all = || vec![">".to_owned()];
        let everything = Grant {
            role: "*".into(),
            issuers: vec!["*".into()],
            subscribe: all(),
            publish: all(),
            request: all(),
            ..Grant::default()
        };
        config.grants.push(everything);
    }
}

/// What a token of `user` with these roles says; it holds for an hour.
pub fn claims(user: &str, roles: &[&str]) -> Value {
    json!({"iss": ISSUER, "aud": AUDIENCE, "sub": user, "roles": roles, "exp": now() + 3600, "jti": format!("{user}-1")})
}

/// A token that is signed with [`SECRET`].
pub fn token(claims: &Value) -> String {
    let signer = Signer::secret(SECRET.as_bytes(), Algorithm::HS256).expect("for secrets");
    signer.mint(claims.as_object().expect("an object")).expect("a token")
}

/// A token of `user` with these roles, signed with [`SECRET`].
pub fn token_of(user: &str, roles: &[&str]) -> String {
    token(&claims(user, roles))
}
