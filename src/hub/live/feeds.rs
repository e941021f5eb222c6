//! The feeds that are open at the broker for live patterns, and which topics
//! each of them brings events to. A pattern that an open one covers is brought
//! by its feed.

use std::{collections::HashMap, sync::Arc, time::Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    broker::{Broker, FeedId},
    hub::{
        live::topic::Topic,
        live::{
            handover::{Handover, Side},
            live_feed::{LiveFeed, Route},
            recipients::Recipient,
            shared_feed::SharedFeed,
            succession::Succession,
        },
    },
    subject::Pattern,
    sync::Mutex,
    trie::Trie,
};

/// Topics that get another feed, or feeds whose hand-over ends, while the lock
/// is held: less than a millisecond, for which intakes wait.
const TOGETHER: usize = if cfg!(feature = "model") { 1 } else { 128 };

/// All feeds of live patterns.
#[derive(Debug, Default)]
pub(crate) struct LiveFeeds {
    feeds: HashMap<FeedId, LiveFeed>,
    /// Those that further patterns may join.
    wide: Trie<FeedId>,
    /// Those whose own pattern nobody wants any more, by that.
    left: HashMap<Pattern, FeedId>,
    /// By the feed that ends.
    successions: HashMap<FeedId, Succession>,
}

/// The rest of a feed when a topic has no member any more.
#[derive(Debug, Default)]
pub(crate) struct Left {
    /// It has others' topics only, and has to be [ended](LiveFeeds::begin_end).
    pub(crate) ends: bool,
    /// Where it goes on although its own pattern is not wanted: cancelled when
    /// that is over.
    pub(crate) closed: Option<CancellationToken>,
}

/// The consequences of a feed that the broker refuses.
#[derive(Debug, Default)]
pub(crate) struct RefusedFeed {
    /// The topic of its pattern, where nothing brings its events.
    pub(crate) topic: Option<Arc<Topic>>,
    /// Others' topics that have got feeds of their own.
    pub(crate) moved: Vec<(Pattern, FeedId)>,
    /// Others' topics are to get some by [ending](LiveFeeds::begin_end) it.
    pub(crate) ends: bool,
}

