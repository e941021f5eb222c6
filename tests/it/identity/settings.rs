//! What an operator may write about issuers, and what is said of the rest.

use std::{fs, process::Command, sync::Arc};

use notifier::{
    access::auth::Auth,
    config::{Algorithm, Config, Issuer},
    metrics::Metrics,
};

use crate::world::{node::config, signing::SigningKey, tokens};

/// What is said of a configuration, checked with all its files.
fn said(change: impl FnOnce(&mut Config)) -> Option<String> {
    let mut config = config();
    change(&mut config);
    let metrics = Arc::new(Metrics::new().expect("buckets are not empty"));
    let files = |()| Auth::new(&config.auth, metrics).map(drop);
    config.validate().and_then(files).err().map(|error| error.to_string())
}

fn of(issuer: &Issuer) -> Option<String> {
    said(|config| tokens::with_issuer(config, issuer.clone()))
}

#[test]
fn what_does_not_hold_is_named_with_its_remedy() {
    use Algorithm::{ES256, ES384, EdDSA, HS256, HS512, PS256, RS256};
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("room");
        path
    };
    let (ec, rsa) = (SigningKey::new(ES256, "k"), SigningKey::new(RS256, "r"));
    let public = |algorithms: &[Algorithm], name: &str, text: &str| Issuer {
        public_key_file: Some(file(name, text)),
        ..tokens::issuer(algorithms)
    };
    let secret = |algorithms: &[Algorithm], secret: &str| Issuer {
        secret: Some(secret.to_owned().into()),
        ..tokens::issuer(algorithms)
    };
    let url = |algorithms: &[Algorithm], url: &str| Issuer { jwks_url: Some(url.into()), ..tokens::issuer(algorithms) };
    let long = "x".repeat(64);
    let both = format!("{}{}", ec.public_pem(), SigningKey::new(ES256, "l").public_pem());
    let good = [
        secret(&[HS256, HS512], &long),
        public(&[ES256], "ec.pem", &ec.public_pem()),
        public(&[ES256, ES384], "both.pem", &both),
        public(&[RS256, PS256], "rsa.pem", &rsa.public_pem()),
        url(&[ES256, RS256, EdDSA], "https://login.example/keys"),
        url(&[ES256], "http://127.0.0.1:1/keys"),
        url(&[ES256], "http://[::1]:1/keys"),
        url(&[ES256], "http://localhost/keys"),
        Issuer { jwks_allow_http: true, ..url(&[ES256], "http://keycloak:8080/keys") },
    ];
    for issuer in &good {
        assert_eq!(of(issuer), None, "{issuer:?}");
    }
    let name = tokens::ISSUER;
    let rows = [
        (tokens::issuer(&[ES256]), vec!["jwks_url", "secret_file"]),
        (secret(&[], &long), vec!["algorithms", "is empty"]),
        (secret(&[HS256], "short"), vec!["secret", "5 bytes", "32"]),
        (secret(&[HS256, HS512], &"x".repeat(63)), vec!["secret", "64"]),
        (secret(&[HS256, ES256], &long), vec!["algorithms", "ES256", "secret"]),
        (public(&[HS256], "a", &ec.public_pem()), vec!["algorithms", "HS256", "public"]),
        (public(&[ES256, RS256], "b", &ec.public_pem()), vec!["algorithms", "no key works with both"]),
        (public(&[RS256], "c", &ec.public_pem()), vec!["public_key_file", "algorithms"]),
        (public(&[EdDSA], "d", &ec.public_pem()), vec!["public_key_file", "algorithms"]),
        (public(&[ES384], "e", &ec.public_pem()), vec!["public_key_file", "algorithms"]),
        (public(&[ES256], "f", "hello"), vec!["public_key_file", "holds no key"]),
        (
            public(&[ES256], "g", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
            vec!["PRIVATE KEY", "pubout"],
        ),
        (
            public(&[ES256], "h", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            vec!["CERTIFICATE", "x509"],
        ),
        (
            public(&[ES256], "i", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"),
            vec!["public_key_file"],
        ),
        (Issuer { public_key_file: Some("/nowhere".into()), ..tokens::issuer(&[ES256]) }, vec!["/nowhere"]),
        (
            Issuer { jwks_url: Some("https://a/".into()), ..secret(&[HS256], &long) },
            vec!["jwks_url and secret", "keep one"],
        ),
        (Issuer { jwks_allow_http: true, ..secret(&[HS256], &long) }, vec!["jwks_url", "not set"]),
        (url(&[HS256], "https://a/"), vec!["algorithms", "HS256"]),
        (url(&[ES256], "nowhere"), vec!["jwks_url", "no URL"]),
        (url(&[ES256], "ftp://a/"), vec!["jwks_url", "ftp"]),
        (url(&[ES256], "https://u:p@a/"), vec!["jwks_url", "password"]),
        (url(&[ES256], "http://127.0.0.1.evil.example/"), vec!["jwks_url", "jwks_allow_http"]),
        (url(&[ES256], "http://keycloak:8080/"), vec!["jwks_url", "jwks_allow_http"]),
        (
            Issuer { jwks_ca_file: Some("/nowhere.pem".into()), ..url(&[ES256], "https://a/") },
            vec!["jwks_ca_file", "/nowhere.pem"],
        ),
        (
            Issuer { jwks_ca_file: Some(file("j", "")), ..url(&[ES256], "https://a/") },
            vec!["jwks_ca_file", "no certificate"],
        ),
        (Issuer { audience: String::new(), ..secret(&[HS256], &long) }, vec!["audience", "aud"]),
        (Issuer { user_claim: String::new(), ..secret(&[HS256], &long) }, vec!["user_claim", "sub"]),
    ];
    for (issuer, parts) in &rows {
        let said = of(issuer).unwrap_or_else(|| panic!("{issuer:?} is taken"));
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
        assert!(said.contains(name) || said.contains("nowhere"), "{said}");
        assert!(!said.contains(&long), "{said}");
    }
    let twice = said(|config| {
        tokens::with_issuer(config, good[0].clone());
        tokens::with_issuer(config, good[1].clone());
    });
    assert!(twice.is_some_and(|said| said.contains("twice")));
    type Change = fn(&mut Config);
    let others: [(Change, &str); 9] = [
        (|config| config.server.path_prefix = "notifier/".into(), "server.path_prefix"),
        (|config| config.auth.query_parameter = Some("after".into()), "auth.query_parameter"),
        (|config| config.auth.issuers.clear(), "auth.issuers"),
        (|config| config.auth.leeway = std::time::Duration::from_secs(601).into(), "auth.leeway"),
        (|config| config.auth.token_bytes = 0.into(), "auth.token_bytes"),
        (|config| config.auth.jwks.cooldown = std::time::Duration::ZERO.into(), "auth.jwks.cooldown"),
        (|config| config.auth.query_parameter = Some("a&b".into()), "auth.query_parameter"),
        (|config| config.auth.mode = None, "auth.mode"),
        (|config| config.auth.issuers[0].issuer = "x".repeat(513), "auth.issuers.issuer"),
    ];
    for (change, key) in others {
        let said = said(|config| {
            tokens::with_secret(config);
            change(config);
        });
        assert!(said.as_ref().is_some_and(|said| said.starts_with(key)), "{said:?}");
    }
}

#[test]
fn tokens_are_made_with_what_is_at_hand_or_it_is_said_what_is_missing() {
    let folder = tempfile::tempdir().expect("a folder");
    let make = |arguments: &[&str]| {
        let command =
            Command::new(env!("CARGO_BIN_EXE_notifier")).arg("token").args(arguments).current_dir(&folder).output();
        let output = command.expect("the binary runs");
        let text = if output.status.success() { output.stdout } else { output.stderr };
        (output.status.success(), String::from_utf8(text).expect("text").trim().to_owned())
    };
    fs::write(folder.path().join("secret"), format!("{}\n", tokens::SECRET)).expect("room");
    let usual = ["--issuer", tokens::ISSUER, "--audience", tokens::AUDIENCE, "--sub", "u42"];
    let with = |more: &[&'static str]| [usual.to_vec(), more.to_vec()].concat();
    for (arguments, part) in [
        (with(&[]), "--secret-file"),
        (with(&["--secret-file", "nowhere"]), "nowhere"),
        (with(&["--private-key-file", "secret"]), "no private key"),
        (with(&["--secret-file", "secret", "--algorithm", "ES256"]), "ES256"),
        (with(&["--secret-file", "secret", "--algorithm", "none"]), "none"),
        (vec!["--sub", "u", "--secret-file", "secret", "--issuer", "i"], "--audience"),
        (vec!["--sub", "u", "--config", "nowhere.toml"], "nowhere.toml"),
    ] {
        let (made, said) = make(&arguments);
        assert!(!made && said.contains(part), "{arguments:?}: {said}");
    }
    let (made, token) =
        make(&with(&["--secret-file", "secret", "--role", "a", "--role", "b", "--claim", "n=5", "--claim", "t=x y"]));
    assert!(made, "{token}");
    let mut issuer = tokens::issuer(&[Algorithm::HS256]);
    issuer.secret = Some(tokens::SECRET.to_owned().into());
    let auth = notifier::config::Auth {
        mode: Some(notifier::config::AuthMode::Jwt),
        issuers: vec![issuer],
        ..notifier::config::Auth::default()
    };
    let (auth, _) = Auth::new(&auth, Arc::new(Metrics::new().expect("buckets"))).expect("it holds");
    let identity =
        futures_util::FutureExt::now_or_never(auth.identify(Some(&token))).expect("at once").expect("a good token");
    assert_eq!((identity.user.as_str(), identity.roles.len()), ("u42", 2));
    assert_eq!((&identity.claims["n"], &identity.claims["t"]), (&5.into(), &"x y".into()));
}
