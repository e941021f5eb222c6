//! Which patterns this node wants, and what the server has yet to be told.
//! Anybody may open and close feeds; the reading connection takes the commands
//! along.

use std::{
    collections::{BTreeSet, HashMap},
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
    /// Wanted feeds of which it is not certain that the server knows.
    unconfirmed: BTreeSet<FeedId>,
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
        state.unconfirmed.insert(feed);
        if state.online {
            subscribe(&mut state.commands, feed, pattern);
            self.changed.notify_one();
        }
        NatsFeed { feed, interest: self.clone() }
    }

    /// Has a command sent on the connection, behind what was wanted before.
    /// False when there is none.
    pub(crate) fn send(&self, command: &str) -> bool {
        let mut state = self.lock();
        if state.online {
            state.commands.push_str(command);
            self.changed.notify_one();
        }
        state.online
    }

    fn close(&self, feed: FeedId) {
        let mut state = self.lock();
        state.wanted.remove(&feed);
        state.unconfirmed.remove(&feed);
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
        Commands { text: std::mem::take(commands), opening: std::mem::take(unconfirmed).into_iter().collect() }
    }

    /// What has come up since.
    pub(crate) fn take(&self) -> Commands {
        let mut state = self.lock();
        let opening = std::mem::take(&mut state.unconfirmed).into_iter().collect();
        Commands { text: std::mem::take(&mut state.commands), opening }
    }

    /// The connection is gone before these were confirmed. Who follows a stream
    /// is told of the next connection in any case: something may be missing.
    pub(crate) fn offline(&self, unconfirmed: impl Iterator<Item = FeedId>) {
        let mut state = self.lock();
        let State { wanted, online, unconfirmed: again, .. } = &mut *state;
        *online = false;
        again.extend(unconfirmed.filter(|feed| wanted.contains_key(feed)));
        again.extend(wanted.keys().filter(|feed| feed.stream().is_some()));
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Else a client that comes and goes during an outage would fill the memory.
    #[test]
    fn what_is_given_up_while_there_is_no_connection_is_forgotten() {
        let interest = Arc::<Interest>::default();
        let pattern = Pattern::parse("a").expect("a pattern");
        drop(interest.open(FeedId(1), &pattern));
        let kept = interest.open(FeedId(2), &pattern);
        let Commands { text, opening } = interest.begin();
        assert_eq!((text.as_str(), opening.as_slice()), ("SUB a 2\r\n", &[FeedId(2)][..]));
        drop(interest.open(FeedId(3), &pattern));
        drop(kept);
        interest.offline([FeedId(2), FeedId(3)].into_iter());
        let Commands { text, opening } = interest.begin();
        assert_eq!((text.as_str(), opening.len()), ("", 0));
    }
}
