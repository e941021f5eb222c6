//! One read for all who want the same at the same time.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use tokio::sync::OnceCell;

use crate::{broker::ReadError, sync::Mutex};

/// Reads under way, by what they read.
#[derive(Debug)]
pub(crate) struct SingleFlight<K: Eq + Hash, V>(Mutex<HashMap<K, Flight<V>>>);

/// The result of a read for all that wait.
type FlightOutcome<V> = Arc<OnceCell<Result<V, ReadError>>>;

/// One read, and how many wait for it.
#[derive(Debug)]
struct Flight<V> {
    outcome: FlightOutcome<V>,
    callers: usize,
}

/// One who waits for a read, or does it. The first one to leave with an outcome
/// takes the key out, so that later callers read anew; without an outcome the
/// last one does: a cancelled caller leaves nothing behind.
struct Caller<'f, K: Eq + Hash, V> {
    flights: &'f SingleFlight<K, V>,
    key: K,
    outcome: FlightOutcome<V>,
}

impl<K: Eq + Hash, V> Default for SingleFlight<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Clone + Eq + Hash, V: Clone> SingleFlight<K, V> {
    /// Does it, or waits for who does it already. Where that is cancelled, the
    /// next one who waits tries. A failure is that of all who wait: each trying
    /// in turn, the last would wait as often as there are others.
    pub(crate) async fn join(&self, key: K, read: impl Future<Output = Result<V, ReadError>>) -> Result<V, ReadError> {
        let outcome = {
            let mut flights = self.0.lock();
            let new = || Flight { outcome: Arc::default(), callers: 0 };
            let flight = flights.entry(key.clone()).or_insert_with(new);
            flight.callers += 1;
            flight.outcome.clone()
        };
        let caller = Caller { flights: self, key, outcome };
        caller.outcome.get_or_init(|| read).await.clone()
    }
}

impl<K: Eq + Hash, V> Drop for Caller<'_, K, V> {
    fn drop(&mut self) {
        let mut flights = self.flights.0.lock();
        let Some(flight) = flights.get_mut(&self.key).filter(|flight| Arc::ptr_eq(&flight.outcome, &self.outcome))
        else {
            return;
        };
        flight.callers -= 1;
        if flight.callers == 0 || self.outcome.initialized() {
            flights.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::pending,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use futures_util::poll;
    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn who_wants_the_same_at_the_same_time_shares_one_read() {
        let flights = Arc::new(SingleFlight::<u8, u8>::default());
        let (reads, begun, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()), Arc::new(Notify::new()));
        let ask = |key: u8| {
            let (flights, reads, begun, go) = (flights.clone(), reads.clone(), begun.clone(), go.clone());
            async move {
                let read = async {
                    reads.fetch_add(1, Ordering::Relaxed);
                    begun.notify_one();
                    go.notified().await;
                    Ok(key)
                };
                flights.join(key, read).await
            }
        };
        let first = tokio::spawn(ask(1));
        begun.notified().await;
        let second = tokio::spawn(ask(1));
        tokio::task::yield_now().await;
        go.notify_one();
        assert_eq!((first.await.expect("no panic"), second.await.expect("no panic")), (Ok(1), Ok(1)));
        assert_eq!(reads.load(Ordering::Relaxed), 1);
        assert!(flights.0.lock().is_empty());
        go.notify_one();
        assert_eq!(ask(1).await, Ok(1));
        assert_eq!(reads.load(Ordering::Relaxed), 2, "nothing is kept");
    }

    #[tokio::test]
    async fn a_failure_is_told_to_all_who_wait_and_not_kept() {
        let flights = SingleFlight::<u8, u8>::default();
        let go = Notify::new();
        let fails = async {
            go.notified().await;
            Err(ReadError::Timeout)
        };
        let mut first = Box::pin(flights.join(1, fails));
        // The second never gets to read: it is told what the first one was.
        let mut second = Box::pin(flights.join(1, async { Ok(3) }));
        assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
        go.notify_one();
        assert_eq!(first.await, Err(ReadError::Timeout));
        assert_eq!(flights.join(1, async { Ok(2) }).await, Ok(2), "though somebody waits still");
        assert_eq!(second.await, Err(ReadError::Timeout));
        assert!(flights.0.lock().is_empty());
    }

    #[tokio::test]
    async fn who_gives_up_leaves_no_key_and_the_next_one_reads() {
        let flights = SingleFlight::<u8, u8>::default();
        for key in 0..100 {
            let mut given_up = Box::pin(flights.join(key, pending()));
            assert!(poll!(&mut given_up).is_pending());
            let mut waits = Box::pin(flights.join(key, async { Ok(key) }));
            assert!(poll!(&mut waits).is_pending());
            drop(given_up);
            assert_eq!(waits.await, Ok(key));
            let mut alone = Box::pin(flights.join(key, pending()));
            assert!(poll!(&mut alone).is_pending());
        }
        assert!(flights.0.lock().is_empty());
    }
}
