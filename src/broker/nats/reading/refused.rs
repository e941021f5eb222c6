//! Feeds that the server refuses, and when they are tried again. Free of I/O.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    broker::{degraded::Degraded, feed::FeedId, nats::reading::denial::Denial},
    subject::Pattern,
};

/// When a refused feed is tried again: soon, as who has forgotten a permission
/// adds it soon, and then at a falling rate, as servers log each attempt.
const RETRY: Duration = Duration::from_secs(3);
const RETRY_AT_MOST: Duration = Duration::from_secs(30);

/// Refused feeds that are tried again together.
const TOGETHER: usize = 1_000;

/// Of those that have to be tried one by one.
const ALONE: usize = 64;

/// The feeds that the server refuses.
#[derive(Debug)]
pub(crate) struct RefusedFeeds {
    feeds: BTreeMap<FeedId, Retry>,
    degraded: Arc<Degraded>,
}

/// When one of them is tried again.
#[derive(Debug, Default)]
struct Retry {
    /// How often it was refused for certain.
    refusals: u32,
    /// Nothing while it is being tried.
    due: Option<Instant>,
    /// Whether only by itself it can be known: the server does not say which one
    /// of several it refuses.
    alone: bool,
}

impl RefusedFeeds {
    pub(crate) fn new(degraded: Arc<Degraded>) -> Self {
        Self { feeds: BTreeMap::new(), degraded }
    }

    /// Whether the server's last word on a feed was no; what is being tried is not.
    pub(crate) fn has(&self, feed: FeedId) -> bool {
        self.feeds.get(&feed).is_some_and(|retry| retry.due.is_some())
    }

    /// All of them.
    pub(crate) fn ids(&self) -> impl Iterator<Item = FeedId> {
        self.feeds.keys().copied()
    }

    /// Notes what the server says; `opening` are the feeds that it was told of
    /// last. Returns those that it had not refused before.
    pub(crate) fn note(
        &mut self,
        wanted: &HashMap<FeedId, Pattern>,
        denials: &[Denial],
        opening: impl Iterator<Item = FeedId>,
        now: Instant,
    ) -> Vec<FeedId> {
        let (mut certain, mut subjects, mut doubtful) = (BTreeSet::new(), HashSet::new(), BTreeSet::new());
        for denial in denials {
            match denial {
                Denial::Number(number) => drop(certain.insert(FeedId(*number))),
                Denial::Subject(subject) => drop(subjects.insert(subject.as_str())),
                Denial::Limit => {}
            }
        }
        if !subjects.is_empty() {
            certain.extend(wanted.iter().filter(|(_, p)| subjects.contains(p.as_str())).map(|(feed, _)| *feed));
        }
        let limited = denials.contains(&Denial::Limit);
        if limited {
            doubtful.extend(opening);
        }
        if doubtful.len() == 1 {
            certain.append(&mut doubtful);
        }
        let mut news = Vec::new();
        for feed in certain.union(&doubtful).filter(|feed| wanted.contains_key(*feed)) {
            news.extend((!self.feeds.contains_key(feed)).then_some(*feed));
            let retry = self.feeds.entry(*feed).or_default();
            retry.alone = limited;
            if certain.contains(feed) {
                retry.refusals += 1;
                retry.due = Some(now + retry.pause());
            } else {
                retry.due.get_or_insert(now);
            }
            self.degraded.refuse(*feed);
        }
        news
    }

    /// These are open, or wanted no more. Returns how many were refused.
    pub(crate) fn forget(&mut self, feeds: &[FeedId]) -> usize {
        let known = feeds.iter().filter(|feed| self.feeds.remove(feed).is_some());
        known.map(|feed| self.degraded.allow(*feed)).count()
    }

