//! Which patterns this node wants, and what the server has yet to be told.
//! Anybody may open and close feeds; the reading connection takes the commands
//! along.

use std::{
    collections::{BTreeSet, HashMap},
    io::Write as _,
    sync::Arc,
};

use tokio::{
    sync::{Notify, Semaphore},
    time::Instant,
};

use crate::{
    broker::{
        degraded::Degraded,
        feed::{Feed, FeedId, Feeds},
        nats::reading::{denial::Denial, refused::RefusedFeeds},
    },
    subject::Pattern,
    sync::{Mutex, rank},
};

/// Bytes of commands that may wait until the connection takes them, one of any
/// size beyond: what a slow link carries in the time that a write may take.
const WAITING_BYTES: usize = 8 * 1024 * 1024;

/// Bytes of commands behind which one that may wait does wait: what a slow link
/// carries in a part of the time that a write may take.
const ROOM_BYTES: usize = 1024 * 1024;

/// The payload that servers accept unless they say otherwise.
const PAYLOAD_BYTES: usize = 1024 * 1024;

/// The feeds of one reading connection.
#[derive(Debug)]
pub(crate) struct Interest {
    state: Mutex<State, { rank::INTEREST }>,
    changed: Notify,
    /// Told when what waited was taken, or is not going to be.
    room: Notify,
    /// Queue of those that wait for room.
    turn: Semaphore,
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
    /// Wanted feeds that the server refuses.
    refused: RefusedFeeds,
}

/// Bytes to send, and the feeds that are open once the server has obeyed.
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
        /// The bytes that the server accepts.
        max: usize,
    },
}

impl State {
    fn new(degraded: Arc<Degraded>) -> Self {
        Self {
            wanted: HashMap::new(),
            online: false,
            commands: Vec::new(),
            payload_bytes: PAYLOAD_BYTES,
            unconfirmed: BTreeSet::new(),
            refused: RefusedFeeds::new(degraded),
        }
    }
}

impl Interest {
    pub(crate) fn new(degraded: Arc<Degraded>) -> Self {
        let (changed, room, turn) = (Notify::new(), Notify::new(), Semaphore::new(1));
        Self { state: Mutex::new(State::new(degraded)), changed, room, turn }
    }

    /// Wants a pattern from now on, until the feed is dropped.
    pub(crate) fn open(self: &Arc<Self>, feed: FeedId, pattern: &Pattern) -> Feed {
        let mut state = self.state.lock();
        state.wanted.insert(feed, pattern.clone());
        state.unconfirmed.insert(feed);
        if state.online {
            subscribe(&mut state.commands, feed, pattern);
            self.changed.notify_one();
        }
        Feed::new(feed, self.clone())
    }

    /// Has a command with a payload of `payload` bytes sent on the connection,
    /// behind earlier commands.
    ///
    /// # Errors
    /// See [`NotSent`].
    pub(crate) fn send(&self, command: &[&[u8]], payload: usize) -> Result<(), NotSent> {
        self.send_behind(WAITING_BYTES, command, payload)
    }

    /// The same for commands that wait until there is room: they leave in the
    /// order in which this is polled first.
    ///
    /// # Errors
    /// See [`NotSent`]; never [`NotSent::Full`].
    pub(crate) async fn send_in_turn(&self, command: &[&[u8]], payload: usize) -> Result<(), NotSent> {
        // It is never closed.
        let _turn = self.turn.acquire().await;
        loop {
            let room = self.room.notified();
            match self.send_behind(ROOM_BYTES, command, payload) {
                Err(NotSent::Full) => room.await,
                done => return done,
            }
        }
    }

    fn send_behind(&self, most: usize, command: &[&[u8]], payload: usize) -> Result<(), NotSent> {
        let mut state = self.state.lock();
        match () {
            () if !state.online => Err(NotSent::Offline),
            () if payload > state.payload_bytes => Err(NotSent::TooLarge { max: state.payload_bytes }),
            () if state.commands.len() > most => Err(NotSent::Full),
            () => {
                command.iter().for_each(|part| state.commands.extend_from_slice(part));
                self.changed.notify_one();
                Ok(())
            }
        }
    }

