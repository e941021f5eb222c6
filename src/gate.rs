//! How many connections there may be, how many there are, and when the last
//! one has gone.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Notify;

/// Counts connections up to a limit.
#[derive(Debug)]
pub struct Gate {
    most: usize,
    open: AtomicUsize,
    emptied: Notify,
}

/// One connection's right to be open; dropping it gives it back.
#[derive(Debug)]
pub struct Permit(Arc<Gate>);

impl Gate {
    /// A gate for at most so many connections.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, open: AtomicUsize::new(0), emptied: Notify::new() })
    }

    /// Lets one more connection in, if there is room.
    pub fn enter(self: &Arc<Self>) -> Option<Permit> {
        let grow = |open| (open < self.most).then_some(open + 1);
        self.open.fetch_update(Ordering::AcqRel, Ordering::Relaxed, grow).ok()?;
        Some(Permit(self.clone()))
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// How many there may be.
    pub fn most(&self) -> usize {
        self.most
    }

    /// Resolves when none is open.
    pub async fn emptied(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.open.load(Ordering::Acquire) == 0 {
                return;
            }
            emptied.await;
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.emptied.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_gate_lets_in_as_many_as_it_may_and_tells_when_all_have_left() {
        let gate = Gate::new(2);
        gate.emptied().await;
        let (first, second) = (gate.enter(), gate.enter());
        assert!(first.is_some() && second.is_some());
        assert!(gate.enter().is_none());
        drop(first);
        let third = gate.enter();
        assert_eq!((third.is_some(), gate.open()), (true, 2));
        let waiting = tokio::spawn({
            let gate = gate.clone();
            async move { gate.emptied().await }
        });
        tokio::task::yield_now().await;
        drop((second, third));
        waiting.await.expect("it was told");
    }
}
