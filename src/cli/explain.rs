//! `notifier explain`: may somebody do something, and by which grant?

use std::{error::Error, process::ExitCode, sync::Arc, time::Duration};

use clap::Args;
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep};

use crate::{
    access::{
        auth::Auth,
        grants::{Action, BadAction, Grants, Rules},
        identity::Identity,
    },
    classes::Classes,
    cli::{
        exit::{failed, misconfigured, say},
        settings::SettingsArgs,
        token::ClaimArg,
    },
    config::Config,
    metrics::Metrics,
    tasks::Tasks,
};

/// How long the keys of issuers may take to come, and how often to look.
const KEYS: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);

#[derive(Args, Debug)]
pub(crate) struct ExplainArgs {
    #[command(flatten)]
    settings: SettingsArgs,
    /// Their token. Without it, roles and claims, somebody without a token.
    #[arg(long, value_name = "TOKEN", conflicts_with_all = ["role", "claim", "issuer"])]
    token: Option<String>,
    /// Issuer of the token of somebody whose token is not at hand; needed where
    /// several issuers are configured.
    #[arg(long, value_name = "NAME")]
    issuer: Option<String>,
    /// A role of somebody whose token is not at hand; repeat it for several.
    #[arg(long, value_name = "ROLE")]
    role: Vec<String>,
    /// A claim of theirs, as `sub=u42`; repeat it for several.
    #[arg(long, value_name = "KEY=VALUE")]
    claim: Vec<ClaimArg>,
    /// Print JSON, as the node's own answer to operators.
    #[arg(long)]
    json: bool,
    /// Action: `subscribe`, `publish` or `request`.
    #[arg(value_parser = verb)]
    verb: Action,
    /// Subject or pattern of the action.
    subject: String,
}

/// Exit code 0 where it is allowed, 1 where it is not.
pub(crate) async fn explain(args: &ExplainArgs) -> ExitCode {
    let config = match args.settings.load() {
        Ok(config) => config,
        Err(problem) => return misconfigured(&problem),
    };
    let classes = match Classes::of(&config) {
        Ok(classes) => Arc::new(classes),
        Err(problem) => return failed(problem),
    };
    let explanation = match args.grants(&config, classes).await {
        Ok(grants) => grants.explain(args.verb, &args.subject),
        Err(problem) => return failed(format!("not let in: {problem}")),
    };
    match serde_json::to_string_pretty(&explanation) {
        Ok(text) if args.json => say(text),
        _ => say(&explanation),
    }
    if explanation.allowed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl ExplainArgs {
    /// The grants of the identity that the flags describe; without flags, of a client without a
    /// token.
    async fn grants(&self, config: &Config, classes: Arc<Classes>) -> Result<Grants, Box<dyn Error>> {
        if self.token.is_some() {
            // Only nodes know the revocations.
            let metrics = Arc::new(Metrics::new()?);
            let (auth, keepers) = Auth::new(&config.auth, metrics.clone())?;
            let tasks = Tasks::new(metrics);
            keepers.into_iter().for_each(|keeper| tasks.spawn(keeper.keep()));
            let begun = Instant::now();
            while !auth.has_begun() && begun.elapsed() < KEYS {
                sleep(LOOK).await;
            }
            return Ok(Rules::new(config, classes).grant(auth.identify(self.token.as_deref()).await?)?);
        }
        let rules = Rules::new(config, classes);
        if self.role.is_empty() && self.claim.is_empty() && self.issuer.is_none() {
            return Ok(rules.grant(Identity::anonymous())?);
        }
        let claims: Map<String, Value> =
            self.claim.iter().map(|ClaimArg(key, value)| (key.clone(), value.clone())).collect();
        let user = claims.get("sub").and_then(Value::as_str).unwrap_or_default().to_owned();
        // A client with a token has one that ends.
        let expires_at = Some(u64::MAX);
        let issuer = self.issuer(config)?;
        Ok(rules.grant(Identity {
            user,
            roles: self.role.clone(),
            issuer,
            expires_at,
            claims,
            ..Identity::default()
        })?)
    }

    /// The issuer of the token: of several the one that is named.
    fn issuer(&self, config: &Config) -> Result<Option<String>, String> {
        let known = || config.auth.issuers.iter().map(|issuer| &issuer.issuer);
        match &self.issuer {
            Some(named) if known().any(|name| name == named) => Ok(Some(named.clone())),
            Some(_) => Err(format!("no such issuer is configured; there are: {}", config.auth.issuer_names())),
            None if config.auth.has_several_issuers() => {
                Err(format!("choose an issuer with --issuer: {}", config.auth.issuer_names()))
            }
            None => Ok(known().next().cloned()),
        }
    }
}

fn verb(text: &str) -> Result<Action, BadAction> {
    text.parse()
}
