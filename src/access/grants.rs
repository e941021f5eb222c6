//! Grants: the rules of an identity. The configured grants of its roles, filled
//! with its claims, say which subjects it may subscribe to, publish to and
//! request; subjects of the messaging system, and those that streams republish
//! on, are out of reach whatever is granted. Free of I/O.

mod cover;
mod explanation;
mod rule_entry;
mod effective_grants;
#[cfg(test)]
mod tests;
mod action;

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use serde_json::Map;

pub use action::{Action, BadAction};
pub use explanation::{Effect, Explanation, Said};

use crate::{
    access::identity::Identity,
    classes::Classes,
    config::{AuthMode, Config, template::VALUE_LENGTH},
    error::{Code, Refusal},
    subject::{Pattern, Subject},
};
use effective_grants::{Decision, EffectiveGrants, Unusable};
use rule_entry::RuleEntry;

/// Roles named in a message; a token may have many.
const NAMED: usize = 8;

/// The rules of the configuration.
#[derive(Debug)]
pub struct Rules {
    classes: Arc<Classes>,
    entries: Arc<[RuleEntry]>,
    /// Once for all who have no token: they may be many, and they are alike.
    anonymous: OnceLock<Grants>,
}

/// The grants of one client. One pointer: there is one per connection.
#[derive(Clone, Debug)]
pub struct Grants(Arc<Granted>);

#[derive(Debug)]
struct Granted {
    classes: Arc<Classes>,
    identity: Identity,
    effective_grants: EffectiveGrants,
}

impl Rules {
    /// The rules of a configuration that [`Config::validate`] has found to hold.
    /// Without grants, anonymous mode lets everybody use every subject.
    pub fn new(config: &Config, classes: Arc<Classes>) -> Self {
        let open = config.grants.is_empty() && config.auth.mode == Some(AuthMode::Anonymous);
        let grants = if open { vec![rule_entry::everything()] } else { config.grants.clone() };
        // Of rules that do not hold nothing is granted.
        let entries = rule_entry::entries(&grants, config.auth.has_several_issuers()).unwrap_or_default().into();
        Self { classes, entries, anonymous: OnceLock::new() }
    }

    /// The grants of an identity. Claims are needed for that only, and are not kept.
    ///
    /// # Errors
    /// `unauthorized`, when a claim that a rule wants is there and not one clean
    /// token, or is missing where it says what is denied.
    pub fn grant(&self, identity: Identity) -> Result<Grants, Refusal> {
        if identity != Identity::anonymous() {
            return self.fill(identity);
        }
        match self.anonymous.get() {
            Some(grants) => Ok(grants.clone()),
            None => self.fill(identity).map(|grants| self.anonymous.get_or_init(|| grants).clone()),
        }
    }

    fn fill(&self, mut identity: Identity) -> Result<Grants, Refusal> {
        let effective_grants = EffectiveGrants::of(&self.entries, &identity).map_err(|why| unusable(&why))?;
        identity.claims = Map::new();
        let grants = Grants(Arc::new(Granted { classes: self.classes.clone(), identity, effective_grants }));
        let Identity { user, issuer, roles, .. } = &grants.0.identity;
        tracing::debug!(user, issuer, ?roles, "granted");
        Ok(grants)
    }
}

impl Grants {
    /// Everything but the system's own subjects.
    pub fn anonymous(classes: Arc<Classes>) -> Self {
        let entries: Arc<[RuleEntry]> =
            rule_entry::entries(&[rule_entry::everything()], false).unwrap_or_default().into();
        let identity = Identity::anonymous();
        let effective_grants = EffectiveGrants::of(&entries, &identity).unwrap_or_default();
        Self(Arc::new(Granted { classes, identity, effective_grants }))
    }

    /// The identity that has the grants. Claims were needed to grant, and are
    /// gone.
    pub fn identity(&self) -> &Identity {
        &self.0.identity
    }

    /// Parses what a client asks to receive or to read, and checks that it may:
    /// that all of its subjects are granted, and not all of them denied.
    ///
    /// # Errors
    /// `bad_subject` or `forbidden`.
    pub fn subscribe(&self, subject: &str) -> Result<Pattern, Refusal> {
        let pattern = self.0.classes.pattern(subject).map_err(|why| Refusal::bad_subject(subject, why))?;
        if pattern.is_reserved() {
            return Err(reserved(subject));
        }
        if self.0.classes.is_republished(&pattern) {
            return Err(republished(subject));
        }
        self.decide(Action::Subscribe, &pattern)?;
        Ok(pattern)
    }

    /// Parses where a client asks to publish, and checks that it may.
    ///
    /// # Errors
    /// `bad_subject` or `forbidden`.
    pub fn publish(&self, subject: &str) -> Result<Subject, Refusal> {
        self.concrete(Action::Publish, subject)
    }

    /// Parses where a client sends a request, and checks that it may.
    ///
    /// # Errors
    /// `bad_subject` or `forbidden`.
    pub fn request(&self, subject: &str) -> Result<Subject, Refusal> {
        self.concrete(Action::Request, subject)
    }

