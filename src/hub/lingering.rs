//! Live patterns that a connection has given up while it holds a wider one. An event
//! that both match comes in two copies, and the pattern that went live first delivers:
//! when that one leaves between the two, the event comes twice or not at all. So it
//! lingers, and delivers on for the wider one, until no copy can be under way. Free of
//! topics and of clocks.

use std::time::Duration;

use crate::subject::{Pattern, Subject};

/// Patterns of one connection that linger at most: each keeps its topic. One more
/// leaves at once.
const MOST: usize = 16;

/// The time without an event after which no copy is under way: twice as long as the
/// two copies of an event are apart (`live/handover.rs`).
pub(crate) const QUIET: Duration = Duration::from_secs(2);

/// The lingering patterns of one connection.
#[derive(Debug, Default)]
pub(crate) struct Lingering {
    patterns: Vec<LingeringPattern>,
    next: u32,
}

#[derive(Debug)]
struct LingeringPattern {
    pattern: Pattern,
    /// Tells this time from other times that the same pattern lingers.
    ticket: u32,
    /// An event has matched since this was last asked.
    touched: bool,
}

impl Lingering {
    /// Lets a pattern linger. Its ticket; none when too many do.
    pub(crate) fn add(&mut self, pattern: &Pattern) -> Option<u32> {
        if self.patterns.len() >= MOST {
            return None;
        }
        let ticket = self.next;
        self.next = self.next.wrapping_add(1);
        self.patterns.push(LingeringPattern { pattern: pattern.clone(), ticket, touched: false });
        Some(ticket)
    }

    /// Ends the lingering of a pattern; false when it does not linger.
    pub(crate) fn remove(&mut self, pattern: &Pattern) -> bool {
        let before = self.patterns.len();
        self.patterns.retain(|lingering| lingering.pattern != *pattern);
        self.patterns.len() < before
    }

    /// Ends the lingering of the patterns for which `ends` says so.
    pub(crate) fn take(&mut self, ends: impl Fn(&Pattern) -> bool) -> Vec<Pattern> {
        let ended = self.patterns.extract_if(.., |lingering| ends(&lingering.pattern));
        ended.map(|lingering| lingering.pattern).collect()
    }

    /// A copy of an event of this subject has come.
    pub(crate) fn touch(&mut self, subject: &Subject) {
        let matching = self.patterns.iter_mut().filter(|lingering| lingering.pattern.matches(subject));
        matching.for_each(|lingering| lingering.touched = true);
    }

    /// Ends the lingering of a pattern that no event has matched since this was last
    /// asked. True when it has ended.
    pub(crate) fn end_quiet(&mut self, pattern: &Pattern) -> bool {
        let place = self.patterns.iter().position(|lingering| lingering.pattern == *pattern);
        let Some(place) = place else { return false };
        let was_touched = std::mem::take(&mut self.patterns[place].touched);
        if !was_touched {
            self.patterns.remove(place);
        }
        !was_touched
    }

    pub(crate) fn has(&self, pattern: &Pattern) -> bool {
        self.patterns.iter().any(|lingering| lingering.pattern == *pattern)
    }

    /// Whether a pattern lingers under this ticket.
    pub(crate) fn has_ticket(&self, pattern: &Pattern, ticket: u32) -> bool {
        self.patterns.iter().any(|lingering| lingering.pattern == *pattern && lingering.ticket == ticket)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).expect(text)
    }

    #[test]
    fn a_pattern_lingers_until_no_event_has_matched_for_a_while() {
        let mut lingering = Lingering::default();
        let ticket = lingering.add(&pattern("a.*")).expect("room");
        assert!(lingering.has_ticket(&pattern("a.*"), ticket));
        lingering.touch(&Subject::parse("a.b").expect("a subject"));
        assert!(!lingering.end_quiet(&pattern("a.*")));
        lingering.touch(&Subject::parse("b.b").expect("a subject"));
        assert!(lingering.end_quiet(&pattern("a.*")) && !lingering.end_quiet(&pattern("a.*")));
        let again = lingering.add(&pattern("a.*")).expect("room");
        assert!(!lingering.has_ticket(&pattern("a.*"), ticket) && lingering.has_ticket(&pattern("a.*"), again));
        assert!(lingering.remove(&pattern("a.*")) && !lingering.remove(&pattern("a.*")));
        assert!(lingering.is_empty());
    }

    #[test]
    fn few_linger() {
        let mut lingering = Lingering::default();
        assert!((0..MOST).all(|one| lingering.add(&pattern(&format!("a.{one}"))).is_some()));
        assert_eq!(lingering.add(&pattern("b")), None);
        assert_eq!(lingering.take(|pattern| pattern.as_str() == "a.3"), [pattern("a.3")]);
        assert!(lingering.add(&pattern("b")).is_some());
        assert_eq!(lingering.take(|_| true).len(), MOST);
    }
}
