//! The same for models. A step is what happens between two points at which another task may go on: before a lock is
//! taken, before and after it is given back, and wherever a task waits. A call of tokio's channels and notifications is
//! one step each.

use std::{
    future::Future,
    ops::{Deref, DerefMut},
    sync::{LockResult, Mutex as Unmodelled, PoisonError},
    thread,
    time::Duration,
};

use shuttle::{
    future::JoinHandle,
    sync::{
        self,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio_util::sync::CancellationToken;

pub use shuttle::future::yield_now;
pub(crate) use shuttle::sync::{
    RwLock as RawRwLock, RwLockReadGuard as RawReadGuard, RwLockWriteGuard as RawWriteGuard,
};

/// A shorter wait is over at any later step. A longer one ends when a model says so: so nothing is put right by a task
/// that looks again after seconds.
const SOON: Duration = Duration::from_secs(1);

shuttle::lazy_static! {
    static ref LATER: Unmodelled<CancellationToken> = Unmodelled::default();
}

/// Ends all waiting for a time, of this run of a model.
pub fn let_time_pass() {
    later(|token| token.cancel());
}

/// Ends the waiting that has begun; what begins to wait later waits.
pub fn let_a_while_pass() {
    later(|token| std::mem::take(token).cancel());
}

fn later<T>(act: impl FnOnce(&mut CancellationToken) -> T) -> T {
    act(&mut LATER.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Waits for a time.
pub async fn sleep(time: Duration) {
    if time >= SOON {
        later(|token| token.clone()).cancelled().await;
    }
    yield_now().await;
}

/// It has taken too long.
#[derive(Clone, Copy, Debug)]
pub struct Elapsed;

/// Waits for something, for a time at most.
///
/// # Errors
/// When it has taken too long.
pub async fn timeout<F: Future>(time: Duration, future: F) -> Result<F::Output, Elapsed> {
    tokio::select! {
        biased;
        output = future => Ok(output),
        () = sleep(time) => Err(Elapsed),
    }
}

/// Begins tasks.
#[derive(Clone, Debug)]
pub struct Handle(());

impl Handle {
    /// That of the model which runs.
    pub fn current() -> Self {
        Self(())
    }

    /// Begins a task.
    pub fn spawn<F: Future<Output: Send> + Send + 'static>(&self, task: F) -> JoinHandle<F::Output> {
        shuttle::future::spawn(task)
    }
}

/// A lock.
#[derive(Debug, Default)]
pub(crate) struct RawMutex<T>(sync::Mutex<T>);

/// Holds a lock.
#[derive(Debug)]
pub(crate) struct RawMutexGuard<'m, T> {
    // In this order: others may go on once it is given back, not only before.
    held: sync::MutexGuard<'m, T>,
    _after: YieldOnDrop,
}

#[derive(Debug)]
struct YieldOnDrop;

impl<T> RawMutex<T> {
    /// A lock around something.
    pub(crate) const fn new(value: T) -> Self {
        Self(sync::Mutex::new(value))
    }

    /// Takes it, as soon as nobody else has it.
    ///
    /// # Errors
    /// When somebody has panicked who had it.
    pub(crate) fn lock(&self) -> LockResult<RawMutexGuard<'_, T>> {
        let guard = |held| RawMutexGuard { held, _after: YieldOnDrop };
        self.0.lock().map(guard).map_err(|poisoned| PoisonError::new(guard(poisoned.into_inner())))
    }
}

impl<T> Deref for RawMutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.held
    }
}

impl<T> DerefMut for RawMutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.held
    }
}

impl Drop for YieldOnDrop {
    fn drop(&mut self) {
        if !thread::panicking() {
            // A look at something shared lets others go on before.
            AtomicBool::new(false).load(Ordering::SeqCst);
        }
    }
}
