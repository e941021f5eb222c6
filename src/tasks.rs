//! The task tracker of a node, with its stop signal: no task outlives the node, and
//! a panic is contained, counted and never silent.

use std::{any::Any, convert::Infallible, future::Future, io, panic::AssertUnwindSafe, sync::Arc, thread};

use futures_util::FutureExt as _;
use tokio::{runtime::Builder, sync::oneshot};
use tokio_util::{
    sync::{CancellationToken, WaitForCancellationFuture},
    task::TaskTracker,
};

use crate::{metrics::Metrics, sync::Handle};

/// Owner of all tasks of one node. Clones share the same tasks.
#[derive(Clone, Debug)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    failed: CancellationToken,
    /// Where tasks run, whoever begins them.
    runtime: Handle,
    metrics: Arc<Metrics>,
}

impl Tasks {
    /// An owner with no tasks yet, which run where this is called.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            tracker: TaskTracker::new(),
            stop: CancellationToken::new(),
            failed: CancellationToken::new(),
            runtime: Handle::current(),
            metrics,
        }
    }

    /// Runs a task that concerns one client. Its panic is counted and ends
    /// nothing else; what it held is released by its `Drop`s.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let metrics = self.metrics.clone();
        let task = AssertUnwindSafe(task).catch_unwind().map(move |end| {
            if let Err(panic) = end {
                metrics.panics.increment(1);
                tracing::error!(reason = describe(&*panic), "a client's task panicked; only that client is affected");
            }
        });
        self.run(task);
    }

    /// Runs a task that others depend on, until the stop signal. Its panic
    /// leaves shared state in doubt, so the node fails: a restart is safe, an
    /// unnoticed half-dead node is not.
    pub fn spawn_vital(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let (vital, stop) = (self.vital(name, task), self.stop.clone());
        let task = async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = vital => {}
            }
        };
        self.run(task);
    }

    /// The same on a thread and a runtime of its own: however many tasks are
    /// ready elsewhere, the system gives it its turn, and it may block for a
    /// moment. It ends with the runtime of all others, if not before.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn spawn_thread(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (hold, held) = oneshot::channel::<Infallible>();
        let (done, ended) = oneshot::channel::<Infallible>();
        let (vital, stop) = (self.vital(name, task), self.stop.clone());
        thread::Builder::new().name(name.into()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = held => {}
                    () = vital => {}
                }
            });
            drop(done);
        })?;
        let owner = async move {
            stop.cancelled().await;
            drop(hold);
            // Nothing is sent; it resolves when the thread is through.
            let _ = ended.await;
        };
        self.run(owner);
        Ok(())
    }

    fn run(&self, task: impl Future<Output = ()> + Send + 'static) {
        // The tracker learns how the task ends.
        drop(self.runtime.spawn(self.tracker.track_future(task)));
    }

    /// A task whose panic fails the node.
    fn vital<F: Future<Output = ()>>(&self, name: &'static str, task: F) -> impl Future<Output = ()> + use<F> {
        let (metrics, failed) = (self.metrics.clone(), self.failed.clone());
        AssertUnwindSafe(task).catch_unwind().map(move |end| {
            if let Err(panic) = end {
                metrics.panics.increment(1);
                tracing::error!(task = name, reason = describe(&*panic), "a vital task panicked; the node stops");
                failed.cancel();
            }
        })
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
    async fn a_thread_ends_with_the_stop_signal_and_its_panic_fails_the_node() {
        let (tasks, _) = tasks();
        tasks.spawn_thread("endless", std::future::pending()).expect("a thread");
        tasks.spawn_thread("doomed", async { panic!("on purpose") }).expect("a thread");
        tasks.failed().await;
        assert_eq!(tasks.count(), 2);
        tasks.stop();
        tasks.ended().await;
    }

    #[tokio::test]
    async fn what_a_thread_begins_runs_with_all_others() {
        let (tasks, _) = tasks();
        let here = std::thread::current().id();
        let (tell, told) = oneshot::channel();
        let inner = tasks.clone();
        let task = async move { inner.spawn(async move { tell.send(std::thread::current().id()).expect("awaited") }) };
        tasks.spawn_thread("thread", task).expect("a thread");
        assert_eq!(told.await, Ok(here));
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
