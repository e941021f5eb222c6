//! What came of the rules for one identity, and what it says of a subject. It
//! knows nothing of subjects that nobody may use.

use std::sync::Arc;

use crate::{
    access::{
        grants::{
            cover::covers,
            rule::{self, Line, List},
            verb::Verb,
        },
        identity::Identity,
    },
    config::template::Unfilled,
    subject::{Pattern, Subject},
};

/// The lines of the rules that concern somebody, filled with their claims.
#[derive(Debug, Default)]
pub(crate) struct Sheet {
    lines: Arc<[Line]>,
    filled: Box<[Filled]>,
}

/// A line that gives or takes something.
#[derive(Debug)]
pub(crate) struct Filled {
    /// Its place among all lines.
    line: u16,
    pub(crate) pattern: Pattern,
}

/// What the rules say to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All of it is granted.
    Granted,
    /// All of it is denied.
    Denied,
    /// It would be granted if it had no wildcards.
    LiteralOnly,
    /// Some of it, or all, is not granted.
    NotGranted,
}

/// Why somebody gets nothing at all.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// The claim that a denial needs is missing: what it denies is unknown.
    Missing(String),
    /// The claim is not one clean token.
    Unclean(String),
}

impl Sheet {
    /// Fills the lines that concern somebody. A line whose claim is missing
    /// gives nothing.
    ///
    /// # Errors
    /// When a claim is there and of no use, or missing where it denies.
    pub(crate) fn of(lines: &Arc<[Line]>, identity: &Identity) -> Result<Self, Unusable> {
        let mut filled = Vec::new();
        for (place, line) in (0..).zip(lines.iter()).filter(|(_, line)| line.concerns(identity)) {
            match line.template.fill(|claim| rule::claim(identity, claim)) {
                Ok(pattern) => filled.push(Filled { line: place, pattern }),
                Err(Unfilled::Unclean(claim)) => return Err(Unusable::Unclean(claim)),
                Err(Unfilled::Missing(claim)) if line.list == List::Deny => return Err(Unusable::Missing(claim)),
                Err(Unfilled::Missing(_)) => {}
            }
        }
        Ok(Self { lines: lines.clone(), filled: filled.into() })
    }

    /// What the rules say to a request.
    pub(crate) fn decide(&self, verb: Verb, asked: &Pattern) -> Verdict {
        if covers(self.patterns(&[List::Deny]), asked) {
            return Verdict::Denied;
        }
        let (lists, literal): (&[List], &[List]) = match verb {
            Verb::Subscribe => (&[List::Subscribe], &[List::Subscribe, List::SubscribeLiteral]),
            Verb::Publish => (&[List::Publish], &[]),
            Verb::Request => (&[List::Request], &[]),
        };
        if covers(self.patterns(lists), asked) {
            return Verdict::Granted;
        }
        match covers(self.patterns(literal), asked) {
            true if asked.literal().is_some() => Verdict::Granted,
            true => Verdict::LiteralOnly,
            false => Verdict::NotGranted,
        }
    }

    /// Whether a denial takes something of a pattern.
    pub(crate) fn filters(&self, pattern: &Pattern) -> bool {
        self.patterns(&[List::Deny]).any(|denied| denied.overlaps(pattern))
    }

    /// Whether a subject is denied.
    pub(crate) fn denies(&self, subject: &Subject) -> bool {
        self.patterns(&[List::Deny]).any(|denied| denied.matches(subject))
    }

    /// Whether anything is denied at all.
    pub(crate) fn has_denials(&self) -> bool {
        self.patterns(&[List::Deny]).next().is_some()
    }

    /// Every line that concerns somebody, with the pattern that came of it.
    pub(crate) fn lines<'s>(&'s self, identity: &Identity) -> impl Iterator<Item = (&'s Line, Option<&'s Pattern>)> {
        let concerned = (0..).zip(self.lines.iter()).filter(|(_, line)| line.concerns(identity));
        concerned.map(|(place, line)| {
            let filled = self.filled.iter().find(|filled| filled.line == place);
            (line, filled.map(|filled| &filled.pattern))
        })
    }

    fn patterns(&self, lists: &[List]) -> impl Iterator<Item = &Pattern> {
        let stands = |filled: &&Filled| lists.contains(&self.lines[usize::from(filled.line)].list);
        self.filled.iter().filter(stands).map(|filled| &filled.pattern)
    }
}