    /// Whether events that a granted pattern brings have to be asked for one by
    /// one, because some are [denied](Self::denies).
    pub fn filters(&self, pattern: &Pattern) -> bool {
        self.0.effective_grants.filters(pattern)
    }

    /// Whether events of a subject are kept from this client, although a
    /// pattern that it may subscribe to matches them.
    pub fn denies(&self, subject: &Subject) -> bool {
        self.0.effective_grants.denies(subject)
    }

    /// Whether anything is denied at all.
    pub fn has_denials(&self) -> bool {
        self.0.effective_grants.has_denials()
    }

    /// Whether these are the very same, and not only alike.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Why somebody may or may not do something. It names rules: for operators,
    /// never for clients.
    pub fn explain(&self, verb: Action, subject: &str) -> Explanation {
        let Granted { identity, effective_grants, .. } = &*self.0;
        let asked = Pattern::parse(subject).ok();
        let refusal = match verb {
            Action::Subscribe => self.subscribe(subject).err(),
            Action::Publish => self.publish(subject).err(),
            Action::Request => self.request(subject).err(),
        };
        Explanation {
            user: identity.user.clone(),
            issuer: identity.issuer.clone(),
            roles: identity.roles.clone(),
            verb,
            subject: subject.to_owned(),
            allowed: refusal.is_none(),
            filtered: refusal.is_none() && asked.as_ref().is_some_and(|asked| effective_grants.filters(asked)),
            code: refusal.as_ref().map(|refusal| refusal.code.label()),
            message: refusal.map(|refusal| refusal.message),
            rules: asked.map(|asked| explanation::said(effective_grants, identity, verb, &asked)).unwrap_or_default(),
        }
    }

    fn concrete(&self, verb: Action, subject: &str) -> Result<Subject, Refusal> {
        let parsed = self.0.classes.subject(subject).map_err(|why| Refusal::bad_subject(subject, why))?;
        if parsed.is_reserved() {
            return Err(reserved(subject));
        }
        if self.0.classes.republishes(&parsed) {
            return Err(republished(subject));
        }
        self.decide(verb, &parsed.clone().into())?;
        Ok(parsed)
    }

    fn decide(&self, verb: Action, asked: &Pattern) -> Result<(), Refusal> {
        let message = match self.0.effective_grants.decide(verb, asked) {
            Decision::Granted => return Ok(()),
            Decision::Denied => format!("`{asked}` is denied, whatever is granted; use other subjects"),
            Decision::LiteralOnly => {
                format!("`{asked}` has wildcards, and only concrete subjects are granted there; name them one by one")
            }
            Decision::NotGranted => {
                let whose = Whose(&self.0.identity);
                let kind = verb.label();
                format!(
                    "no grant {whose} covers `{asked}`; ask for less, or have a [[grants]] entry with {kind} = \
                     [\"{asked}\"]"
                )
            }
        };
        tracing::debug!(why = %self.explained(verb, asked), "forbidden");
        Err(Refusal::of(Code::Forbidden, asked.as_str(), message))
    }

    /// The decision of the rules, for the log.
    fn explained(&self, verb: Action, asked: &Pattern) -> impl fmt::Display {
        let Granted { identity, effective_grants, .. } = &*self.0;
        fmt::from_fn(move |f| {
            write!(f, "{} {asked} by {:?}", verb.label(), identity.user)?;
            identity.issuer.iter().try_for_each(|issuer| write!(f, " of {issuer}"))?;
            explanation::said(effective_grants, identity, verb, asked).iter().try_for_each(|said| write!(f, "; {said}"))
        })
    }
}

/// The identity whose grants a message is about.
struct Whose<'i>(&'i Identity);

impl fmt::Display for Whose<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.roles.as_slice() {
            _ if self.0.is_anonymous() => f.write_str("for clients without a token"),
            [] => f.write_str("for everybody (the token has no roles)"),
            [role] => write!(f, "of the role {role}"),
            roles => {
                write!(f, "of the roles {}", roles[..roles.len().min(NAMED)].join(", "))?;
                if roles.len() > NAMED { write!(f, " and {} more", roles.len() - NAMED) } else { Ok(()) }
            }
        }
    }
}

fn republished(subject: &str) -> Refusal {
    Refusal::of(Code::Forbidden, subject, "a stream repeats its events there for nodes; use the subjects it stores")
}

fn reserved(subject: &str) -> Refusal {
    Refusal::of(
        Code::Forbidden,
        subject,
        "subjects whose first token begins with `$` or `_` belong to the messaging system; choose another one",
    )
}

/// Names the claim, never its value.
fn unusable(why: &Unusable) -> Refusal {
    let message = match why {
        Unusable::Unclean(claim) => format!(
            "the token's claim `{claim}` cannot stand in a subject; a grant needs it to be one token of 1 to \
             {VALUE_LENGTH} letters, digits or `-_|:@+=`"
        ),
        Unusable::Missing(claim) => {
            format!("the token has no claim `{claim}`, by which the grants say what is denied; have it issued with one")
        }
    };
    Refusal::new(Code::Unauthorized, message)
}
