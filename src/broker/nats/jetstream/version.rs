//! Whether a server is new enough for stored events. Free of I/O.

use crate::broker::stream_error::StreamError;

/// Direct Get in batches, which reading a stream needs.
const LEAST: (u32, u32) = (2, 11);

/// Checks what a server says it is, as `2.12.1` or `2.14.0-beta.1`.
///
/// # Errors
/// [`StreamError::Outdated`].
pub(crate) fn check(version: &str) -> Result<(), StreamError> {
    let mut numbers = version.trim_start_matches('v').split('.').map(|number| number.parse().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), Some(minor)) if (major, minor) >= LEAST => Ok(()),
        _ => Err(StreamError::Outdated { found: version.into() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_below_2_11_is_refused_by_name() {
        let rows = [("2.11.0", true), ("2.15.1", true), ("3.0.0", true), ("v2.12.0", true), ("2.14.0-beta.1", true)];
        let old = [("2.10.26", false), ("2.9.10", false), ("1.99.0", false), ("", false), ("new", false)];
        for (version, expected) in rows.into_iter().chain(old) {
            let checked = check(version);
            assert_eq!(checked.is_ok(), expected, "{version}");
            if let Err(error) = checked {
                let said = error.to_string();
                assert!(said.contains(version) && said.contains("2.11"), "{said}");
            }
        }
    }
}