impl LiveFeeds {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.feeds.len()
    }

    /// Where the events of a feed go; nowhere, if it was closed.
    pub(crate) fn route(&self, feed: FeedId) -> Option<Route> {
        self.feeds.get(&feed).map(|live| live.route.clone())
    }

    /// A feed whose pattern covers this one, and whether it is open.
    pub(crate) fn covering(&self, pattern: &Pattern) -> Option<(FeedId, bool)> {
        let feed = self.wide.covering(pattern, |_| true)?;
        Some((*feed, self.feeds.get(feed)?.open))
    }

    /// Has a feed bring the events of a topic whose pattern it covers.
    pub(crate) fn join(&mut self, feed: FeedId, topic: Arc<Topic>) {
        self.add(feed, Recipient { topic, number: None });
    }

    fn add(&mut self, feed: FeedId, recipient: Recipient) {
        if let Some(live) = self.feeds.get_mut(&feed) {
            live.share().add(recipient);
        }
    }

    /// Takes back a feed whose own pattern nobody wanted any more; whether it is
    /// open. It has to be [joined](Self::join).
    pub(crate) fn take_back(&mut self, pattern: &Pattern) -> Option<(FeedId, bool)> {
        let feed = self.left.remove(pattern)?;
        let live = self.feeds.get_mut(&feed)?;
        live.owned = true;
        live.closed.take().into_iter().for_each(|closed| closed.cancel());
        let open = live.open;
        self.place(feed);
        Some((feed, open))
    }

    /// Opens a feed for a topic.
    pub(crate) fn open(&mut self, broker: &dyn Broker, topic: Arc<Topic>) -> FeedId {
        let pattern = topic.pattern().clone();
        let feed = broker.open(&pattern);
        self.insert(LiveFeed::new(feed, pattern.clone(), pattern, Route::Topic(topic), None))
    }

    /// Opens one for a topic that comes by another one until then.
    fn open_successor(&mut self, broker: &dyn Broker, pattern: Pattern, from: FeedId, beside: Pattern) -> FeedId {
        // By the same intake: else order could be lost between the two.
        let feed = broker.open_beside(&pattern, &beside);
        let succession = self.successions.get_mut(&from);
        let part = succession.map(|succession| {
            succession.add(feed.id());
            (Side::New, succession.handover.clone())
        });
        let route = Route::Shared(Arc::new(SharedFeed::new(part)));
        self.insert(LiveFeed::new(feed, pattern, beside, route, Some(from)))
    }

    fn insert(&mut self, live: LiveFeed) -> FeedId {
        let id = live.feed.id();
        self.feeds.insert(id, live);
        self.place(id);
        id
    }

    /// Puts a feed among the wide ones, or takes it away, as it has become.
    fn place(&mut self, feed: FeedId) {
        let Some(live) = self.feeds.get_mut(&feed) else { return };
        let wide = live.owned && !live.refused && live.pattern.literal().is_none();
        match (live.wide, wide) {
            (false, true) => self.wide.insert(&live.pattern, feed),
            (true, false) => self.wide.remove(&live.pattern, |one| *one == feed),
            _ => {}
        }
        live.wide = wide;
    }

    /// The broker has confirmed a feed. Its topics.
    pub(crate) fn opened(&mut self, feed: FeedId) -> Vec<Arc<Topic>> {
        let Some(live) = self.feeds.get_mut(&feed) else { return Vec::new() };
        (live.open, live.refused) = (true, false);
        if let Some(succession) = live.from.and_then(|from| self.successions.get_mut(&from)) {
            succession.opened(feed);
        }
        let topics = match &live.route {
            Route::Topic(topic) => vec![topic.clone()],
            Route::Shared(shared) => shared.topics(),
        };
        self.place(feed);
        topics
    }

    /// The broker refuses a feed: nothing comes by it until it is
    /// [open](Self::opened), so it brings others' topics nothing.
    pub(crate) fn refused(&mut self, feed: FeedId, broker: &dyn Broker) -> RefusedFeed {
        let Some(live) = self.feeds.get_mut(&feed) else { return RefusedFeed::default() };
        (live.open, live.refused) = (false, true);
        let (own, from) = (live.pattern.clone(), live.from);
        let (topics, exclusively) = match &live.route {
            Route::Topic(topic) => (vec![topic.clone()], true),
            Route::Shared(shared) => (shared.topics(), false),
        };
        if !live.owned {
            self.left.remove(&own);
        }
        self.place(feed);
        let brought = from.and_then(|from| self.feeds.get(&from)).is_some_and(|from| from.open);
        let topic = topics.iter().find(|topic| *topic.pattern() == own).filter(|_| !brought).cloned();
        let others = !exclusively && topics.iter().any(|topic| *topic.pattern() != own);
        match from {
            Some(from) if others => RefusedFeed { topic, moved: self.scatter(feed, from, broker), ends: false },
            _ => RefusedFeed { topic, moved: Vec::new(), ends: others && !self.successions.contains_key(&feed) },
        }
    }

    /// Gives the topics that a feed was to take over for others one each.
    fn scatter(&mut self, feed: FeedId, from: FeedId, broker: &dyn Broker) -> Vec<(Pattern, FeedId)> {
        let Some(live) = self.feeds.get_mut(&feed) else { return Vec::new() };
        let (beside, shared) = (live.beside.clone(), live.share());
        let others = shared.take_others(&live.pattern);
        let moved = others.into_iter().map(|recipient| {
            let pattern = recipient.topic.pattern().clone();
            let feed = self.open_successor(broker, pattern.clone(), from, beside.clone());
            self.add(feed, recipient);
            (pattern, feed)
        });
        let moved = moved.collect();
        if shared.is_empty() {
            self.close(feed);
        }
        moved
    }

    /// Nobody wants a topic of this feed any more.
    pub(crate) fn leave(&mut self, feed: FeedId, pattern: &Pattern) -> Left {
        let Some(live) = self.feeds.get_mut(&feed) else { return Left::default() };
        let (own, from) = (live.pattern == *pattern, live.from);
        if own {
            live.owned = false;
            if !live.refused {
                self.left.insert(pattern.clone(), feed);
            }
            self.place(feed);
        }
        from.into_iter().for_each(|from| self.remove(from, pattern));
        self.remove(feed, pattern);
        let stays = self.feeds.get_mut(&feed).filter(|_| own);
        let closed = stays.map(|live| live.closed.get_or_insert_default().clone());
        Left { ends: self.is_left(feed), closed }
    }

    fn remove(&mut self, feed: FeedId, pattern: &Pattern) {
        let Some(live) = self.feeds.get_mut(&feed) else { return };
        let is_empty = match &live.route {
            Route::Topic(_) => true,
            Route::Shared(shared) => {
                shared.remove(pattern);
                shared.is_empty()
            }
        };
        if is_empty {
            self.close(feed);
        } else {
            live.simplify(self.successions.contains_key(&feed));
        }
    }

    fn close(&mut self, feed: FeedId) {
        let Some(live) = self.feeds.remove(&feed) else { return };
        live.closed.into_iter().for_each(|closed| closed.cancel());
        if live.wide {
            self.wide.remove(&live.pattern, |one| *one == feed);
        }
        if self.left.get(&live.pattern) == Some(&feed) {
            self.left.remove(&live.pattern);
        }
        if let Some(succession) = live.from.and_then(|from| self.successions.get_mut(&from)) {
            succession.opened(feed);
        }
    }

    /// Whether a feed has others' topics only. While it is taking over, it waits.
    fn is_left(&self, feed: FeedId) -> bool {
        let left = |live: &LiveFeed| !live.owned && live.from.is_none();
        self.feeds.get(&feed).is_some_and(left) && !self.successions.contains_key(&feed)
    }

    /// Begins to end a feed. All its topics are noted as those of a hand-over
    /// before the broker hears of another feed: from then on there are two copies
    /// of what may be theirs. They get [feeds of their own](Self::hand_over).
    /// Resolves when these may all be open.
    pub(crate) fn begin_end(&mut self, feed: FeedId, now: Instant) -> Arc<Notify> {
        let handover = Arc::new(Mutex::new(Handover::new(now)));
        let topics = self
            .feeds
            .get_mut(&feed)
            .map(|live| live.share().begin(handover.clone(), &live.pattern))
            .unwrap_or_default();
        let succession = Succession::new(handover, topics);
        let all_open = succession.all_open.clone();
        self.successions.insert(feed, succession);
        all_open
    }

    /// Gives some topics of a feed that ends another one: that of the widest
    /// pattern among them which covers theirs. The patterns, and by which feed
    /// each comes now.
    pub(crate) fn hand_over(&mut self, from: FeedId, broker: &dyn Broker) -> Vec<(Pattern, FeedId)> {
        let mut moved = Vec::new();
        for _ in 0..TOGETHER {
            let Some(succession) = self.successions.get_mut(&from) else { break };
            let Some(old) = self.feeds.get_mut(&from) else {
                // Nobody wants any of its topics any more.
                succession.give_up();
                break;
            };
            if old.owned && !old.refused {
                // Somebody wants its own again.
                old.share().keep(succession.give_up());
                break;
            }
            let Some(key) = succession.next() else { break };
            let Some(recipient) = old.share().part(key) else { continue };
            let (pattern, beside) = (recipient.topic.pattern().clone(), old.beside.clone());
            let takes_over = |feed: &FeedId| self.feeds.get(feed).is_some_and(|live| live.from == Some(from));
            let feed = match self.wide.covering(&pattern, takes_over).copied() {
                Some(feed) => feed,
                None => self.open_successor(broker, pattern.clone(), from, beside),
            };
            self.add(feed, recipient);
            moved.push((pattern, feed));
        }
        moved
    }

    /// Whether no topic of a feed waits for another one.
    pub(crate) fn is_handed_over(&self, from: FeedId) -> bool {
        self.successions.get(&from).is_none_or(Succession::is_handed_over)
    }

    /// Whether all that take over from a feed are open.
    pub(crate) fn is_taken_over(&self, from: FeedId) -> bool {
        self.successions.get(&from).is_none_or(Succession::is_open)
    }

    /// Closes a feed that ends: what it brings still is not delivered to those who
    /// have another one. It stays where somebody wants it again.
    pub(crate) fn end(&mut self, feed: FeedId) {
        if let Some(succession) = self.successions.get(&feed) {
            succession.handover.lock().end_old();
        }
        let Some(live) = self.feeds.get_mut(&feed) else { return };
        if live.share().give_away() {
            self.close(feed);
        }
    }

    /// The hand-over of some feeds is over. Those of them that have to be ended
    /// themselves, and whether some are left.
    pub(crate) fn finish(&mut self, from: FeedId) -> (Vec<FeedId>, bool) {
        let Some(succession) = self.successions.get_mut(&from) else { return (Vec::new(), false) };
        let rest = succession.successors.len().saturating_sub(TOGETHER);
        let mut finished = succession.successors.split_off(rest);
        let more = !finished.is_empty();
        if !more {
            self.successions.remove(&from);
            finished.push(from);
        }
        for feed in &finished {
            if let Some(live) = self.feeds.get_mut(feed) {
                live.from = None;
                live.share().finish();
                live.simplify(false);
            }
        }
        finished.retain(|feed| self.is_left(*feed));
        (finished, more)
    }
}
