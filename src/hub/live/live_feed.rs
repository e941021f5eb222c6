//! One feed that is open at the broker for live patterns, or is going to be.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::{
    broker::{Feed, FeedId},
    hub::{
        live::topic::Topic,
        live::{recipients::Recipient, shared_feed::SharedFeed},
    },
    subject::Pattern,
};

/// A feed that brings the events of some topics.
#[derive(Debug)]
pub(crate) struct LiveFeed {
    pub(crate) feed: Feed,
    pub(crate) pattern: Pattern,
    /// By which its intake was chosen; another's where it has taken over.
    pub(crate) beside: Pattern,
    /// Whether the broker has confirmed it.
    pub(crate) open: bool,
    /// Whether the broker refuses it.
    pub(crate) refused: bool,
    /// Whether it stands among the wide ones.
    pub(crate) wide: bool,
    /// Whether a topic of exactly its pattern is among those that it has.
    pub(crate) owned: bool,
    pub(crate) route: Route,
    /// From which feed it is taking over.
    pub(crate) from: Option<FeedId>,
    /// Cancelled when it is closed, or its own pattern wanted again.
    pub(crate) closed: Option<CancellationToken>,
}

/// Where the events of a feed go.
#[derive(Clone, Debug)]
pub(crate) enum Route {
    /// To the topic of its pattern, all of them.
    Topic(Arc<Topic>),
    /// To several topics, or to one that is being handed over.
    Shared(Arc<SharedFeed>),
}

impl LiveFeed {
    /// One that a topic of its pattern wants, and that the broker has to confirm.
    pub(crate) fn new(feed: Feed, pattern: Pattern, beside: Pattern, route: Route, from: Option<FeedId>) -> Self {
        let (open, refused, wide, owned) = (false, false, false, true);
        Self { feed, pattern, beside, open, refused, wide, owned, route, from, closed: None }
    }

    /// It may have several topics from now on.
    pub(crate) fn share(&mut self) -> Arc<SharedFeed> {
        match &self.route {
            Route::Shared(shared) => shared.clone(),
            Route::Topic(topic) => {
                let shared = Arc::new(SharedFeed::default());
                shared.add(Recipient { topic: topic.clone(), number: None });
                self.route = Route::Shared(shared.clone());
                shared
            }
        }
    }

    /// Nothing is asked for each event where there is only its own topic.
    pub(crate) fn simplify(&mut self, ends: bool) {
        if let Route::Shared(shared) = &self.route
            && self.owned
            && self.from.is_none()
            && !ends
            && let Some(topic) = shared.only()
        {
            self.route = Route::Topic(topic);
        }
    }
}
