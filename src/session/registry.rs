//! The registry holds all connections of a node: for heartbeats (`keep_alive`), the
//! ends of tokens (`token_expiry`), commands of operators, and the drain (`drain`).

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use slab::Slab;
use tokio::{
    sync::oneshot,
    time::{Instant, timeout},
};

use crate::{
    access::{
        grants::Grants,
        identity::{Identity, UserFilter, UserKey},
    },
    admission::Permit,
    close::CloseReason,
    codec::Encoding,
    config::Auth,
    hub::PositionHandle,
    outbox::Outbox,
    session::{
        connection_info::ConnectionInfo,
        expiry::{ConnectionKey, Expiries, When},
        mailbox::{Mailbox, SessionCommand},
    },
    socket::ConnectionId,
    subject::Pattern,
    sync::{Mutex, MutexGuard, rank},
};

/// Shards of the registry. Each is pinged once per interval, one after the other,
/// so that heartbeats are spread evenly and no timer exists per connection.
pub(crate) const SHARDS: usize = 64;

/// Time within which the task of a connection answers a command: it answers at
/// once, unless the node is overloaded.
const COMMAND_TIME: Duration = Duration::from_secs(1);

/// All connections that have said `connect`.
#[derive(Debug)]
pub struct Connections {
    shards: [Mutex<Shard, { rank::REGISTRY }>; SHARDS],
    next: AtomicUsize,
    /// The entry of each connection, by its name: in as many parts, by a hash.
    places: [Mutex<HashMap<ConnectionId, ConnectionKey>>; SHARDS],
    pub(crate) expiries: Expiries,
}

/// Connections that are pinged together.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) entries: Slab<ConnectionEntry>,
    /// Time of the last ping.
    pub(crate) last: Option<Instant>,
}

/// The entry of one connection.
#[derive(Debug)]
pub(crate) struct ConnectionEntry {
    pub(crate) handle: ConnectionHandle,
    /// Time at which an action is due about its token, if that ends.
    pub(crate) expiry: Option<When>,
    /// Pings left unanswered.
    pub(crate) missed: u8,
    mailbox: Mailbox,
}

/// A handle of a connection, copied so that no lock is held while sockets are
/// written.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionHandle {
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) encoding: Encoding,
    pub(crate) position_handle: PositionHandle,
    pub(crate) grants: Grants,
    pub(crate) permit: Arc<Permit>,
}

/// A connection's entry in the registry; dropping it removes the entry.
#[derive(Debug)]
pub(crate) struct Registration {
    registry: Arc<Connections>,
    shard: u32,
    key: u32,
}

impl Connections {
    /// A registry without connections.
    pub fn new(auth: &Auth) -> Arc<Self> {
        Arc::new(Self {
            shards: [const { Mutex::new(Shard { entries: Slab::new(), last: None }) }; SHARDS],
            next: AtomicUsize::new(0),
            places: std::array::from_fn(|_| Mutex::default()),
            expiries: Expiries::new(auth.expiry_warning.duration(), auth.leeway.duration()),
        })
    }

    pub(crate) fn enter(self: &Arc<Self>, handle: ConnectionHandle) -> Registration {
        let (id, shard) = (handle.id(), self.next.fetch_add(1, Ordering::Relaxed) % SHARDS);
        let mut entry = self.lock(shard);
        let key = entry.entries.vacant_key();
        let expires_at = handle.grants.identity().expires_at;
        let expiry = expires_at.map(|end| self.expiries.add((shard as u32, key as u32), end));
        entry.entries.insert(ConnectionEntry { handle, expiry, missed: 0, mailbox: Mailbox::default() });
        drop(entry);
        self.places(id).lock().insert(id, (shard as u32, key as u32));
        Registration { registry: self.clone(), shard: shard as u32, key: key as u32 }
    }

    /// Closes the connections that are meant; returns how many there were. Those
    /// that are being closed anyway do not count.
    pub async fn close(&self, reason: CloseReason, meant: impl Fn(&Identity, ConnectionId) -> bool) -> usize {
        let mut closed = 0;
        for shard in 0..SHARDS {
            for ConnectionHandle { outbox, .. } in
                self.meant(shard, |handle| meant(handle.grants.identity(), handle.id()))
            {
                closed += usize::from(outbox.closed().is_none());
                outbox.close(reason);
            }
            tokio::task::yield_now().await;
        }
        closed
    }

