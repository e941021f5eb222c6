//! When a client is dead: a pure function of what was heard since it was asked.

use std::time::Duration;

/// Unanswered pings after which a client is given up: one may be lost to a bad
/// moment, and the answer to the second has had a whole interval to come.
const PATIENCE: u8 = 2;

/// The clock of the last read counts milliseconds: an answer within the same
/// one must not look as if it came before the question.
const GRAIN: Duration = Duration::from_millis(1);

/// Decides at a client's turn, once per interval. `silence` is how long ago it
/// was last heard, `since` how long ago it was asked, `missed` how many pings
/// it has left unanswered before. Returns how many it has left now, or none
/// when it is given up.
///
/// The time since the question counts, not the interval: a node that was
/// suspended has asked nobody meanwhile.
pub(crate) fn missed(silence: Duration, since: Duration, missed: u8) -> Option<u8> {
    if silence < since.saturating_add(GRAIN) {
        return Some(0);
    }
    let now = missed + 1;
    (now < PATIENCE).then_some(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_given_up_after_two_unanswered_pings() {
        let s = Duration::from_secs;
        let rows = [
            ("it answered", s(24), s(25), 1, Some(0)),
            ("it answered within the grain of the clock", s(25), s(25), 1, Some(0)),
            ("it spoke last just before it was asked", s(25) + GRAIN, s(25), 0, Some(1)),
            ("it left one unanswered", s(30), s(25), 0, Some(1)),
            ("it left two unanswered", s(50), s(25), 1, None),
            ("the node was suspended for an hour after an answer", s(3_599), s(3_600), 0, Some(0)),
            ("and before the answer was read", s(3_601), s(3_600), 0, Some(1)),
        ];
        for (name, silence, since, before, expected) in rows {
            assert_eq!(missed(silence, since, before), expected, "{name}");
        }
    }
}
