//! Nanoseconds since this process began: the one clock of all measurements.

use std::{
    sync::OnceLock,
    time::{Instant, SystemTime},
};

/// Nanoseconds in a second.
pub const SECOND: u64 = 1_000_000_000;

/// Now.
pub fn now() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// `seconds` as nanoseconds.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "spans here are short and positive")]
pub fn nanos(seconds: f64) -> u64 {
    (seconds * SECOND as f64) as u64
}

/// `nanos` as seconds.
pub fn seconds(nanos: u64) -> f64 {
    nanos as f64 / SECOND as f64
}

/// Seconds since 1970, by the calendar.
pub fn unix() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// `unix` seconds since 1970 as `2026-11-22T10-00-00Z`, which is a file's name too.
pub fn date(unix: u64) -> String {
    let (days, second) = (unix / 86_400, unix % 86_400);
    // Years begin in March here, so that the leap day is a year's last and a month's first day follows from its
    // number.
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = era * 400 + year + next;
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year}-{month:02}-{day:02}T{hour:02}-{minute:02}-{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(0), "1970-01-01T00-00-00Z");
        assert_eq!(date(951_782_400), "2000-02-29T00-00-00Z");
        assert_eq!(date(1_795_341_599), "2026-11-22T09-59-59Z");
    }
}
