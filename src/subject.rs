//! Subjects and patterns: what may be written on the wire, and what matches what.
//!
//! The grammar is that of NATS (tokens joined by dots, `*` for one token, a
//! final `>` for one or more), made strict: NATS lets control characters,
//! `foo*` and `a.>.b` pass as literal tokens, which nobody means. Free of I/O.

mod script;
mod shape;

use std::{borrow::Borrow, fmt, sync::Arc};

pub use shape::Shape;

use script::{is_hidden, is_mark};

/// Longest subject or pattern, bytes. NATS keeps subjects in memory per
/// interest; its own guidance is to stay below 256.
pub const SUBJECT_BYTES: usize = 256;

/// Most tokens that a subject or pattern can have, whatever
/// `limits.subject_tokens` says: twice what NATS advises bounds the work of a
/// match.
pub const SUBJECT_TOKENS: usize = 32;

// A shape has a bit for each.
const _: () = assert!(SUBJECT_TOKENS <= u32::BITS as usize);

/// Why a text is not a subject or pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSubject {
    /// Nothing there.
    #[error("is empty")]
    Empty,
    /// Above [`SUBJECT_BYTES`].
    #[error("is longer than {SUBJECT_BYTES} bytes")]
    TooLong,
    /// Above `limits.subject_tokens`, or [`SUBJECT_TOKENS`].
    #[error("has more than {0} tokens (limits.subject_tokens)")]
    TooManyTokens(usize),
    /// Two dots in a row, or one at either end.
    #[error("has an empty token (two dots in a row, or a dot at an end)")]
    EmptyToken,
    /// White space, control, bidirectional or other unprintable characters.
    #[error("has the character {0:?}; letters, digits and printable ASCII are allowed")]
    BadCharacter(char),
    /// A mark at the start of a token, or behind a character that is not a
    /// letter.
    #[error("has the mark {0:?} without a letter in front of it")]
    StrayMark(char),
    /// `*` or `>` inside a longer token.
    #[error("has a wildcard inside a token; `*` and `>` must stand alone")]
    WildcardInToken,
    /// `>` before the end.
    #[error("has `>` before the end; it stands for all remaining tokens and must be last")]
    TailNotLast,
    /// A wildcard where one concrete subject is needed.
    #[error("has a wildcard; a concrete subject is needed here")]
    Wildcard,
}

/// A concrete subject: no wildcards.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subject(Arc<str>);

impl Subject {
    /// Parses a concrete subject.
    pub fn parse(text: &str) -> Result<Self, BadSubject> {
        Self::parse_within(text, SUBJECT_TOKENS)
    }

    /// Parses a concrete subject of at most `tokens` tokens.
    pub fn parse_within(text: &str, tokens: usize) -> Result<Self, BadSubject> {
        if check(text, tokens)? {
            return Err(BadSubject::Wildcard);
        }
        Ok(Self(text.into()))
    }

    /// The subject as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it belongs to the messaging system and not to any application:
    /// first token `$..` (`$JS`, `$SYS`, `$KV`) or `_..` (`_INBOX`).
    pub fn is_reserved(&self) -> bool {
        reserved(&self.0)
    }
}

/// A subject that may hold wildcards: what a subscription asks for.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pattern(Arc<str>);

impl Pattern {
    /// Parses a subject or pattern.
    pub fn parse(text: &str) -> Result<Self, BadSubject> {
        Self::parse_within(text, SUBJECT_TOKENS)
    }

    /// Parses a subject or pattern of at most `tokens` tokens.
    pub fn parse_within(text: &str, tokens: usize) -> Result<Self, BadSubject> {
        check(text, tokens)?;
        Ok(Self(text.into()))
    }

    /// The pattern as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether its first token names the messaging system; see
    /// [`Subject::is_reserved`]. A leading wildcard is not reserved: the
    /// broker keeps reserved subjects out of what it yields.
    pub fn is_reserved(&self) -> bool {
        reserved(&self.0)
    }

    /// Whether an event on `subject` belongs to this pattern.
    pub fn matches(&self, subject: &Subject) -> bool {
        let mut tokens = subject.0.split('.');
        for wanted in self.0.split('.') {
            match (wanted, tokens.next()) {
                (">", Some(_)) => return true,
                ("*", Some(_)) => {}
                (wanted, Some(token)) if wanted == token => {}
                _ => return false,
            }
        }
        tokens.next().is_none()
    }

