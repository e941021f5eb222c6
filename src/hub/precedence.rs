//! Which of a connection's live patterns speaks for a subject, where it has more
//! than a few: the first of those that match. Found by one look-up for each
//! shape of its patterns, and once for all topics that bring the same event.

use std::collections::HashMap;

use crate::{
    effort,
    pattern_map::PatternMap,
    subject::{Pattern, Subject},
};

/// Subjects that are remembered: as many as a topic hands out together, so that
/// the next topic with the same events finds all of them.
const REMEMBERED: usize = 64;

/// Patterns in the order in which they went live.
#[derive(Debug, Default)]
pub(crate) struct Precedence {
    /// Each with its number.
    numbers: PatternMap<u64>,
    next: u64,
    /// The results for the last subjects.
    first: HashMap<Subject, Pattern>,
}

impl Precedence {
    /// Adds one behind all others.
    pub(crate) fn add(&mut self, pattern: Pattern) {
        self.numbers.insert(pattern, self.next);
        self.next += 1;
        self.first.clear();
    }

    /// Takes one out.
    pub(crate) fn remove(&mut self, pattern: &Pattern) {
        self.numbers.remove(pattern);
        self.first.clear();
    }

    /// Of those that match a subject, the first.
    pub(crate) fn first(&mut self, subject: &Subject) -> Option<Pattern> {
        effort::step();
        if let Some(first) = self.first.get(subject) {
            return Some(first.clone());
        }
        let (first, _) = self.numbers.matching(subject).min_by_key(|(_, number)| **number)?;
        let first = first.clone();
        if self.first.len() == REMEMBERED {
            self.first.clear();
        }
        self.first.insert(subject.clone(), first.clone());
        Some(first)
    }
}

impl FromIterator<Pattern> for Precedence {
    fn from_iter<I: IntoIterator<Item = Pattern>>(patterns: I) -> Self {
        let mut precedence = Self::default();
        patterns.into_iter().for_each(|pattern| precedence.add(pattern));
        precedence
    }
}
