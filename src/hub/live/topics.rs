//! The topics of a node: its live patterns with members. The first member
//! of a pattern opens its feed at the broker, unless a wider one is open, and
//! the last one closes it. Where others have come by it meanwhile, they get
//! feeds of their own first: nothing is lost by it, and nothing comes twice.

use std::{collections::HashMap, sync::Arc, time::Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    broker::{Broker, FeedId},
    hub::{
        context::Context,
        live::{
            feeds::{Left, LiveFeeds, RefusedFeed},
            handover::SETTLE,
            live_feed::Route,
            topic::Topic,
        },
    },
    subject::Pattern,
    sync::{Mutex, rank, sleep, yield_now},
};

/// Topics by pattern, and the feeds that bring their events.
#[derive(Debug)]
pub(crate) struct Topics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State, { rank::TOPICS }>,
    broker: Arc<dyn Broker>,
    context: Arc<Context>,
}

#[derive(Debug, Default)]
struct State {
    by_pattern: HashMap<Pattern, TopicEntry>,
    feeds: LiveFeeds,
}

#[derive(Debug)]
struct TopicEntry {
    topic: Arc<Topic>,
    members: usize,
    /// The feed that brings its events; the new one, while it is handed over.
    feed: FeedId,
}

impl Topics {
    pub(crate) fn new(broker: Arc<dyn Broker>, context: Arc<Context>) -> Self {
        Self(Arc::new(Inner { state: Mutex::default(), broker, context }))
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.state.lock().by_pattern.len()
    }

    /// Where the events of a feed go.
    pub(crate) fn route(&self, feed: FeedId) -> Option<Route> {
        self.0.state.lock().feeds.route(feed)
    }

    /// A feed is open. Its topics, whose members may be told.
    pub(crate) fn opened(&self, feed: FeedId) -> Vec<Arc<Topic>> {
        self.0.state.lock().feeds.opened(feed)
    }

    /// The broker refuses a feed. Its topic, if nothing brings its events now.
    pub(crate) fn refused(&self, feed: FeedId) -> Option<Arc<Topic>> {
        let mut state = self.0.state.lock();
        let RefusedFeed { topic, moved, ends } = state.feeds.refused(feed, &*self.0.broker);
        state.set_feeds(moved);
        if ends {
            self.0.clone().begin_end(&mut state, feed);
        }
        self.0.count(&state);
        topic
    }

    /// The topic of a pattern that somebody wants.
    pub(crate) fn get(&self, pattern: &Pattern) -> Option<Arc<Topic>> {
        self.0.state.lock().by_pattern.get(pattern).map(|entry| entry.topic.clone())
    }

    /// One more member wants a pattern.
    pub(crate) fn enter(&self, pattern: &Pattern) -> Arc<Topic> {
        let mut state = self.0.state.lock();
        let State { by_pattern, feeds } = &mut *state;
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
        by_pattern.insert(pattern.clone(), TopicEntry { topic: topic.clone(), members: 1, feed });
        self.0.count(&state);
        topic
    }

    /// One member less wants it. Where its feed has to go on for a while, for
    /// others: what is cancelled when that is over.
    pub(crate) fn exit(&self, pattern: &Pattern) -> Option<CancellationToken> {
        let mut state = self.0.state.lock();
        let State { by_pattern, feeds } = &mut *state;
        let entry = by_pattern.get_mut(pattern)?;
        entry.members -= 1;
        if entry.members > 0 {
            return None;
        }
        let feed = by_pattern.remove(pattern)?.feed;
        let Left { ends, closed } = feeds.leave(feed, pattern);
        if ends {
            self.0.clone().begin_end(&mut state, feed);
        }
        self.0.count(&state);
        closed
    }
}

impl Inner {
    /// Begins to end a feed that brings others' topics, which it should not.
    fn begin_end(self: Arc<Self>, state: &mut State, feed: FeedId) {
        let all_open = state.feeds.begin_end(feed, Instant::now());
        let context = self.context.clone();
        context.tasks.spawn_vital("hand-over", self.hand_over(feed, all_open));
    }

    /// Gives the topics of a feed other ones, and ends it.
    async fn hand_over(self: Arc<Self>, from: FeedId, all_open: Arc<Notify>) {
        while self.move_some(from) {
            yield_now().await;
        }
        while !self.state.lock().feeds.is_taken_over(from) {
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
        let mut state = self.state.lock();
        let moved = state.feeds.hand_over(from, &*self.broker);
        state.set_feeds(moved);
        self.count(&state);
        !state.feeds.is_handed_over(from)
    }

    fn end(&self, feed: FeedId) {
        let mut state = self.state.lock();
        state.feeds.end(feed);
        self.count(&state);
    }

    /// False when none is left.
    fn finish_some(self: Arc<Self>, from: FeedId) -> bool {
        let mut state = self.state.lock();
        let (left, more) = state.feeds.finish(from);
        for feed in left {
            self.clone().begin_end(&mut state, feed);
        }
        more
    }

    fn count(&self, state: &State) {
        self.context.metrics.topics.set(state.by_pattern.len() as f64);
        self.context.metrics.feeds.set(state.feeds.len() as f64);
    }
}

impl State {
    /// Patterns come by other feeds now.
    fn set_feeds(&mut self, moved: Vec<(Pattern, FeedId)>) {
        for (pattern, feed) in moved {
            if let Some(entry) = self.by_pattern.get_mut(&pattern) {
                entry.feed = feed;
            }
        }
    }
}