    /// Whether every subject that matches `other` matches this one too.
    pub fn covers(&self, other: &Self) -> bool {
        let mut theirs = other.0.split('.');
        for mine in self.0.split('.') {
            match (mine, theirs.next()) {
                (">", Some(_)) => return true,
                (_, Some(">") | None) => return false,
                ("*", Some(_)) => {}
                (mine, Some(token)) if mine == token => {}
                _ => return false,
            }
        }
        theirs.next().is_none()
    }

    /// Its shape, where there is a wildcard.
    pub fn shape(&self) -> Option<Shape> {
        Shape::of(&self.0)
    }

    /// The subject, unless the pattern has a wildcard.
    pub fn literal(&self) -> Option<Subject> {
        let wildcard = self.0.split('.').any(|token| matches!(token, "*" | ">"));
        (!wildcard).then(|| Subject(self.0.clone()))
    }

    /// Whether some subject matches both patterns.
    pub fn overlaps(&self, other: &Self) -> bool {
        let (mut left, mut right) = (self.0.split('.'), other.0.split('.'));
        loop {
            match (left.next(), right.next()) {
                (Some(">"), Some(_)) | (Some(_), Some(">")) => return true,
                (Some(a), Some(b)) if a == b || a == "*" || b == "*" => {}
                (None, None) => return true,
                _ => return false,
            }
        }
    }
}

/// Checks the grammar; true when there is a wildcard.
fn check(text: &str, tokens: usize) -> Result<bool, BadSubject> {
    if text.is_empty() {
        return Err(BadSubject::Empty);
    }
    if text.len() > SUBJECT_BYTES {
        return Err(BadSubject::TooLong);
    }
    let (mut wildcard, mut tail) = (false, false);
    for (index, token) in text.split('.').enumerate() {
        if index == tokens {
            return Err(BadSubject::TooManyTokens(tokens));
        }
        if tail {
            return Err(BadSubject::TailNotLast);
        }
        match token {
            "" => return Err(BadSubject::EmptyToken),
            "*" => wildcard = true,
            ">" => (wildcard, tail) = (true, true),
            token => check_token(token)?,
        }
    }
    Ok(wildcard)
}

fn check_token(token: &str) -> Result<(), BadSubject> {
    // Nearly all are plain ASCII, and every event's subject comes by here.
    if token.bytes().all(|byte| matches!(byte, b'!'..=b'~') && !matches!(byte, b'*' | b'>')) {
        return Ok(());
    }
    let mut behind_letter = false;
    for character in token.chars() {
        match character {
            '*' | '>' => return Err(BadSubject::WildcardInToken),
            '!'..='~' => behind_letter = character.is_ascii_alphabetic(),
            other if is_hidden(other) => return Err(BadSubject::BadCharacter(other)),
            other if !other.is_ascii() && other.is_alphanumeric() => behind_letter = other.is_alphabetic(),
            // A letter may have several.
            other if is_mark(other) && behind_letter => {}
            other if is_mark(other) => return Err(BadSubject::StrayMark(other)),
            other => return Err(BadSubject::BadCharacter(other)),
        }
    }
    Ok(())
}

fn reserved(text: &str) -> bool {
    text.starts_with(['$', '_'])
}

// Hashes and compares as its text does.
impl Borrow<str> for Pattern {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Subject {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<Subject> for Pattern {
    fn from(subject: Subject) -> Self {
        Self(subject.0)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Few words, so that patterns and subjects meet often: for the properties of
/// whatever matches them.
#[cfg(test)]
pub(crate) mod strategies {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn pattern() -> impl Strategy<Value = Pattern> {
        (prop::collection::vec(prop::sample::select(vec!["a", "b", "*"]), 0..4), any::<bool>()).prop_filter_map(
            "at least one token",
            |(mut tokens, tail)| {
                if tail {
                    tokens.push(">");
                }
                Pattern::parse(&tokens.join(".")).ok()
            },
        )
    }

    pub(crate) fn subject() -> impl Strategy<Value = Subject> {
        prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..5)
            .prop_map(|tokens| Subject::parse(&tokens.join(".")).expect("valid tokens"))
    }
}

#[cfg(test)]
mod tests;
