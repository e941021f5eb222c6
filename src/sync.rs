//! Locks, tasks and waiting: those of the standard library and of tokio. With
//! the feature `model` they are those of a scheduler that tries one order of
//! steps after the other, so that `tests/model` runs the code of the floors above.

mod lock;
#[cfg(feature = "model")]
mod model;
pub mod rank;

pub use lock::{Mutex, MutexGuard, ReadGuard, RwLock, WriteGuard};
#[cfg(feature = "model")]
pub use model::{Elapsed, Handle, let_a_while_pass, let_time_pass, sleep, timeout, yield_now};
#[cfg(not(feature = "model"))]
pub use tokio::{
    runtime::Handle,
    task::yield_now,
    time::{sleep, timeout},
};
