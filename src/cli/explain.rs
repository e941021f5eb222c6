//! `notifier explain`: may somebody do something, and by which grant?

use std::{process::ExitCode, sync::Arc};

use clap::Args;
use serde_json::{Map, Value};

use crate::{
    classes::Classes,
    cli::{
        exit::{failed, misconfigured, say},
        settings::Settings,
    },
    config::Config,
    error::Refusal,
    grants::{BadVerb, Grants, Rules, Verb},
    identity::Identity,
};

#[derive(Args, Debug)]
pub(crate) struct ExplainArgs {
    #[command(flatten)]
    settings: Settings,
    /// A role of somebody who has no token yet; repeat it for several.
    #[arg(long, value_name = "ROLE")]
    role: Vec<String>,
    /// A claim of theirs, as `sub=u42`; repeat it for several.
    #[arg(long, value_name = "NAME=VALUE", value_parser = claim)]
    claim: Vec<(String, String)>,
    /// Print JSON, as the node's own answer to operators.
    #[arg(long)]
    json: bool,
    /// What they want to do: `subscribe`, `publish` or `request`.
    #[arg(value_parser = verb)]
    verb: Verb,
    /// With which subject or pattern.
    subject: String,
}

/// Exit code 0 where it is allowed, 1 where it is not.
pub(crate) fn explain(args: &ExplainArgs) -> ExitCode {
    let config = match args.settings.load() {
        Ok(config) => config,
        Err(problem) => return misconfigured(&problem),
    };
    let classes = match Classes::of(&config) {
        Ok(classes) => Arc::new(classes),
        Err(problem) => return failed(problem),
    };
    let explanation = match args.grants(&config, classes) {
        Ok(grants) => grants.explain(args.verb, &args.subject),
        Err(refused) => return failed(format!("not let in: {refused}")),
    };
    match serde_json::to_string_pretty(&explanation) {
        Ok(text) if args.json => say(text),
        _ => say(&explanation),
    }
    if explanation.allowed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl ExplainArgs {
    /// What they may do of whom the flags tell; without any, somebody without a token.
    fn grants(&self, config: &Config, classes: Arc<Classes>) -> Result<Grants, Refusal> {
        let rules = Rules::new(config, classes);
        if self.role.is_empty() && self.claim.is_empty() {
            return rules.grant(Identity::anonymous());
        }
        let claims: Map<String, Value> =
            self.claim.iter().map(|(name, value)| (name.clone(), Value::String(value.clone()))).collect();
        let user = claims.get("sub").and_then(Value::as_str).unwrap_or_default().to_owned();
        // Whoever has a token has one that ends.
        rules.grant(Identity { user, roles: self.role.clone(), token_id: None, expires_at: Some(u64::MAX), claims })
    }
}

fn verb(text: &str) -> Result<Verb, BadVerb> {
    text.parse()
}

fn claim(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("is no claim; write it as sub=u42")?;
    Ok((name.to_owned(), value.to_owned()))
}
