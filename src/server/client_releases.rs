//! The versions of the browser library that were released, newest first. Written
//! by `scripts/client-versions.sh`; do not edit.

/// Each version and its modules, by their names.
#[rustfmt::skip]
pub(crate) const CLIENT_RELEASES: &[(&str, &[(&str, &str)])] = &[
];
