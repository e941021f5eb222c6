//! How far an HTTP connection is, and by when its client has to do the next
//! thing. The HTTP library has one time for an idle connection and for a head
//! that is arriving, and none for a client that does not read its answer.
//!
//! The stream ([`Strict`](super::Strict)) says what arrives and what has left,
//! the server what it answers.

use std::{future::poll_fn, mem, sync::Arc, task::Poll, time::Duration};

use tokio::time::{Instant, sleep_until};

use crate::sync::{Mutex, MutexGuard};

/// How long a client may take for each thing.
#[derive(Clone, Copy, Debug)]
pub struct HttpTimes {
    /// For a request head, from its first byte on; for the first one of a
    /// connection from the connection on.
    pub head: Duration,
    /// From an answer to the first byte of the next request.
    pub idle: Duration,
    /// For an answer, until the last byte of it has left.
    pub answer: Duration,
}

/// The step that a client has not taken in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overdue {
    /// Its request head is not complete.
    Head,
    /// No next request has come, which is not a fault.
    Idle,
    /// It has not taken its answer.
    Answer,
}

/// How far one HTTP connection is.
#[derive(Debug)]
pub struct HttpProgress(Mutex<Stage>);

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// A head arrives, since then.
    Head(Instant),
    /// A request is being answered; its handler limits the time.
    Work,
    /// Its answer was made then, and is not handed over to the HTTP library yet.
    Answer(Instant),
    /// It is handed over, and has not left yet.
    Leaving(Instant),
    /// It has left, and no byte of a further request has come since then.
    Idle(Instant),
}

impl HttpProgress {
    /// That of a connection that has just begun.
    pub fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Stage::Head(Instant::now()))))
    }

    /// A complete request head has come. Returns whether the answer to the request
    /// before has left: else the connection cannot be taken from the HTTP library.
    pub fn asked(&self) -> bool {
        let before = mem::replace(&mut *self.at(), Stage::Work);
        matches!(before, Stage::Head(_) | Stage::Idle(_))
    }

    /// Its answer is made.
    pub fn answered(&self) {
        *self.at() = Stage::Answer(Instant::now());
    }

    /// The HTTP library has all of the answer.
    pub fn handed_over(&self) {
        let mut at = self.at();
        if let Stage::Answer(since) = *at {
            *at = Stage::Leaving(since);
        }
    }

    /// Something has arrived.
    pub(crate) fn received(&self) {
        let mut at = self.at();
        if let Stage::Idle(_) = *at {
            *at = Stage::Head(Instant::now());
        }
    }

    /// All that the HTTP library has written has left; `between`: nothing of a
    /// further request has arrived, or all of it.
    pub(crate) fn flushed(&self, between: bool) {
        let mut at = self.at();
        if let Stage::Leaving(_) = *at {
            let now = Instant::now();
            *at = if between { Stage::Idle(now) } else { Stage::Head(now) };
        }
    }

    /// Resolves when the client is late. To be polled behind the connection, by
    /// the same task: whatever moves the connection on moves this on as well.
    pub async fn overdue(&self, times: HttpTimes) -> Overdue {
        let sleep = sleep_until(Instant::now());
        tokio::pin!(sleep);
        poll_fn(|context| {
            let Some((deadline, overdue)) = self.deadline(times) else { return Poll::Pending };
            if sleep.deadline() != deadline {
                sleep.as_mut().reset(deadline);
            }
            sleep.as_mut().poll(context).map(|()| overdue)
        })
        .await
    }

    fn deadline(&self, times: HttpTimes) -> Option<(Instant, Overdue)> {
        match *self.at() {
            Stage::Head(since) => Some((since + times.head, Overdue::Head)),
            Stage::Work => None,
            Stage::Answer(since) | Stage::Leaving(since) => Some((since + times.answer, Overdue::Answer)),
            Stage::Idle(since) => Some((since + times.idle, Overdue::Idle)),
        }
    }

    fn at(&self) -> MutexGuard<'_, Stage> {
        self.0.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: HttpTimes =
        HttpTimes { head: Duration::from_secs(5), idle: Duration::from_secs(75), answer: Duration::from_secs(60) };

    /// The step that is due next, and the time from `start` to its end, in seconds.
    fn waits(progress: &HttpProgress, start: Instant) -> Option<(Overdue, u64)> {
        let (deadline, overdue) = progress.deadline(TIMES)?;
        Some((overdue, (deadline - start).as_secs()))
    }

    #[test]
    fn each_stage_has_the_time_of_its_own() {
        let start = Instant::now();
        let progress = HttpProgress::new();
        assert_eq!(waits(&progress, start), Some((Overdue::Head, 5)));
        progress.received();
        progress.flushed(true);
        assert_eq!(waits(&progress, start), Some((Overdue::Head, 5)), "the first head is due from the start on");
        progress.asked();
        progress.received();
        assert_eq!(waits(&progress, start), None);
        progress.answered();
        progress.flushed(true);
        assert_eq!(waits(&progress, start), Some((Overdue::Answer, 60)), "some of it has left");
        progress.handed_over();
        progress.received();
        assert_eq!(waits(&progress, start), Some((Overdue::Answer, 60)), "what comes next does not end it");
        progress.flushed(true);
        assert_eq!(waits(&progress, start), Some((Overdue::Idle, 75)));
        progress.handed_over();
        progress.flushed(true);
        assert_eq!(waits(&progress, start), Some((Overdue::Idle, 75)));
        progress.received();
        assert_eq!(waits(&progress, start), Some((Overdue::Head, 5)));
    }

    #[test]
    fn a_byte_more_gives_a_head_no_more_time() {
        let progress = HttpProgress::new();
        let (deadline, _) = progress.deadline(TIMES).expect("a head is due");
        progress.received();
        assert_eq!(progress.deadline(TIMES).map(|(later, _)| later), Some(deadline));
    }

    #[test]
    fn what_has_come_of_a_next_head_before_the_answer_left_is_no_idle_connection() {
        let start = Instant::now();
        let progress = HttpProgress::new();
        progress.asked();
        progress.answered();
        progress.handed_over();
        progress.flushed(false);
        assert_eq!(waits(&progress, start), Some((Overdue::Head, 5)));
    }

    #[tokio::test]
    async fn what_is_due_sooner_than_it_was_is_noticed() {
        let times = HttpTimes { head: Duration::from_millis(20), idle: Duration::from_secs(600), ..TIMES };
        let progress = HttpProgress::new();
        progress.asked();
        progress.answered();
        progress.handed_over();
        progress.flushed(true);
        let overdue = progress.overdue(times);
        tokio::pin!(overdue);
        assert!(futures_util::poll!(overdue.as_mut()).is_pending());
        progress.received();
        assert_eq!(overdue.await, Overdue::Head);
    }
}