    /// When the next one is to be tried again.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.feeds.values().filter_map(|retry| retry.due).min()
    }

    /// Those to be tried again now, in parts of which each has to be confirmed.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<Vec<FeedId>> {
        let (mut together, mut parts) = (Vec::new(), Vec::new());
        for (feed, retry) in self.feeds.iter_mut().filter(|(_, retry)| retry.due.is_some_and(|due| due <= now)) {
            match retry.alone {
                false if together.len() < TOGETHER => together.push(*feed),
                true if parts.len() < ALONE => parts.push(vec![*feed]),
                _ => continue,
            }
            retry.due = None;
        }
        if !together.is_empty() {
            parts.push(together);
        }
        parts
    }

    /// All of them are being tried: a connection begins with all that is wanted.
    pub(crate) fn all_tried(&mut self) {
        self.feeds.values_mut().for_each(|retry| retry.due = None);
    }
}

impl Retry {
    /// How long to wait before the next attempt; not all at the same moment.
    fn pause(&self) -> Duration {
        let pause = RETRY * 2_u32.pow(self.refusals.saturating_sub(1).min(8));
        pause.min(RETRY_AT_MOST).mul_f64(0.75 + fastrand::f64() / 4.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    /// Nothing refused of three patterns.
    fn begun() -> (RefusedFeeds, HashMap<FeedId, Pattern>, Arc<Degraded>) {
        let degraded = Arc::new(Degraded::new(Arc::new(Metrics::new().expect("metrics"))));
        let pattern = |text: &str| Pattern::parse(text).expect("a pattern");
        let wanted = (1..).map(FeedId).zip(["a", "b", "c"].map(pattern)).collect();
        (RefusedFeeds::new(degraded.clone()), wanted, degraded)
    }

    fn ids<const COUNT: usize>(numbers: [u64; COUNT]) -> Vec<FeedId> {
        numbers.map(FeedId).to_vec()
    }

    #[test]
    fn what_a_permission_is_missing_for_is_tried_again_together_until_it_is_open() {
        let (mut refused, wanted, degraded) = begun();
        let now = Instant::now();
        let denials = [Denial::Subject("a".into()), Denial::Number(3), Denial::Subject("x".into()), Denial::Number(9)];
        let opening = || ids([1, 2, 3]).into_iter();
        assert_eq!(refused.note(&wanted, &denials, opening(), now), ids([1, 3]));
        assert_eq!(degraded.patterns(), 2);
        assert!(refused.due(now).is_empty() && refused.next().is_some_and(|at| at > now));
        assert_eq!(refused.due(now + RETRY), [ids([1, 3])]);
        assert_eq!((refused.next(), refused.has(FeedId(1))), (None, false), "it is under way");
        // The first feed is refused again, so nothing is new, and the other one
        // is confirmed.
        assert!(refused.note(&wanted, &denials[..1], opening(), now).is_empty());
        assert!(refused.has(FeedId(1)) && !refused.has(FeedId(3)));
        assert_eq!((refused.forget(&ids([2, 3])), degraded.patterns()), (1, 1));
        assert!(refused.next().is_some_and(|at| at > now + RETRY), "the rate falls");
        for _ in 0..20 {
            refused.note(&wanted, &denials[..1], opening(), now);
        }
        assert!(refused.next().is_some_and(|at| at <= now + RETRY_AT_MOST));
        refused.all_tried();
        assert_eq!((refused.next(), refused.ids().collect()), (None, ids([1])));
    }

    #[test]
    fn what_a_limit_refuses_is_found_out_one_by_one() {
        let (mut refused, wanted, degraded) = begun();
        let now = Instant::now();
        let news = refused.note(&wanted, &[Denial::Limit, Denial::Limit], ids([1, 2, 3, 9]).into_iter(), now);
        assert_eq!(news, ids([1, 2, 3]), "whichever it is");
        assert_eq!(refused.due(now), [ids([1]), ids([2]), ids([3])]);
        assert_eq!(refused.forget(&ids([1, 2])), 2);
        assert!(refused.note(&wanted, &[Denial::Limit], ids([3]).into_iter(), now).is_empty());
        assert!(refused.next().is_some_and(|at| at > now));
        assert_eq!((refused.forget(&ids([3])), refused.ids().count(), degraded.patterns()), (1, 0, 0));
    }
}
