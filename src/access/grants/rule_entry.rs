//! Rule entries are the configured grants, one pattern each, ready to be filled with
//! claims.

use std::sync::Arc;

use serde_json::Value;

use crate::{
    access::identity::Identity,
    config::{
        ANONYMOUS, EVERYBODY, Grant,
        template::{BadTemplate, Template},
    },
};

/// The list of a grant that an entry stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RuleKind {
    Subscribe,
    SubscribeLiteral,
    Publish,
    Request,
    Deny,
}

impl RuleKind {
    /// In the order of [`Grant::lists`].
    const ALL: [Self; 5] = [Self::Subscribe, Self::SubscribeLiteral, Self::Publish, Self::Request, Self::Deny];
}

/// The issuers whose tokens an entry is for.
#[derive(Clone, Debug)]
pub(crate) enum IssuerScope {
    /// Everybody, with a token or without.
    Everybody,
    /// Nobody who has a token.
    NoToken,
    /// Those of these issuers.
    Of(Arc<[String]>),
}

/// One pattern of a grant.
#[derive(Debug)]
pub(crate) struct RuleEntry {
    pub(crate) role: String,
    pub(crate) scope: IssuerScope,
    pub(crate) kind: RuleKind,
    /// The list's name in the configuration.
    pub(crate) key: &'static str,
    pub(crate) template: Template,
}

/// Every entry of some grants. Where there are several issuers, an entry
/// without an issuer belongs to none of them.
///
/// # Errors
/// When an entry is not a template, which validation has ruled out.
pub(crate) fn entries(grants: &[Grant], several: bool) -> Result<Vec<RuleEntry>, BadTemplate> {
    let mut entries = Vec::new();
    for grant in grants {
        let scope = IssuerScope::of(grant, several);
        for ((key, texts), kind) in grant.lists().into_iter().zip(RuleKind::ALL) {
            for text in texts {
                let template = Template::parse(text)?;
                entries.push(RuleEntry { role: grant.role.clone(), scope: scope.clone(), kind, key, template });
            }
        }
    }
    Ok(entries)
}

/// Everything, to everybody: where nothing is configured.
pub(crate) fn everything() -> Grant {
    let all = || vec![">".to_owned()];
    Grant { role: "*".into(), subscribe: all(), publish: all(), request: all(), ..Grant::default() }
}

impl IssuerScope {
    fn of(grant: &Grant, several: bool) -> Self {
        match grant.issuers.as_slice() {
            [] if !several => Self::Everybody,
            [] if grant.role == ANONYMOUS => Self::NoToken,
            names if names.iter().any(|name| name == EVERYBODY) => Self::Everybody,
            names => Self::Of(names.into()),
        }
    }

    /// The issuers, where only some are meant.
    pub(crate) fn issuers(&self) -> &[String] {
        match self {
            Self::Of(issuers) => issuers,
            Self::Everybody | Self::NoToken => &[],
        }
    }

    fn includes(&self, identity: &Identity) -> bool {
        match self {
            Self::Everybody => true,
            Self::NoToken => identity.is_anonymous(),
            Self::Of(issuers) => identity.issuer.as_ref().is_some_and(|issuer| issuers.contains(issuer)),
        }
    }
}

impl RuleEntry {
    /// Whether somebody has its role, from an issuer that it is for.
    pub(crate) fn concerns(&self, identity: &Identity) -> bool {
        let has_role = match self.role.as_str() {
            "*" => true,
            role => identity.roles.iter().any(|held| held == role),
        };
        has_role && self.scope.includes(identity)
    }
}

/// The value of a claim of an identity, as text: numbers are written out, any
/// other value makes no token.
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
