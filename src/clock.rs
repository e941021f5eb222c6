//! The wall clock, by which events and tokens are dated. Durations are measured with
//! [`std::time::Instant`], which cannot be set back.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Time since the Unix epoch; none on a clock that stands before it.
pub fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The same in seconds, as in the claims of a token (RFC 7519, NumericDate).
pub fn unix_seconds() -> u64 {
    now().as_secs()
}

/// The same in milliseconds, as in events.
pub fn unix_millis() -> u64 {
    now().as_millis() as u64
}
