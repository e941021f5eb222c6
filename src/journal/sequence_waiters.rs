//! Sequences that somebody waits for: they cost nothing until they have come,
//! however many wait. Free of I/O.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::{Notify, futures::OwnedNotified};

use crate::sync::Mutex;

/// Sequences that somebody waits for.
#[derive(Debug, Default)]
pub(crate) struct SequenceWaiters(Mutex<BTreeMap<u64, Waiters>>);

/// Those who wait for one of them.
#[derive(Debug, Default)]
struct Waiters {
    count: usize,
    come: Arc<Notify>,
}

/// One of them; dropping it leaves.
pub(crate) struct Waiter<'a> {
    awaited: &'a SequenceWaiters,
    seq: u64,
    come: Arc<Notify>,
    told: Option<OwnedNotified>,
}

impl SequenceWaiters {
    /// Adds a waiter for a sequence. It is told of every event from now on.
    pub(crate) fn enter(&self, seq: u64) -> Waiter<'_> {
        let mut all = self.0.lock();
        let waiters = all.entry(seq).or_default();
        waiters.count += 1;
        let come = waiters.come.clone();
        Waiter { awaited: self, seq, told: Some(come.clone().notified_owned()), come }
    }

    /// Everything up to here has come: tells those who wait for some of it.
    pub(crate) fn reach(&self, head: u64) {
        let mut all = self.0.lock();
        while let Some(first) = all.first_entry()
            && *first.key() <= head
        {
            first.remove().come.notify_waiters();
        }
    }

    /// Tells all: what they wait for may never come.
    pub(crate) fn reset(&self) {
        self.reach(u64::MAX);
    }
}

impl Waiter<'_> {
    /// Waits until it has come, or may never come.
    pub(crate) async fn reached(&mut self) {
        if let Some(told) = self.told.take() {
            told.await;
        }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut all = self.awaited.0.lock();
        // Unless it was told, and others have come to wait for the same since.
        let Some(waiters) = all.get_mut(&self.seq).filter(|waiters| Arc::ptr_eq(&waiters.come, &self.come)) else {
            return;
        };
        waiters.count -= 1;
        if waiters.count == 0 {
            all.remove(&self.seq);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        sync::atomic::{AtomicUsize, Ordering},
        task::{Context, Wake},
    };

    use futures_util::poll;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn who_waits_is_woken_once_and_only_when_it_has_come() {
        let (awaited, woken) = (SequenceWaiters::default(), Arc::<Woken>::default());
        let waker = woken.clone().into();
        let mut context = Context::from_waker(&waker);
        let mut waiters = [5, 5, 9, 12].map(|seq| awaited.enter(seq));
        let mut told = waiters.each_mut().map(|waiter| Box::pin(waiter.reached()));
        assert!(told.iter_mut().all(|told| told.as_mut().poll(&mut context).is_pending()));
        for (head, expected) in [(1, 0), (4, 0), (5, 2), (6, 2), (10, 3), (11, 3)] {
            awaited.reach(head);
            assert_eq!(woken.0.load(Ordering::Relaxed), expected, "up to {head}");
        }
        awaited.reset();
        assert_eq!(woken.0.load(Ordering::Relaxed), 4);
        assert!(told.iter_mut().all(|told| told.as_mut().poll(&mut context).is_ready()));
    }

    #[tokio::test]
    async fn who_does_not_wait_any_more_leaves_nothing() {
        let awaited = SequenceWaiters::default();
        let (mut first, second) = (awaited.enter(5), awaited.enter(5));
        drop(second);
        {
            let mut told = pin!(first.reached());
            assert!(poll!(&mut told).is_pending());
        }
        awaited.reach(5);
        // One of the next stream, which waits for the same sequence.
        let mut third = awaited.enter(5);
        drop(first);
        assert_eq!(awaited.0.lock().len(), 1);
        awaited.reach(5);
        third.reached().await;
        drop(third);
        assert!(awaited.0.lock().is_empty());
    }
}
