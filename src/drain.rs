//! One stop signal and one tracker of tasks: nothing this node started
//! outlives it, and a panic is contained, counted and never silent.

use std::{any::Any, future::Future, panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt as _;
use tokio_util::{
    sync::{CancellationToken, WaitForCancellationFuture},
    task::TaskTracker,
};

use crate::metrics::Metrics;

/// Owner of all tasks of one node. Clones share the same tasks.
#[derive(Clone, Debug)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    failed: CancellationToken,
    metrics: Arc<Metrics>,
}

impl Tasks {
    /// An owner with no tasks yet.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { tracker: TaskTracker::new(), stop: CancellationToken::new(), failed: CancellationToken::new(), metrics }
    }

    /// Runs a task that concerns one client. Its panic is counted and ends
    /// nothing else; what it held is released by its `Drop`s.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let metrics = self.metrics.clone();
        self.tracker.spawn(AssertUnwindSafe(task).catch_unwind().map(move |end| {
            if let Err(panic) = end {
                metrics.panics.increment(1);
                tracing::error!(reason = describe(&*panic), "a client's task panicked; only that client is affected");
            }
        }));
    }

    /// Runs a task that others depend on, until the stop signal. Its panic
    /// leaves shared state in doubt, so the node fails: a restart is safe, an
    /// unnoticed half-dead node is not.
    pub fn spawn_vital(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let (metrics, failed, stop) = (self.metrics.clone(), self.failed.clone(), self.stop.clone());
        self.tracker.spawn(async move {
            let task = AssertUnwindSafe(task).catch_unwind();
            tokio::select! {
                () = stop.cancelled() => {}
                end = task => if let Err(panic) = end {
                    metrics.panics.increment(1);
                    tracing::error!(task = name, reason = describe(&*panic), "a vital task panicked; the node stops");
                    failed.cancel();
                }
            }
        });
    }

    /// Tells every vital task to end.
    pub fn stop(&self) {
        self.stop.cancel();
        self.tracker.close();
    }

    /// Resolves when the stop signal was given.
    pub fn stopped(&self) -> WaitForCancellationFuture<'_> {
        self.stop.cancelled()
    }

    /// Resolves when a vital task has panicked.
    pub fn failed(&self) -> WaitForCancellationFuture<'_> {
        self.failed.cancelled()
    }

    /// Resolves when all tasks have ended; call [`Self::stop`] before.
    pub async fn ended(&self) {
        self.tracker.wait().await;
    }

    /// How many tasks there are.
    pub fn count(&self) -> usize {
        self.tracker.len()
    }
}

fn describe(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tasks() -> (Tasks, Arc<Metrics>) {
        let metrics = Arc::new(Metrics::new().expect("buckets are not empty"));
        (Tasks::new(metrics.clone()), metrics)
    }

    #[tokio::test]
    async fn a_panic_in_a_clients_task_is_counted_and_ends_nothing_else() {
        let (tasks, metrics) = tasks();
        let (done, finished) = tokio::sync::oneshot::channel();
        tasks.spawn(async { panic!("on purpose") });
        tasks.spawn(async { done.send(()).expect("the test waits") });
        finished.await.expect("the neighbour runs to its end");
        tasks.stop();
        tasks.ended().await;
        assert!(tasks.failed().now_or_never().is_none());
        assert!(metrics.render().contains("notifier_panics_total 1"));
    }

    #[tokio::test]
    async fn a_panic_in_a_vital_task_fails_the_node() {
        let (tasks, metrics) = tasks();
        tasks.spawn_vital("doomed", async { panic!("on purpose") });
        tasks.failed().await;
        assert!(metrics.render().contains("notifier_panics_total 1"));
    }

    #[tokio::test]
    async fn the_stop_signal_ends_vital_tasks() {
        let (tasks, _) = tasks();
        tasks.spawn_vital("endless", std::future::pending());
        assert_eq!(tasks.count(), 1);
        tasks.stop();
        tasks.ended().await;
    }
}
