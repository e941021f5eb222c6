//! Degradations: subscriptions that a connected broker refuses this node, and
//! streams that are no longer as they have to be.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    broker::feed::FeedId,
    classes::StreamIndex,
    metrics::Metrics,
    sync::{Mutex, rank},
};

/// The degradations that hold now.
#[derive(Debug)]
pub struct Degraded {
    state: Mutex<State, { rank::DEGRADED }>,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct State {
    refused: BTreeSet<FeedId>,
    /// By name, with what is wrong.
    unfit: BTreeMap<String, Vec<String>>,
}

impl Degraded {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self { state: Mutex::default(), metrics }
    }

    /// The broker refuses a feed, once more or for the first time.
    pub(crate) fn refuse(&self, feed: FeedId) {
        self.metrics.feed_refusals.increment(1);
        let mut state = self.state.lock();
        state.refused.insert(feed);
        self.metrics.feeds_refused.set(state.refused.len() as f64);
    }

    /// The broker does not refuse a feed any more, or nobody wants it.
    pub(crate) fn allow(&self, feed: FeedId) {
        let mut state = self.state.lock();
        state.refused.remove(&feed);
        self.metrics.feeds_refused.set(state.refused.len() as f64);
    }

    /// Whether the broker refuses a feed.
    pub(crate) fn is_refused(&self, feed: FeedId) -> bool {
        self.state.lock().refused.contains(&feed)
    }

    /// How many patterns of clients the broker refuses.
    pub fn patterns(&self) -> usize {
        self.state.lock().refused.iter().filter(|feed| feed.is_pattern()).count()
    }

    /// The streams that the broker does not let this node follow. Their events
    /// are read from the stream instead, and come late.
    pub fn streams(&self) -> Vec<StreamIndex> {
        self.state.lock().refused.iter().filter_map(|feed| feed.stream()).collect()
    }

    /// The node's own feeds that the broker refuses.
    pub fn own(&self) -> Vec<&'static str> {
        self.state.lock().refused.iter().filter_map(|feed| feed.purpose()).collect()
    }

    /// A stream is so no longer, or again when nothing is wrong.
    pub(crate) fn set_unfit(&self, stream: &str, wrong: Vec<String>) {
        let mut state = self.state.lock();
        if wrong.is_empty() {
            state.unfit.remove(stream);
        } else {
            self.metrics.stream_drifts.increment(1);
            state.unfit.insert(stream.to_owned(), wrong);
        }
        self.metrics.streams_unfit.set(state.unfit.len() as f64);
    }

    /// Streams that are not as they have to be, by name, with what is wrong.
    pub fn unfit(&self) -> BTreeMap<String, Vec<String>> {
        self.state.lock().unfit.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_counted_by_what_it_is_for() {
        let metrics = Arc::new(Metrics::new().expect("metrics"));
        let degraded = Degraded::new(metrics.clone());
        let says = |line: &str| metrics.render().contains(&format!("\n{line}\n"));
        for feed in [FeedId(1), FeedId(2), FeedId(2), FeedId::tail(StreamIndex(3)), FeedId::ACKS] {
            degraded.refuse(feed);
        }
        assert_eq!((degraded.patterns(), degraded.streams()), (2, vec![StreamIndex(3)]));
        assert_eq!(degraded.own(), ["acknowledgements of streams"]);
        assert!(says("notifier_feeds_refused 4") && says("notifier_feed_refusals_total 5"));
        degraded.allow(FeedId(2));
        degraded.allow(FeedId(7));
        assert!(degraded.is_refused(FeedId(1)) && !degraded.is_refused(FeedId(2)));
        assert!(says("notifier_feeds_refused 3"));
    }
}
