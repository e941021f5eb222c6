//! Live patterns that somebody on this node is subscribed to. The first member
//! of a pattern opens its feed at the broker, unless a wider one is open, and
//! the last one closes it. Where others have come by it meanwhile, they get
//! feeds of their own first: nothing is lost by it, and nothing comes twice.

use std::{collections::HashMap, sync::Arc, time::Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    broker::{Broker, FeedId},
    drain::Tasks,
    hub::{
        live::{Left, LiveFeeds, Refused, Route, SETTLE},
        slices::lock,
        topic::Topic,
    },
    metrics::Metrics,
    subject::Pattern,
    sync::{Mutex, MutexGuard, sleep, yield_now},
};

/// Topics by pattern, and the feeds that bring their events.
#[derive(Debug)]
pub(crate) struct Topics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    known: Mutex<Known>,
    broker: Arc<dyn Broker>,
    tasks: Tasks,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct Known {
    by_pattern: HashMap<Pattern, Entry>,
    feeds: LiveFeeds,
}

#[derive(Debug)]
struct Entry {
    topic: Arc<Topic>,
    members: usize,
    /// What brings its events; the new one, while it is handed over.
    feed: FeedId,
}

impl Topics {
    pub(crate) fn new(broker: Arc<dyn Broker>, tasks: Tasks, metrics: Arc<Metrics>) -> Self {
        Self(Arc::new(Inner { known: Mutex::default(), broker, tasks, metrics }))
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().by_pattern.len()
    }

    /// Where the events of a feed go.
    pub(crate) fn route(&self, feed: FeedId) -> Option<Route> {
        self.0.lock().feeds.route(feed)
    }

    /// A feed is open. Its topics, whose members may be told.
    pub(crate) fn opened(&self, feed: FeedId) -> Vec<Arc<Topic>> {
        self.0.lock().feeds.opened(feed)
    }

    /// The broker refuses a feed. Its topic, if nothing brings its events now.
    pub(crate) fn refused(&self, feed: FeedId) -> Option<Arc<Topic>> {
        let mut known = self.0.lock();
        let Refused { topic, moved, ends } = known.feeds.refused(feed, &*self.0.broker);
        known.note(moved);
        if ends {
            self.0.clone().begin_end(&mut known, feed);
        }
        self.0.count(&known);
        topic
    }

    /// One more member wants a pattern.
    pub(crate) fn enter(&self, pattern: &Pattern) -> Arc<Topic> {
        let mut known = self.0.lock();
        let Known { by_pattern, feeds } = &mut *known;
        if let Some(entry) = by_pattern.get_mut(pattern) {
            entry.members += 1;
            return entry.topic.clone();
        }
        let known_feed = feeds.take_back(pattern).or_else(|| feeds.covering(pattern));
        let topic = Arc::new(Topic::new(pattern.clone(), known_feed.is_some_and(|(_, open)| open)));
        let feed = match known_feed {
            Some((feed, _)) => {
                feeds.join(feed, topic.clone());
                feed
            }
            None => feeds.open(&*self.0.broker, topic.clone()),
        };
        by_pattern.insert(pattern.clone(), Entry { topic: topic.clone(), members: 1, feed });
        self.0.count(&known);
        topic
    }

    /// One member less wants it. Where its feed has to go on for a while, for
    /// others: what is cancelled when that is over.
    pub(crate) fn exit(&self, pattern: &Pattern) -> Option<CancellationToken> {
        let mut known = self.0.lock();
        let Known { by_pattern, feeds } = &mut *known;
        let entry = by_pattern.get_mut(pattern)?;
        entry.members -= 1;
        if entry.members > 0 {
            return None;
        }
        let feed = by_pattern.remove(pattern)?.feed;
        let Left { ends, closed } = feeds.leave(feed, pattern);
        if ends {
            self.0.clone().begin_end(&mut known, feed);
        }
        self.0.count(&known);
        closed
    }
}

impl Inner {
    /// Begins to end a feed that brings others' topics, which it should not.
    fn begin_end(self: Arc<Self>, known: &mut Known, feed: FeedId) {
        let all_open = known.feeds.begin_end(feed, Instant::now());
        let tasks = self.tasks.clone();
        tasks.spawn_vital("hand-over", self.hand_over(feed, all_open));
    }

    /// Gives the topics of a feed other ones, and ends it.
    async fn hand_over(self: Arc<Self>, from: FeedId, all_open: Arc<Notify>) {
        while self.move_some(from) {
            yield_now().await;
        }
        while !self.lock().feeds.is_taken_over(from) {
            all_open.notified().await;
        }
        sleep(SETTLE).await;
        self.end(from);
        // Copies of what it has brought may still come by the others.
        sleep(SETTLE).await;
        while self.clone().finish_some(from) {
            yield_now().await;
        }
    }

    /// False when none is left.
    fn move_some(&self, from: FeedId) -> bool {
        let mut known = self.lock();
        let moved = known.feeds.hand_over(from, &*self.broker);
        known.note(moved);
        self.count(&known);
        !known.feeds.is_handed_over(from)
    }

    fn end(&self, feed: FeedId) {
        let mut known = self.lock();
        known.feeds.end(feed);
        self.count(&known);
    }

    /// False when none is left.
    fn finish_some(self: Arc<Self>, from: FeedId) -> bool {
        let mut known = self.lock();
        let (left, more) = known.feeds.finish(from);
        for feed in left {
            self.clone().begin_end(&mut known, feed);
        }
        more
    }

    fn count(&self, known: &Known) {
        self.metrics.topics.set(known.by_pattern.len() as f64);
        self.metrics.feeds.set(known.feeds.len() as f64);
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        lock(&self.known)
    }
}

impl Known {
    /// Patterns come by other feeds now.
    fn note(&mut self, moved: Vec<(Pattern, FeedId)>) {
        for (pattern, feed) in moved {
            if let Some(entry) = self.by_pattern.get_mut(&pattern) {
                entry.feed = feed;
            }
        }
    }
}
