//! Whether a client whose socket is full takes enough of what waits for it: a
//! pure function of what it took. One that takes a little now and then holds
//! what waits as one that takes nothing does.

use tokio::time::Instant;

use crate::outbox::policy::Policy;

/// Stall times within which a client has to take as much as its queue may hold, or
/// all that waits: with the defaults 1.1 kB/s, less than the slowest of phones.
const STALL_TIMES: usize = 8;

/// The bytes that a client has taken within a stall time.
#[derive(Debug)]
pub(crate) struct Progress {
    since: Instant,
    /// Bytes.
    pub(crate) taken: usize,
    /// Bytes that it has to take.
    least: usize,
}

impl Progress {
    /// So many bytes wait now.
    pub(crate) fn begin(waiting: usize, now: Instant, policy: &Policy) -> Self {
        Self { since: now, taken: 0, least: waiting.min(policy.bytes / STALL_TIMES) }
    }

    /// Whether it has taken enough by now; a stall time that is over is judged,
    /// and the next one begins with what is `waiting` then.
    pub(crate) fn is_enough(&mut self, waiting: impl FnOnce() -> usize, now: Instant, policy: &Policy) -> bool {
        if now - self.since < policy.stall_time {
            return true;
        }
        let enough = self.taken >= self.least;
        *self = Self::begin(waiting(), now, policy);
        enough
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::*;
    use crate::{metrics::Metrics, tasks::Tasks};

    #[tokio::test]
    async fn a_client_has_to_take_an_eighth_of_its_queue_or_all_that_waits_within_a_stall_time() {
        let metrics = Arc::new(Metrics::new().expect("metrics"));
        let (stall_time, tasks) = (Duration::from_secs(30), Tasks::new(metrics.clone()));
        let policy = Policy { bytes: 800, frames: 4, close_time: Duration::ZERO, stall_time, tasks, metrics };
        let begun = Instant::now();
        let rows = [
            // Bytes that wait, bytes that it takes, seconds later.
            ("nothing, but there is time", 1_000, 0, 29, true),
            ("nothing", 1_000, 0, 30, false),
            ("too little", 1_000, 99, 30, false),
            ("enough", 1_000, 100, 30, true),
            ("all of little", 40, 40, 31, true),
            ("not all of little", 40, 39, 31, false),
        ];
        for (name, waiting, taken, seconds, expected) in rows {
            let mut progress = Progress::begin(waiting, begun, &policy);
            progress.taken += taken;
            let now = begun + Duration::from_secs(seconds);
            assert_eq!(progress.is_enough(|| 1_000, now, &policy), expected, "{name}");
        }
        // The next stall time is judged by what waits when it begins.
        let mut progress = Progress::begin(1_000, begun, &policy);
        for (waiting, taken, expected) in [(60, 100, true), (1_000, 60, true), (1_000, 99, false), (1_000, 100, true)] {
            progress.taken += taken;
            let now = progress.since + Duration::from_secs(35);
            assert_eq!(progress.is_enough(|| waiting, now, &policy), expected, "{taken}");
        }
    }
}
