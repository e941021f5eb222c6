//! Live patterns that somebody on this node is subscribed to. The first member
//! of a pattern opens its feed at the broker, the last one closes it.

use std::{collections::HashMap, sync::Arc};

use crate::{
    broker::{Broker, Feed, FeedId},
    hub::{slices::lock, topic::Topic},
    metrics::Metrics,
    subject::Pattern,
    sync::{Mutex, MutexGuard},
};

/// Topics by pattern, and by what their events are known.
#[derive(Debug)]
pub(crate) struct Topics {
    known: Mutex<Known>,
    broker: Arc<dyn Broker>,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct Known {
    by_pattern: HashMap<Pattern, Entry>,
    by_feed: HashMap<FeedId, Arc<Topic>>,
}

#[derive(Debug)]
struct Entry {
    topic: Arc<Topic>,
    members: usize,
    feed: Feed,
}

impl Topics {
    pub(crate) fn new(broker: Arc<dyn Broker>, metrics: Arc<Metrics>) -> Self {
        Self { known: Mutex::default(), broker, metrics }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.lock().by_pattern.len()
    }

    /// Whose events a feed brings.
    pub(crate) fn of(&self, feed: FeedId) -> Option<Arc<Topic>> {
        self.lock().by_feed.get(&feed).cloned()
    }

    /// One more member wants a pattern.
    pub(crate) fn enter(&self, pattern: &Pattern) -> Arc<Topic> {
        let mut known = self.lock();
        if let Some(entry) = known.by_pattern.get_mut(pattern) {
            entry.members += 1;
            return entry.topic.clone();
        }
        let topic = Arc::new(Topic::new(pattern.clone()));
        let feed = self.broker.open(pattern);
        known.by_feed.insert(feed.id(), topic.clone());
        known.by_pattern.insert(pattern.clone(), Entry { topic: topic.clone(), members: 1, feed });
        self.metrics.topics.increment(1);
        topic
    }

    /// One member less wants it.
    pub(crate) fn exit(&self, pattern: &Pattern) {
        let mut known = self.lock();
        let Some(entry) = known.by_pattern.get_mut(pattern) else { return };
        entry.members -= 1;
        if entry.members == 0
            && let Some(entry) = known.by_pattern.remove(pattern)
        {
            known.by_feed.remove(&entry.feed.id());
            self.metrics.topics.decrement(1);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        lock(&self.known)
    }
}