    /// How many connections there are, of a user or in all, and some of them.
    pub async fn list(&self, user: UserFilter<'_>, most: usize) -> (usize, Vec<ConnectionInfo>) {
        let (mut count, mut listed) = (0, Vec::new());
        for shard in 0..SHARDS {
            let meant = self.meant(shard, |handle| user.matches(handle.grants.identity()));
            count += meant.len();
            let room = most - listed.len();
            let row = |handle: &ConnectionHandle| ConnectionInfo::new(handle.id(), handle.grants.identity());
            listed.extend(meant.iter().take(room).map(row));
            tokio::task::yield_now().await;
        }
        (count, listed)
    }

    /// The grants of a connection, if it is one of this node.
    pub fn grants(&self, id: ConnectionId) -> Option<Grants> {
        self.with(id, |entry| entry.handle.grants.clone())
    }

    /// The patterns that a connection of this node has subscribed; none when there is
    /// no such connection, or its task does not answer within a second.
    pub async fn subscriptions(&self, id: ConnectionId) -> Option<Vec<Pattern>> {
        let (answer, answered) = oneshot::channel();
        let is_sent = self.with(id, |entry| entry.mailbox.send(SessionCommand::ListSubscriptions(answer)))?;
        if !is_sent {
            return None;
        }
        timeout(COMMAND_TIME, answered).await.ok()?.ok()
    }

    /// A new connection of a user replaces an earlier one: it takes over the place of
    /// that among the user's connections, and the earlier one is closed. Nothing
    /// happens where this node has no such connection of the user.
    pub(crate) fn replace(&self, earlier: ConnectionId, user: UserKey<'_>, by: &Permit) {
        let Some(handle) = self.with(earlier, |entry| entry.handle.clone()) else { return };
        if handle.grants.identity().user_key() == Some(user) {
            by.take_place(&handle.permit, user);
            handle.outbox.close(CloseReason::Normal);
        }
    }

    /// Acts on the entry of a connection; none when this node has no such connection.
    fn with<R>(&self, id: ConnectionId, act: impl FnOnce(&mut ConnectionEntry) -> R) -> Option<R> {
        let (shard, key) = self.places(id).lock().get(&id).copied()?;
        // It may have left just now, and another one have come.
        self.lock(shard as usize).entries.get_mut(key as usize).filter(|entry| entry.handle.id() == id).map(act)
    }

    fn places(&self, id: ConnectionId) -> &Mutex<HashMap<ConnectionId, ConnectionKey>> {
        &self.places[id.hash() as usize % SHARDS]
    }

    /// The handles of some connections of a shard.
    pub(crate) fn meant(&self, shard: usize, meant: impl Fn(&ConnectionHandle) -> bool) -> Vec<ConnectionHandle> {
        let shard = self.lock(shard);
        shard.entries.iter().map(|(_, entry)| &entry.handle).filter(|handle| meant(handle)).cloned().collect()
    }

    /// The handles of all connections of a shard.
    pub(crate) fn handles(&self, shard: usize) -> Vec<ConnectionHandle> {
        self.meant(shard, |_| true)
    }

    pub(crate) fn lock(&self, shard: usize) -> MutexGuard<'_, Shard> {
        self.shards[shard].lock()
    }
}

impl ConnectionHandle {
    fn id(&self) -> ConnectionId {
        self.outbox.wire().id()
    }
}

impl Registration {
    /// The client has brought a new token.
    pub(crate) fn renew(&self, grants: Grants) {
        let Self { registry, shard, key } = self;
        let mut entry = registry.lock(*shard as usize);
        let Some(entry) = entry.entries.get_mut(*key as usize) else { return };
        entry.expiry.into_iter().for_each(|at| registry.expiries.remove((*shard, *key), at));
        entry.expiry = grants.identity().expires_at.map(|end| registry.expiries.add((*shard, *key), end));
        entry.handle.grants = grants;
    }

    /// The next command to the task of the connection.
    pub(crate) fn poll_command(&self, context: &mut Context<'_>) -> Poll<SessionCommand> {
        let mut shard = self.registry.lock(self.shard as usize);
        match shard.entries.get_mut(self.key as usize) {
            Some(entry) => entry.mailbox.poll_next(context),
            None => Poll::Pending,
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut shard = self.registry.lock(self.shard as usize);
        let entry = shard.entries.remove(self.key as usize);
        entry.expiry.into_iter().for_each(|at| self.registry.expiries.remove((self.shard, self.key), at));
        drop(shard);
        let id = entry.handle.id();
        self.registry.places(id).lock().remove(&id);
    }
}
