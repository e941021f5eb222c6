//! When failed attempts are told in the log: a reason that is new at once, the
//! same one again at a falling rate. Free of I/O and clocks.

use std::time::Duration;

use tokio::time::Instant;

/// The first pause between two lines about one reason. Servers that start again
/// take less.
const PAUSE: Duration = Duration::from_secs(10);

/// The longest: the last quarter of an hour of a log always says why.
const PAUSE_AT_MOST: Duration = Duration::from_secs(600);

/// Reasons that are remembered; the oldest gives way to one more. Attempts at
/// several servers fail for a few in turns.
const REASONS: usize = 16;

/// The reasons that were logged for attempts that fail.
#[derive(Debug, Default)]
pub struct RetryLog {
    told: Vec<ToldReason>,
}

#[derive(Debug)]
struct ToldReason {
    reason: String,
    last: Instant,
    pause: Duration,
}

impl RetryLog {
    /// Whether an attempt that has failed for this reason now is to be told.
    /// Reasons that differ in numbers only, as in times and ports, are the same.
    pub fn is_due(&mut self, reason: &str, now: Instant) -> bool {
        let reason: String = reason.chars().filter(|c| !c.is_ascii_digit()).collect();
        let Some(told) = self.told.iter_mut().find(|told| told.reason == reason) else {
            if self.told.len() == REASONS {
                self.told.remove(0);
            }
            self.told.push(ToldReason { reason, last: now, pause: PAUSE });
            return true;
        };
        let since = now.saturating_duration_since(told.last);
        if since < told.pause {
            return false;
        }
        // After a longer silence than between two lines it is another story.
        told.pause = if since < 2 * told.pause { (2 * told.pause).min(PAUSE_AT_MOST) } else { PAUSE };
        told.last = now;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seconds at which a reason is told that attempts fail for every second.
    fn told(log: &mut RetryLog, begun: Instant, seconds: std::ops::Range<u64>) -> Vec<u64> {
        seconds.filter(|second| log.is_due("connection refused", begun + Duration::from_secs(*second))).collect()
    }

    #[test]
    fn the_same_reason_is_told_ever_more_seldom_and_never_for_the_last_time() {
        let (mut log, begun) = (RetryLog::default(), Instant::now());
        assert_eq!(told(&mut log, begun, 0..2_000), [0, 10, 30, 70, 150, 310, 630, 1230, 1830]);
        assert_eq!(told(&mut log, begun, 4_000..4_040), [4_000, 4_010, 4_030], "it had worked meanwhile");
    }

    #[test]
    fn a_changed_reason_is_told_at_once_and_one_that_comes_back_is_no_news() {
        let (mut log, begun) = (RetryLog::default(), Instant::now());
        let second = Duration::from_secs(1);
        assert!(log.is_due("refused by a", begun) && log.is_due("refused by b", begun + second));
        assert!(!log.is_due("refused by a", begun + 2 * second));
        assert!(log.is_due("expired 7 seconds ago", begun) && !log.is_due("expired 12 seconds ago", begun));
        for number in 0..REASONS {
            assert!(log.is_due(&"x".repeat(number + 1), begun));
        }
        assert_eq!(log.told.len(), REASONS);
        assert!(log.is_due("refused by a", begun + 3 * second), "it was forgotten");
    }
}
