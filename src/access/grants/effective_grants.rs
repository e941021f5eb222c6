//! The effective grants of one identity: the rules that concern it, filled with its
//! claims. Reserved subjects, which no client may use, are not known here.

use std::sync::Arc;

use crate::{
    access::{
        grants::{
            action::Action,
            cover::covers,
            rule_entry::{self, RuleEntry, RuleKind},
        },
        identity::Identity,
    },
    config::template::Unfilled,
    subject::{Pattern, Subject},
};

/// The rules that concern one identity, filled with its claims.
#[derive(Debug, Default)]
pub(crate) struct EffectiveGrants {
    entries: Arc<[RuleEntry]>,
    filled: Box<[FilledRule]>,
}

/// A rule that is filled with claims.
#[derive(Debug)]
pub(crate) struct FilledRule {
    /// Its place among all lines.
    entry: u16,
    pub(crate) pattern: Pattern,
}

/// The decision on a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// All of it is granted.
    Granted,
    /// All of it is denied.
    Denied,
    /// It would be granted if it had no wildcards.
    LiteralOnly,
    /// Some of it, or all, is not granted.
    NotGranted,
}

/// Reason for which an identity has no grants at all.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// The claim that a denial needs is missing: what it denies is unknown.
    Missing(String),
    /// The claim is not one clean token.
    Unclean(String),
}

impl EffectiveGrants {
    /// Fills the lines that concern somebody. A line whose claim is missing
    /// gives nothing.
    ///
    /// # Errors
    /// When a claim is there and of no use, or missing where it denies.
    pub(crate) fn of(entries: &Arc<[RuleEntry]>, identity: &Identity) -> Result<Self, Unusable> {
        let mut filled = Vec::new();
        for (place, entry) in (0..).zip(entries.iter()).filter(|(_, entry)| entry.concerns(identity)) {
            match entry.template.fill(|claim| rule_entry::claim(identity, claim)) {
                Ok(pattern) => filled.push(FilledRule { entry: place, pattern }),
                Err(Unfilled::Unclean(claim)) => return Err(Unusable::Unclean(claim)),
                Err(Unfilled::Missing(claim)) if entry.kind == RuleKind::Deny => return Err(Unusable::Missing(claim)),
                Err(Unfilled::Missing(_)) => {}
            }
        }
        Ok(Self { entries: entries.clone(), filled: filled.into() })
    }

    /// Decides on an action by the rules.
    pub(crate) fn decide(&self, verb: Action, asked: &Pattern) -> Decision {
        if covers(self.patterns(&[RuleKind::Deny]), asked) {
            return Decision::Denied;
        }
        let (lists, literal): (&[RuleKind], &[RuleKind]) = match verb {
            Action::Subscribe => (&[RuleKind::Subscribe], &[RuleKind::Subscribe, RuleKind::SubscribeLiteral]),
            Action::Publish => (&[RuleKind::Publish], &[]),
            Action::Request => (&[RuleKind::Request], &[]),
        };
        if covers(self.patterns(lists), asked) {
            return Decision::Granted;
        }
        match covers(self.patterns(literal), asked) {
            true if asked.literal().is_some() => Decision::Granted,
            true => Decision::LiteralOnly,
            false => Decision::NotGranted,
        }
    }

    /// Whether a denial takes something of a pattern.
    pub(crate) fn filters(&self, pattern: &Pattern) -> bool {
        self.patterns(&[RuleKind::Deny]).any(|denied| denied.overlaps(pattern))
    }

    /// Whether a subject is denied.
    pub(crate) fn denies(&self, subject: &Subject) -> bool {
        self.patterns(&[RuleKind::Deny]).any(|denied| denied.matches(subject))
    }

    /// Whether anything is denied at all.
    pub(crate) fn has_denials(&self) -> bool {
        self.patterns(&[RuleKind::Deny]).next().is_some()
    }

    /// Every line that concerns somebody, with the pattern that came of it.
    pub(crate) fn entries<'s>(
        &'s self,
        identity: &Identity,
    ) -> impl Iterator<Item = (&'s RuleEntry, Option<&'s Pattern>)> {
        let concerned = (0..).zip(self.entries.iter()).filter(|(_, entry)| entry.concerns(identity));
        concerned.map(|(place, entry)| {
            let filled = self.filled.iter().find(|filled| filled.entry == place);
            (entry, filled.map(|filled| &filled.pattern))
        })
    }

    fn patterns(&self, lists: &[RuleKind]) -> impl Iterator<Item = &Pattern> {
        let stands = |filled: &&FilledRule| lists.contains(&self.entries[usize::from(filled.entry)].kind);
        self.filled.iter().filter(stands).map(|filled| &filled.pattern)
    }
}
