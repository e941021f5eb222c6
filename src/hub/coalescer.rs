//! The coalescer tells an intake when to let events gather before its next read,
//! as a network card coalesces interrupts. A node follows whole streams, and most
//! of the cost of an event that no client here wants is the wake-up. Free of I/O.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Time for which events gather, and so the latency that this adds.
const MOMENT: Duration = Duration::from_millis(1);

/// Reads in a row without a wanted event, after which events gather. Where events
/// are wanted now and then, they are not kept waiting.
const FRUITLESS: u32 = 200;

/// Counts reads without a wanted event.
#[derive(Debug)]
pub(crate) struct Coalescer {
    fruitless: u32,
    since: Instant,
}

impl Coalescer {
    pub(crate) fn new(now: Instant) -> Self {
        Self { fruitless: 0, since: now }
    }

    /// Whether to let events gather after a read, which has brought a wanted event or not.
    pub(crate) fn after(&mut self, wanted: bool, now: Instant) -> bool {
        if wanted || self.fruitless == 0 {
            (self.fruitless, self.since) = (u32::from(!wanted), now);
            return false;
        }
        self.fruitless += 1;
        if self.fruitless <= FRUITLESS {
            return false;
        }
        // Looks that are further apart than that cost nothing noticeable.
        let crowded = now - self.since <= MOMENT * 4 * self.fruitless;
        if !crowded {
            self.fruitless = 0;
        }
        crowded
    }
}

/// Lets events gather, on a thread that serves nobody else.
#[expect(clippy::disallowed_methods, reason = "a task that waits would be woken by each packet all the same")]
pub(crate) fn gather() {
    thread::sleep(MOMENT);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks at these milliseconds; whether it lingers after the last.
    fn looks(at: impl IntoIterator<Item = (u64, bool)>) -> bool {
        let begun = Instant::now();
        let mut coalescer = Coalescer::new(begun);
        at.into_iter().fold(false, |_, (ms, wanted)| coalescer.after(wanted, begun + Duration::from_millis(ms)))
    }

    #[test]
    fn it_lingers_only_while_looks_come_thick_and_fruitless() {
        assert!(!looks((0..u64::from(FRUITLESS)).map(|ms| (ms, false))), "too few to tell");
        assert!(looks((0..=u64::from(FRUITLESS)).map(|ms| (ms, false))));
        assert!(looks((0..1_000).map(|ms| (2 * ms, false))), "while it lingers");
        assert!(!looks((0..1_000).map(|ms| (10 * ms, false))), "nobody is kept busy by that");
        assert!(!looks((0..1_000).map(|ms| (ms, ms % 4 == 0))), "somebody wants some of it");
        assert!(!looks((0..1_000).map(|ms| (ms, ms == 999))));
    }
}
