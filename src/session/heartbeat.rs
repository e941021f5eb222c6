//! When a client is dead: a pure function of how long it has been silent.

use std::time::Duration;

/// Intervals of silence after which a client is given up: one may be lost to a
/// bad moment, and the answer to the second has had a whole interval to come.
const PATIENCE: u32 = 2;

/// What to do with a client at its turn, once per interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beat {
    /// Ask whether it is there.
    Ping,
    /// It is not.
    GiveUp,
}

/// Decides for a client that was last heard so long ago.
pub(crate) fn beat(silence: Duration, interval: Duration) -> Beat {
    if silence > interval * PATIENCE { Beat::GiveUp } else { Beat::Ping }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_given_up_after_two_silent_intervals() {
        let interval = Duration::from_secs(25);
        let rows = [(0, Beat::Ping), (25, Beat::Ping), (50, Beat::Ping), (51, Beat::GiveUp)];
        for (silence, expected) in rows {
            assert_eq!(beat(Duration::from_secs(silence), interval), expected, "{silence}");
        }
    }
}