    /// Notes what the server takes as a payload.
    pub(crate) fn limit(&self, payload_bytes: usize) {
        self.state.lock().payload_bytes = payload_bytes;
    }

    /// Resolves when there may be something to send.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The commands for a new connection: all feeds.
    pub(crate) fn begin(&self) -> Commands {
        let mut state = self.state.lock();
        let State { wanted, online, commands, unconfirmed, refused, .. } = &mut *state;
        *online = true;
        refused.all_tried();
        commands.clear();
        // Older ones first: a feed that takes over from another one brings nothing that the other does not.
        let mut all: Vec<_> = wanted.iter().collect();
        all.sort_unstable_by_key(|(feed, _)| **feed);
        for (feed, pattern) in all {
            subscribe(commands, *feed, pattern);
        }
        Commands { bytes: std::mem::take(commands), opening: std::mem::take(unconfirmed).into_iter().collect() }
    }

    /// The commands since the last call.
    pub(crate) fn take(&self) -> Commands {
        let mut state = self.state.lock();
        if !state.commands.is_empty() {
            self.room.notify_waiters();
        }
        let opening = std::mem::take(&mut state.unconfirmed).into_iter().collect();
        Commands { bytes: std::mem::take(&mut state.commands), opening }
    }

    /// Notes that the connection ended before these feeds were confirmed. A
    /// feed of a stream is announced as open again on the next connection in
    /// any case, since something may be missing.
    pub(crate) fn offline(&self, unconfirmed: impl Iterator<Item = FeedId>) {
        let mut state = self.state.lock();
        let State { wanted, online, unconfirmed: again, refused, .. } = &mut *state;
        *online = false;
        self.room.notify_waiters();
        again.extend(unconfirmed.filter(|feed| wanted.contains_key(feed)));
        again.extend(wanted.keys().filter(|feed| feed.stream().is_some()));
        again.extend(refused.ids());
        refused.all_tried();
    }

    /// Notes feeds that the server refuses: `opening` are the last ones that it
    /// was told of, or `all`. Returns those that it had not refused before.
    pub(crate) fn refuse(&self, denials: &[Denial], opening: &[FeedId], all: bool, now: Instant) -> Vec<FeedId> {
        let mut state = self.state.lock();
        let State { wanted, refused, .. } = &mut *state;
        if all {
            return refused.note(wanted, denials, wanted.keys().copied(), now);
        }
        refused.note(wanted, denials, opening.iter().copied(), now)
    }

    /// Whether the server's last word on a feed was no.
    pub(crate) fn is_refused(&self, feed: FeedId) -> bool {
        self.state.lock().refused.has(feed)
    }

    /// These are open; returns how many of them had been refused.
    pub(crate) fn allow(&self, feeds: &[FeedId]) -> usize {
        self.state.lock().refused.forget(feeds)
    }

    /// When a refused feed is to be tried again.
    pub(crate) fn retry_at(&self) -> Option<Instant> {
        self.state.lock().refused.next()
    }

    /// The commands for refused feeds that are tried again now; each has to be
    /// confirmed by itself.
    pub(crate) fn retry(&self, now: Instant) -> Vec<Commands> {
        let mut state = self.state.lock();
        let State { wanted, refused, .. } = &mut *state;
        let parts = refused.due(now).into_iter().map(|opening| {
            let mut bytes = Vec::new();
            for feed in &opening {
                let Some(pattern) = wanted.get(feed) else { continue };
                // It may be open after all, where that was in doubt.
                let _ = write!(bytes, "UNSUB {}\r\n", feed.0);
                subscribe(&mut bytes, *feed, pattern);
            }
            Commands { bytes, opening }
        });
        parts.collect()
    }

    /// The subject of a feed.
    pub(crate) fn subject(&self, feed: FeedId) -> Option<Pattern> {
        self.state.lock().wanted.get(&feed).cloned()
    }
}

fn subscribe(commands: &mut Vec<u8>, feed: FeedId, pattern: &Pattern) {
    // Writing to memory cannot fail.
    let _ = write!(commands, "SUB {pattern} {}\r\n", feed.0);
}

