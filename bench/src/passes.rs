//! The tokens of clients: one for each, of a user of its own, signed as an issuer signs. With ES256, because verifying
//! the signature of a public key is what tokens cost a node; a shared secret would leave that out.

use std::{
    fmt,
    path::Path,
    time::{Duration, SystemTime},
};

use aws_lc_rs::{
    encoding::{AsDer as _, PublicKeyX509Der},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::Engine as _;
use notifier::{access::auth::Signer, config::Algorithm};
use serde_json::json;

use crate::failure::{Because as _, Outcome};

/// Who signs, as the tokens say.
pub const ISSUER: &str = "bench";

/// For whom, as the tokens say.
pub const AUDIENCE: &str = "notifier";

/// Clients of one tenant.
const TENANT: usize = 100;

/// How long they hold: longer than any scenario.
const LIFE: Duration = Duration::from_secs(6 * 60 * 60);

/// The issuer, and what it has issued.
pub struct Passes {
    signer: Signer,
    made: Vec<String>,
}

impl Passes {
    /// An issuer with a new key, whose public half goes to `file`.
    pub fn issue(file: &Path) -> Outcome<Self> {
        let cannot = || "cannot make a key to sign tokens with".to_owned();
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).because(cannot)?;
        let private = pair.to_pkcs8v1().because(cannot)?;
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().because(cannot)?;
        std::fs::write(file, pem("PUBLIC KEY", public.as_ref()))
            .because(|| format!("cannot write {}", file.display()))?;
        let signer =
            Signer::private(pem("PRIVATE KEY", private.as_ref()).as_bytes(), Some(Algorithm::ES256)).because(cannot)?;
        Ok(Self { signer, made: Vec::new() })
    }

    /// Makes those of the first `count` clients, as far as they are not made: signing must not take time later.
    pub fn prepare(&mut self, count: usize) -> Outcome<()> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        for at in self.made.len()..count {
            let claims = json!({
                "iss": ISSUER, "aud": AUDIENCE, "iat": now.as_secs(), "exp": (now + LIFE).as_secs(),
                "sub": format!("u{at}"), "tenant": format!("t{}", at / TENANT), "roles": ["reader", "customer"],
            });
            let claims = claims.as_object().cloned().unwrap_or_default();
            self.made.push(self.signer.mint(&claims).because(|| "cannot sign a token".into())?);
        }
        Ok(())
    }

    /// That of a client; it has to be prepared.
    pub fn of(&self, at: usize) -> &str {
        &self.made[at]
    }
}

impl fmt::Debug for Passes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passes").field("made", &self.made.len()).finish_non_exhaustive()
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<String> =
        text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
