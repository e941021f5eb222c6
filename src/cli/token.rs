//! `notifier token`: a token to try things out with, of an issuer whose key is
//! at hand.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    str::FromStr,
};

use clap::Args;
use serde::Deserialize as _;
use serde_json::{Map, Value};

use crate::{
    access::auth::{MintError, Signer},
    cli::exit::{failed, misconfigured, say},
    clock,
    config::{self, Algorithm, Config, ConfigError, Flags, Issuer, SettingsFile, Span},
};

/// Prints a signed token. With --config, what is left out is that of the
/// issuer there, its secret too.
#[derive(Args, Debug)]
pub(crate) struct TokenArgs {
    /// Configuration to take issuer, audience, algorithm and secret from.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// `iss`; needed with --config only where that names several.
    #[arg(long, value_name = "NAME")]
    issuer: Option<String>,
    /// `aud`.
    #[arg(long, value_name = "NAME")]
    audience: Option<String>,
    /// File with the shared secret.
    #[arg(long, value_name = "FILE", conflicts_with = "private_key_file")]
    secret_file: Option<PathBuf>,
    /// PEM file with the issuer's private key (PKCS#8).
    #[arg(long, value_name = "FILE")]
    private_key_file: Option<PathBuf>,
    /// How to sign, as ES256. Default: what suits the key.
    #[arg(long, value_name = "NAME")]
    algorithm: Option<AlgorithmArg>,
    /// `kid`: the name of the key.
    #[arg(long, value_name = "NAME")]
    key_id: Option<String>,
    /// The user.
    #[arg(long, value_name = "NAME")]
    sub: String,
    /// A role; repeat it for several.
    #[arg(long, value_name = "NAME")]
    role: Vec<String>,
    /// Another claim, KEY=VALUE: a value that is not JSON is text. Repeat it for several.
    #[arg(long = "claim", value_name = "KEY=VALUE")]
    claims: Vec<ClaimArg>,
    /// How long the token holds.
    #[arg(long, value_name = "TIME", default_value = "1h")]
    expires: Span,
}

#[derive(Clone, Copy, Debug)]
struct AlgorithmArg(Algorithm);

#[derive(Clone, Debug)]
pub(crate) struct ClaimArg(pub(crate) String, pub(crate) Value);

impl FromStr for AlgorithmArg {
    type Err = serde_json::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Algorithm::deserialize(Value::String(text.into())).map(Self)
    }
}

impl FromStr for ClaimArg {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (key, value) = text.split_once('=').ok_or("write it as KEY=VALUE")?;
        Ok(Self(key.into(), serde_json::from_str(value).unwrap_or_else(|_| value.into())))
    }
}

/// Why a token cannot be made.
#[derive(Debug, thiserror::Error)]
enum TokenCommandError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("{}: {problem}", path.display())]
    Key { path: PathBuf, problem: MintError },
    #[error(transparent)]
    Mint(#[from] MintError),
    #[error("{0}")]
    Usage(String),
}

pub(crate) fn token(args: &TokenArgs) -> ExitCode {
    match mint(args) {
        Ok(token) => {
            say(token);
            ExitCode::SUCCESS
        }
        Err(TokenCommandError::Config(problem)) => misconfigured(&problem),
        Err(problem) => failed(problem),
    }
}

fn mint(args: &TokenArgs) -> Result<String, TokenCommandError> {
    let issuer = match &args.config {
        Some(path) => Some(chosen(load(path)?, args.issuer.as_deref())?),
        None => None,
    };
    let signer = signer(args, issuer.as_ref())?.named(args.key_id.clone());
    let (user, roles) = issuer.as_ref().map_or(("sub", "roles"), |issuer| (&issuer.user_claim, &issuer.roles_claim));
    let name = args.issuer.clone().or_else(|| issuer.as_ref().map(|issuer| issuer.issuer.clone()));
    let audience = args.audience.clone().or_else(|| issuer.as_ref().map(|issuer| issuer.audience.clone()));
    let now = clock::unix_seconds();
    let mut claims = Map::new();
    claims.insert("iss".into(), name.ok_or_else(|| missing("--issuer"))?.into());
    claims.insert("aud".into(), audience.ok_or_else(|| missing("--audience"))?.into());
    claims.insert("iat".into(), now.into());
    claims.insert("exp".into(), now.saturating_add(args.expires.duration().as_secs()).into());
    claims.insert("jti".into(), format!("{:016x}", fastrand::u64(..)).into());
    claims.insert(user.into(), args.sub.clone().into());
    if !args.role.is_empty() {
        put(&mut claims, roles, args.role.clone().into());
    }
    for ClaimArg(key, value) in &args.claims {
        claims.insert(key.clone(), value.clone());
    }
    Ok(signer.mint(&claims)?)
}

fn load(path: &Path) -> Result<Config, ConfigError> {
    let source = SettingsFile::read(path)?;
    let config = config::load(Some(&source), std::iter::empty(), &Flags::default())?;
    config.validate()?;
    Ok(config)
}

/// The issuer that the token is of; of several the one that is named.
fn chosen(config: Config, name: Option<&str>) -> Result<Issuer, TokenCommandError> {
    let issuers = config.auth.issuers;
    let known: Vec<String> = issuers.iter().map(|issuer| issuer.issuer.clone()).collect();
    let mut fitting = issuers.into_iter().filter(|issuer| name.is_none_or(|name| issuer.issuer == name));
    match (fitting.next(), fitting.next()) {
        (Some(issuer), None) => Ok(issuer),
        (Some(_), Some(_)) => Err(TokenCommandError::Usage(format!("choose one with --issuer: {}", known.join(", ")))),
        (None, _) => {
            Err(TokenCommandError::Usage(format!("no such issuer is configured; there are: {}", known.join(", "))))
        }
    }
}

fn signer(args: &TokenArgs, issuer: Option<&Issuer>) -> Result<Signer, TokenCommandError> {
    let configured = issuer.and_then(|issuer| issuer.algorithms.first().copied());
    let algorithm = args.algorithm.map(|algorithm| algorithm.0).or(configured);
    let read =
        |path: &Path| std::fs::read(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source }.into());
    let with_secret = |secret: &[u8]| Signer::secret(secret, algorithm.unwrap_or(Algorithm::HS256));
    match (&args.secret_file, &args.private_key_file, issuer.and_then(|issuer| issuer.secret.as_ref())) {
        (Some(path), ..) => {
            let secret: Result<Vec<u8>, TokenCommandError> = read(path);
            Ok(with_secret(secret?.trim_ascii_end())?)
        }
        (None, Some(path), _) => {
            let pem: Result<Vec<u8>, TokenCommandError> = read(path);
            Signer::private(&pem?, algorithm).map_err(|problem| TokenCommandError::Key { path: path.clone(), problem })
        }
        (None, None, Some(secret)) => Ok(with_secret(secret.reveal().as_bytes())?),
        (None, None, None) => Err(missing("--secret-file or --private-key-file")),
    }
}

fn missing(flag: &str) -> TokenCommandError {
    TokenCommandError::Usage(format!("{flag} is missing; or name a --config that says it"))
}

/// Where the configuration looks for it: `realm_access.roles` is a claim
/// within a claim, `https://shop.example/roles` is one.
fn put(claims: &mut Map<String, Value>, name: &str, value: Value) {
    match name.split_once('.') {
        Some((outer, inner)) if !name.contains("://") => {
            let place = claims.entry(outer).or_insert_with(|| Value::Object(Map::new()));
            if let Some(place) = place.as_object_mut() {
                put(place, inner, value);
            }
        }
        _ => drop(claims.insert(name.into(), value)),
    }
}