impl Feeds for Interest {
    fn close(&self, feed: FeedId) {
        let mut state = self.state.lock();
        state.wanted.remove(&feed);
        state.unconfirmed.remove(&feed);
        state.refused.forget(&[feed]);
        if state.online {
            let _ = write!(state.commands, "UNSUB {}\r\n", feed.0);
            self.changed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::metrics::Metrics;

    fn interest() -> Arc<Interest> {
        let metrics = Arc::new(Metrics::new().expect("metrics"));
        Arc::new(Interest::new(Arc::new(Degraded::new(metrics))))
    }

    /// Else a client that comes and goes during an outage would fill the memory.
    #[test]
    fn what_is_given_up_while_there_is_no_connection_is_forgotten() {
        let interest = interest();
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
    fn what_was_refused_is_asked_for_again_and_by_the_next_connection_with_the_rest() {
        let interest = interest();
        let feeds: Vec<_> = (1..).map(FeedId).zip(["a", "b"]).collect();
        let mut feeds: Vec<_> = feeds
            .into_iter()
            .map(|(feed, text)| interest.open(feed, &Pattern::parse(text).expect("a pattern")))
            .collect();
        let (opening, now) = (interest.begin().opening, Instant::now());
        assert_eq!(interest.refuse(&[Denial::Limit], &[], true, now), opening);
        let told: Vec<_> = interest.retry(now).into_iter().map(|told| (told.bytes, told.opening)).collect();
        let expected = [(&b"UNSUB 1\r\nSUB a 1\r\n"[..], FeedId(1)), (b"UNSUB 2\r\nSUB b 2\r\n", FeedId(2))];
        assert_eq!(told, expected.map(|(bytes, feed)| (bytes.to_vec(), vec![feed])));
        assert_eq!(interest.allow(&[FeedId(1)]), 1);
        interest.offline(std::iter::empty());
        assert_eq!((interest.retry_at(), interest.begin().opening), (None, vec![FeedId(2)]));
        interest.refuse(&[Denial::Number(2)], &[], false, now);
        assert!(interest.retry_at().is_some());
        // Nobody wants it any more.
        feeds.pop();
        assert_eq!(interest.retry_at(), None);
    }

    #[test]
    fn what_is_sent_is_bounded_by_what_the_server_takes_and_by_what_waits() {
        let interest = interest();
        assert_eq!(interest.send(&[b"PUB"], 1), Err(NotSent::Offline));
        interest.limit(10);
        interest.begin();
        assert_eq!(interest.send(&[b"PUB"], 11), Err(NotSent::TooLarge { max: 10 }));
        assert_eq!(interest.send(&[b"PUB ", &vec![b'x'; WAITING_BYTES]], 10), Ok(()));
        assert_eq!(interest.send(&[b"PUB"], 10), Err(NotSent::Full));
        assert_eq!(interest.take().bytes.len(), WAITING_BYTES + 4);
        assert_eq!(interest.send(&[b"PUB"], 10), Ok(()));
    }

    #[test]
    fn who_waits_for_room_is_sent_in_order_or_told_of_the_end() {
        let interest = interest();
        interest.begin();
        let sending = |byte: u8| {
            let interest = interest.clone();
            Box::pin(async move { interest.send_in_turn(&[&vec![byte; ROOM_BYTES + 1]], 1).await })
        };
        let [mut a, mut b, mut c, mut d] = [b'a', b'b', b'c', b'd'].map(sending);
        let mut context = Context::from_waker(Waker::noop());
        assert_eq!(a.as_mut().poll(&mut context), Poll::Ready(Ok(())));
        for waiting in [&mut b, &mut c, &mut d] {
            assert_eq!(waiting.as_mut().poll(&mut context), Poll::Pending);
        }
        assert_eq!(interest.take().bytes[0], b'a');
        assert_eq!(c.as_mut().poll(&mut context), Poll::Pending, "it is not its turn");
        assert_eq!(b.as_mut().poll(&mut context), Poll::Ready(Ok(())));
        assert_eq!(interest.take().bytes[0], b'b');
        assert_eq!(c.as_mut().poll(&mut context), Poll::Ready(Ok(())));
        assert_eq!(d.as_mut().poll(&mut context), Poll::Pending);
        interest.offline(std::iter::empty());
        assert_eq!(d.as_mut().poll(&mut context), Poll::Ready(Err(NotSent::Offline)));
    }
}
