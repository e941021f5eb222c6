//! How long a client may take for one HTTP answer. The HTTP library would wait
//! for a client that does not read for ever, and hold the answer meanwhile.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep, sleep_until};

/// How far one HTTP connection is.
#[derive(Debug)]
pub(crate) struct Pace(Mutex<At>);

#[derive(Clone, Copy, Debug)]
enum At {
    /// No request has come, which the HTTP library limits.
    Start,
    /// A request is being answered, which is for whoever answers it to limit.
    Work,
    /// Its answer was handed over then, and no further request has come.
    Answer(Instant),
}

impl Pace {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(At::Start))
    }

    /// Whether no request has come yet.
    pub(crate) fn is_at_start(&self) -> bool {
        matches!(*self.at(), At::Start)
    }

    /// A request has come.
    pub(crate) fn asked(&self) {
        *self.at() = At::Work;
    }

    /// Its answer is ready to be sent.
    pub(crate) fn answered(&self) {
        *self.at() = At::Answer(Instant::now());
    }

    /// Resolves when the client is late: an answer is older than `most` and no
    /// further request has come.
    pub(crate) async fn late(&self, most: Duration) {
        loop {
            let at = *self.at();
            match at {
                At::Start | At::Work => sleep(most).await,
                At::Answer(then) if then.elapsed() >= most => return,
                At::Answer(then) => sleep_until(then + most).await,
            }
        }
    }

    fn at(&self) -> MutexGuard<'_, At> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
