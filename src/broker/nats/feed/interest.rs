//! Which patterns this node wants, and what the server has yet to be told.
//! Anybody may open and close feeds; the reading connection takes the commands
//! along.

use std::{
    collections::HashMap,
    fmt::Write as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::{broker::intake::FeedId, subject::Pattern};

/// The feeds of one reading connection.
#[derive(Debug, Default)]
pub(crate) struct Interest {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    wanted: HashMap<FeedId, Pattern>,
    /// Whether there is a connection that commands are collected for.
    online: bool,
    commands: String,
    /// Feeds of which it is not certain that the server knows.
    unconfirmed: Vec<FeedId>,
}

/// What to send, and which feeds are open once it has been obeyed.
#[derive(Debug, Default)]
pub(crate) struct Commands {
    pub(crate) text: String,
    pub(crate) opening: Vec<FeedId>,
}

impl Interest {
    /// Wants a pattern from now on, until the feed is dropped.
    pub(crate) fn open(self: &Arc<Self>, feed: FeedId, pattern: &Pattern) -> NatsFeed {
        let mut state = self.lock();
        state.wanted.insert(feed, pattern.clone());
        state.unconfirmed.push(feed);
        if state.online {
            subscribe(&mut state.commands, feed, pattern);
            self.changed.notify_one();
        }
        NatsFeed { feed, interest: self.clone() }
    }

    fn close(&self, feed: FeedId) {
        let mut state = self.lock();
        state.wanted.remove(&feed);
        if state.online {
            let _ = write!(state.commands, "UNSUB {}\r\n", feed.0);
            self.changed.notify_one();
        }
    }

    /// Resolves when there may be something to send.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// What a new connection has to be told: everything.
    pub(crate) fn begin(&self) -> Commands {
        let mut state = self.lock();
        let State { wanted, online, commands, unconfirmed } = &mut *state;
        *online = true;
        commands.clear();
        for (feed, pattern) in wanted.iter() {
            subscribe(commands, *feed, pattern);
        }
        Commands { text: std::mem::take(commands), opening: std::mem::take(unconfirmed) }
    }

    /// What has come up since.
    pub(crate) fn take(&self) -> Commands {
        let mut state = self.lock();
        Commands { text: std::mem::take(&mut state.commands), opening: std::mem::take(&mut state.unconfirmed) }
    }

    /// The connection is gone before these were confirmed.
    pub(crate) fn offline(&self, unconfirmed: impl Iterator<Item = FeedId>) {
        let mut state = self.lock();
        state.online = false;
        state.unconfirmed.extend(unconfirmed);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn subscribe(commands: &mut String, feed: FeedId, pattern: &Pattern) {
    // Writing to memory cannot fail.
    let _ = write!(commands, "SUB {pattern} {}\r\n", feed.0);
}

/// Keeps a pattern wanted. Dropping it unsubscribes.
#[derive(Debug)]
pub(crate) struct NatsFeed {
    feed: FeedId,
    interest: Arc<Interest>,
}

impl NatsFeed {
    pub(crate) fn id(&self) -> FeedId {
        self.feed
    }
}

impl Drop for NatsFeed {
    fn drop(&mut self) {
        self.interest.close(self.feed);
    }
}
