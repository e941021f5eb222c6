//! Which patterns this node wants, and what the server has yet to be told.
//! Anybody may open and close feeds; the reading connection takes the commands
//! along.

use std::{
    collections::{BTreeSet, HashMap},
    io::Write as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::{
    broker::feed::{Feed, FeedId, Feeds},
    subject::Pattern,
};

/// Bytes of commands that may wait until the connection takes them, one of any
/// size beyond: what a slow link carries in the time that a write may take.
const WAITING_BYTES: usize = 8 * 1024 * 1024;

/// What servers take as a payload unless they say otherwise.
const PAYLOAD_BYTES: usize = 1024 * 1024;

/// The feeds of one reading connection.
#[derive(Debug, Default)]
pub(crate) struct Interest {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    wanted: HashMap<FeedId, Pattern>,
    /// Whether there is a connection that commands are collected for.
    online: bool,
    commands: Vec<u8>,
    /// The largest payload, headers included, that the server takes.
    payload_bytes: usize,
    /// Wanted feeds of which it is not certain that the server knows.
    unconfirmed: BTreeSet<FeedId>,
}

/// What to send, and which feeds are open once it has been obeyed.
#[derive(Debug, Default)]
pub(crate) struct Commands {
    pub(crate) bytes: Vec<u8>,
    pub(crate) opening: Vec<FeedId>,
}

/// Why a command was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotSent {
    /// There is no connection.
    Offline,
    /// So much waits already.
    Full,
    /// The server would end the connection for it.
    TooLarge {
        /// What it takes, bytes.
        max: usize,
    },
}

impl Default for State {
    fn default() -> Self {
        Self {
            wanted: HashMap::new(),
            online: false,
            commands: Vec::new(),
            payload_bytes: PAYLOAD_BYTES,
            unconfirmed: BTreeSet::new(),
        }
    }
}

impl Interest {
    /// Wants a pattern from now on, until the feed is dropped.
    pub(crate) fn open(self: &Arc<Self>, feed: FeedId, pattern: &Pattern) -> Feed {
        let mut state = self.lock();
        state.wanted.insert(feed, pattern.clone());
        state.unconfirmed.insert(feed);
        if state.online {
            subscribe(&mut state.commands, feed, pattern);
            self.changed.notify_one();
        }
        Feed::new(feed, self.clone())
    }

    /// Has a command with a payload of so many bytes sent on the connection,
    /// behind what was wanted before.
    ///
    /// # Errors
    /// See [`NotSent`].
    pub(crate) fn send(&self, command: &[&[u8]], payload: usize) -> Result<(), NotSent> {
        let mut state = self.lock();
        match () {
            () if !state.online => Err(NotSent::Offline),
            () if payload > state.payload_bytes => Err(NotSent::TooLarge { max: state.payload_bytes }),
            () if state.commands.len() > WAITING_BYTES => Err(NotSent::Full),
            () => {
                command.iter().for_each(|part| state.commands.extend_from_slice(part));
                self.changed.notify_one();
                Ok(())
            }
        }
    }

    /// Notes what the server takes as a payload.
    pub(crate) fn limit(&self, payload_bytes: usize) {
        self.lock().payload_bytes = payload_bytes;
    }

    /// Resolves when there may be something to send.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// What a new connection has to be told: everything.
    pub(crate) fn begin(&self) -> Commands {
        let mut state = self.lock();
        let State { wanted, online, commands, unconfirmed, .. } = &mut *state;
        *online = true;
        commands.clear();
        for (feed, pattern) in wanted.iter() {
            subscribe(commands, *feed, pattern);
        }
        Commands { bytes: std::mem::take(commands), opening: std::mem::take(unconfirmed).into_iter().collect() }
    }

    /// What has come up since.
    pub(crate) fn take(&self) -> Commands {
        let mut state = self.lock();
        let opening = std::mem::take(&mut state.unconfirmed).into_iter().collect();
        Commands { bytes: std::mem::take(&mut state.commands), opening }
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

fn subscribe(commands: &mut Vec<u8>, feed: FeedId, pattern: &Pattern) {
    // Writing to memory cannot fail.
    let _ = write!(commands, "SUB {pattern} {}\r\n", feed.0);
}

impl Feeds for Interest {
    fn close(&self, feed: FeedId) {
        let mut state = self.lock();
        state.wanted.remove(&feed);
        state.unconfirmed.remove(&feed);
        if state.online {
            let _ = write!(state.commands, "UNSUB {}\r\n", feed.0);
            self.changed.notify_one();
        }
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
        let Commands { bytes, opening } = interest.begin();
        assert_eq!((&bytes[..], opening.as_slice()), (&b"SUB a 2\r\n"[..], &[FeedId(2)][..]));
        drop(interest.open(FeedId(3), &pattern));
        drop(kept);
        interest.offline([FeedId(2), FeedId(3)].into_iter());
        let Commands { bytes, opening } = interest.begin();
        assert_eq!((bytes.len(), opening.len()), (0, 0));
    }

    #[test]
    fn what_is_sent_is_bounded_by_what_the_server_takes_and_by_what_waits() {
        let interest = Arc::<Interest>::default();
        assert_eq!(interest.send(&[b"PUB"], 1), Err(NotSent::Offline));
        interest.limit(10);
        interest.begin();
        assert_eq!(interest.send(&[b"PUB"], 11), Err(NotSent::TooLarge { max: 10 }));
        assert_eq!(interest.send(&[b"PUB ", &vec![b'x'; WAITING_BYTES]], 10), Ok(()));
        assert_eq!(interest.send(&[b"PUB"], 10), Err(NotSent::Full));
        assert_eq!(interest.take().bytes.len(), WAITING_BYTES + 4);
        assert_eq!(interest.send(&[b"PUB"], 10), Ok(()));
    }
}
