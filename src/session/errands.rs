//! What is done for connections while they are served on: each errand a task of
//! its own, so many at most for one connection, and none outlives it. A
//! connection that has none under way is not known here and costs nothing.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio_util::sync::CancellationToken;

use crate::socket::ConnectionId;

/// Errands of all connections.
#[derive(Debug, Default)]
pub(crate) struct Errands {
    parties: Mutex<HashMap<ConnectionId, Party>>,
    /// How many parties there are: most connections end without ever being one.
    count: AtomicUsize,
}

/// Errands of one connection.
#[derive(Debug, Default)]
struct Party {
    under_way: usize,
    over: CancellationToken,
}

/// One errand; dropping it makes room for another one.
#[derive(Debug)]
pub(crate) struct Errand {
    errands: Arc<Errands>,
    connection: ConnectionId,
    over: CancellationToken,
}

impl Errands {
    /// Begins an errand, unless so many are under way for the connection.
    pub(crate) fn begin(self: &Arc<Self>, connection: ConnectionId, most: usize) -> Option<Errand> {
        let mut parties = self.lock();
        let party = parties.entry(connection).or_default();
        if party.under_way >= most {
            return None;
        }
        party.under_way += 1;
        let over = party.over.clone();
        self.count.store(parties.len(), Ordering::Release);
        Some(Errand { errands: self.clone(), connection, over })
    }

    /// Ends all errands of a connection.
    pub(crate) fn end(&self, connection: ConnectionId) {
        // Only the connection's own task begins errands for it.
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut parties = self.lock();
        if let Some(party) = parties.remove(&connection) {
            party.over.cancel();
        }
        self.count.store(parties.len(), Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ConnectionId, Party>> {
        self.parties.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Errand {
    /// What comes of it; nothing when its connection has ended before.
    pub(crate) async fn run<T>(&self, errand: impl Future<Output = T>) -> Option<T> {
        self.over.run_until_cancelled(errand).await
    }
}

impl Drop for Errand {
    fn drop(&mut self) {
        let mut parties = self.errands.lock();
        if let Entry::Occupied(mut party) = parties.entry(self.connection) {
            party.get_mut().under_way -= 1;
            if party.get().under_way == 0 {
                party.remove();
            }
        }
        self.errands.count.store(parties.len(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(name: &str) -> ConnectionId {
        name.parse().expect("a name")
    }

    #[test]
    fn each_connection_has_so_many_at_most() {
        let errands = Arc::<Errands>::default();
        let (one, other) = (connection("0000000000000001"), connection("0000000000000002"));
        let first = errands.begin(one, 2).expect("room");
        let second = errands.begin(one, 2).expect("room");
        assert!(errands.begin(one, 2).is_none());
        assert!(errands.begin(other, 2).is_some());
        drop(first);
        let third = errands.begin(one, 2).expect("room again");
        drop((second, third));
        assert!(errands.lock().is_empty());
        assert_eq!(errands.count.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn none_outlives_its_connection() {
        let errands = Arc::<Errands>::default();
        let (one, other) = (connection("0000000000000001"), connection("0000000000000002"));
        let (mine, others) = (errands.begin(one, 1).expect("room"), errands.begin(other, 1).expect("room"));
        assert_eq!(others.run(async { 1 }).await, Some(1));
        errands.end(one);
        assert_eq!(mine.run(std::future::pending::<()>()).await, None);
        drop(mine);
        assert_eq!(errands.lock().len(), 1);
        drop(others);
        assert!(errands.lock().is_empty());
    }
}
