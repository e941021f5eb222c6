//! One read for all who want the same at the same time.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, PoisonError, Weak},
};

use tokio::sync::OnceCell;

use crate::sync::{Mutex, MutexGuard};

/// Reads under way, by what they read.
#[derive(Debug)]
pub(crate) struct SingleFlight<K, V>(Mutex<HashMap<K, Weak<OnceCell<V>>>>);

impl<K, V> Default for SingleFlight<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Clone + Eq + Hash, V: Clone> SingleFlight<K, V> {
    /// Does it, or waits for who does it already. Where that fails, the next
    /// one who waits tries.
    pub(crate) async fn join<E>(&self, key: K, read: impl Future<Output = Result<V, E>>) -> Result<V, E> {
        let flight = {
            let mut flights = self.lock();
            match flights.get(&key).and_then(Weak::upgrade) {
                Some(flight) => flight,
                None => {
                    let flight = Arc::<OnceCell<V>>::default();
                    flights.insert(key.clone(), Arc::downgrade(&flight));
                    flight
                }
            }
        };
        let value = flight.get_or_try_init(|| read).await.cloned();
        drop(flight);
        let mut flights = self.lock();
        if flights.get(&key).is_some_and(|flight| flight.strong_count() == 0) {
            flights.remove(&key);
        }
        value
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Weak<OnceCell<V>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

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
                    Ok::<u8, ()>(key)
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
        assert!(flights.lock().is_empty());
        go.notify_one();
        assert_eq!(ask(1).await, Ok(1));
        assert_eq!(reads.load(Ordering::Relaxed), 2, "nothing is kept");
    }

    #[tokio::test]
    async fn a_failure_is_told_and_not_kept() {
        let flights = SingleFlight::<u8, u8>::default();
        assert_eq!(flights.join(1, async { Err("no") }).await, Err("no"));
        assert_eq!(flights.join(1, async { Ok::<u8, &str>(2) }).await, Ok(2));
    }
}
