//! Why somebody may or may not do something: for operators. It names rules and
//! patterns, so it is never told to clients.

use std::fmt;

use serde::Serialize;

use crate::{
    access::{
        grants::{action::Action, effective_grants::EffectiveGrants, rule_entry::RuleKind},
        identity::Identity,
    },
    subject::Pattern,
};

/// Why somebody may or may not do something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The user; empty when anonymous.
    pub user: String,
    /// The issuer of the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Their roles.
    pub roles: Vec<String>,
    /// The action that is explained.
    pub verb: Action,
    /// With which subject.
    pub subject: String,
    /// Whether they may.
    pub allowed: bool,
    /// Whether events of some subjects in it are left out, because they are denied.
    pub filtered: bool,
    /// Code of the error that a client gets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// Its message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The rules that had a say, and those that could have had one.
    pub rules: Vec<Said>,
}

/// One rule of the grants, and its effect on the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Said {
    /// Role of the grant.
    pub role: String,
    /// The issuers whose tokens the grant is for, where the grant names any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub issuers: Vec<String>,
    /// The list in it.
    pub list: &'static str,
    /// The line as it is written.
    pub template: String,
    /// The template filled with the claims, unless a claim is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Its effect on the request.
    pub effect: Effect,
}

/// The effect of one rule on a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It covers all that was asked for.
    Grants,
    /// It covers a part.
    GrantsPart,
    /// It would cover it if it had no wildcards.
    LiteralOnly,
    /// It denies all of it.
    Denies,
    /// It denies a part, which is left out.
    DeniesPart,
    /// It says nothing, because the token lacks a claim.
    ClaimMissing,
}

/// The effects of all rules that concern an identity on a request.
pub(crate) fn said(
    effective_grants: &EffectiveGrants,
    identity: &Identity,
    verb: Action,
    asked: &Pattern,
) -> Vec<Said> {
    let mut said = Vec::new();
    for (line, pattern) in effective_grants.entries(identity) {
        let speaks = match line.kind {
            RuleKind::Subscribe | RuleKind::SubscribeLiteral => verb == Action::Subscribe,
            RuleKind::Publish => verb == Action::Publish,
            RuleKind::Request => verb == Action::Request,
            RuleKind::Deny => true,
        };
        let Some(effect) = speaks.then(|| effect(line.kind, pattern, asked)).flatten() else { continue };
        said.push(Said {
            role: line.role.clone(),
            issuers: line.scope.issuers().to_vec(),
            list: line.key,
            template: line.template.as_str().to_owned(),
            pattern: pattern.map(ToString::to_string),
            effect,
        });
    }
    said
}

fn effect(list: RuleKind, pattern: Option<&Pattern>, asked: &Pattern) -> Option<Effect> {
    let Some(pattern) = pattern else { return Some(Effect::ClaimMissing) };
    match (list, pattern.covers(asked)) {
        (RuleKind::Deny, true) => Some(Effect::Denies),
        (RuleKind::SubscribeLiteral, true) if asked.literal().is_none() => Some(Effect::LiteralOnly),
        (RuleKind::SubscribeLiteral, false) => None,
        (_, true) => Some(Effect::Grants),
        (RuleKind::Deny, false) => pattern.overlaps(asked).then_some(Effect::DeniesPart),
        (_, false) => pattern.overlaps(asked).then_some(Effect::GrantsPart),
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.allowed { "allowed" } else { "denied" };
        write!(f, "{word}: {} {}", self.verb.label(), self.subject)?;
        match (&self.message, self.filtered) {
            (Some(message), _) => write!(f, "\n  {}: {message}", self.code.unwrap_or_default())?,
            (None, true) => f.write_str("\n  without the events of denied subjects")?,
            (None, false) => {}
        }
        for said in &self.rules {
            write!(f, "\n  {said}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "role {}", self.role)?;
        if !self.issuers.is_empty() {
            write!(f, " of {}", self.issuers.join(", "))?;
        }
        write!(f, ", {} `{}`", self.list, self.template)?;
        match &self.pattern {
            Some(pattern) if *pattern != self.template => write!(f, " = `{pattern}`")?,
            _ => {}
        }
        f.write_str(match self.effect {
            Effect::Grants => ": grants it",
            Effect::GrantsPart => ": grants a part of it",
            Effect::LiteralOnly => ": grants its subjects one by one, without wildcards",
            Effect::Denies => ": denies it",
            Effect::DeniesPart => ": denies a part of it",
            Effect::ClaimMissing => ": gives nothing, because the claim is missing",
        })
    }
}
