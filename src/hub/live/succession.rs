//! The topics of a feed that nobody wants for itself any more, on their way to
//! feeds of their own.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use tokio::sync::Notify;

use crate::{broker::FeedId, hub::live::handover::SharedHandover, subject::Pattern};

/// Which feeds take over from one.
#[derive(Debug)]
pub(crate) struct Succession {
    pub(crate) handover: SharedHandover,
    /// Topics that have no other feed yet, by their keys: wide ones first, so
    /// that they have one when it is the turn of those that they cover.
    waiting: VecDeque<usize>,
    pub(crate) successors: Vec<FeedId>,
    /// Of these, those that are not open yet.
    opening: HashSet<FeedId>,
    /// Told when all are open.
    pub(crate) all_open: Arc<Notify>,
}

impl Succession {
    pub(crate) fn new(handover: SharedHandover, mut topics: Vec<(usize, Pattern)>) -> Self {
        topics.sort_by_cached_key(|(_, pattern)| narrowness(pattern));
        Self {
            handover,
            waiting: topics.into_iter().map(|(key, _)| key).collect(),
            successors: Vec::new(),
            opening: HashSet::new(),
            all_open: Arc::default(),
        }
    }

    /// The next topic that needs a feed.
    pub(crate) fn next(&mut self) -> Option<usize> {
        self.waiting.pop_front()
    }

    /// No topic needs one any more; those that still waited for one.
    pub(crate) fn give_up(&mut self) -> VecDeque<usize> {
        std::mem::take(&mut self.waiting)
    }

    pub(crate) fn add(&mut self, successor: FeedId) {
        self.successors.push(successor);
        self.opening.insert(successor);
    }

    /// A successor is open, or nobody wants it any more.
    pub(crate) fn opened(&mut self, successor: FeedId) {
        if self.opening.remove(&successor) && self.opening.is_empty() {
            self.all_open.notify_one();
        }
    }

    /// Whether each topic has another feed.
    pub(crate) fn is_handed_over(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether these are all open.
    pub(crate) fn is_open(&self) -> bool {
        self.opening.is_empty()
    }
}

/// A pattern that covers another one is less narrow: it ends with `>` or has as
/// many tokens, no more of them, and more wildcards among them.
fn narrowness(pattern: &Pattern) -> (bool, usize, usize) {
    let tokens = pattern.as_str().split('.');
    let (count, named) = tokens.fold((0, 0), |(count, named), token| (count + 1, named + usize::from(token != "*")));
    (!pattern.as_str().ends_with('>'), count, named)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::subject::strategies::pattern;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn a_pattern_that_covers_another_has_its_turn_before(wide in pattern(), narrow in pattern()) {
            if wide != narrow && wide.covers(&narrow) {
                prop_assert!(narrowness(&wide) < narrowness(&narrow));
            }
        }
    }
}
