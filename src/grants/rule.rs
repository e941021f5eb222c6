//! The configured grants, line by line, ready to be filled with claims.

use serde_json::Value;

use crate::{
    config::Grant,
    identity::Identity,
    template::{BadTemplate, Template},
};

/// Which list of a grant a line stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum List {
    Subscribe,
    SubscribeLiteral,
    Publish,
    Request,
    Deny,
}

impl List {
    /// In the order of [`Grant::lists`].
    const ALL: [Self; 5] = [Self::Subscribe, Self::SubscribeLiteral, Self::Publish, Self::Request, Self::Deny];
}

/// One pattern of a grant.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) role: String,
    pub(crate) list: List,
    /// The list's name in the configuration.
    pub(crate) key: &'static str,
    pub(crate) template: Template,
}

/// Every line of some grants.
///
/// # Errors
/// When one is no template, which validation has ruled out.
pub(crate) fn lines(grants: &[Grant]) -> Result<Vec<Line>, BadTemplate> {
    let mut lines = Vec::new();
    for grant in grants {
        for ((key, texts), list) in grant.lists().into_iter().zip(List::ALL) {
            for text in texts {
                lines.push(Line { role: grant.role.clone(), list, key, template: Template::parse(text)? });
            }
        }
    }
    Ok(lines)
}

/// Everything, to everybody: where nothing is configured.
pub(crate) fn everything() -> Grant {
    let all = || vec![">".to_owned()];
    Grant { role: "*".into(), subscribe: all(), publish: all(), request: all(), ..Grant::default() }
}

impl Line {
    /// Whether somebody has its role.
    pub(crate) fn concerns(&self, identity: &Identity) -> bool {
        match self.role.as_str() {
            "*" => true,
            role => identity.roles.iter().any(|held| held == role),
        }
    }
}

/// What an identity says of a claim, as text: numbers are written out, anything
/// else is no token.
pub(crate) fn claim(identity: &Identity, name: &str) -> Option<String> {
    match identity.claims.get(name) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) if number.is_u64() => Some(number.to_string()),
        Some(Value::Null) | None if name == "sub" && !identity.user.is_empty() => Some(identity.user.clone()),
        Some(Value::Null) | None => None,
        // There, but no text: as good as unclean.
        Some(_) => Some(String::new()),
    }
}
