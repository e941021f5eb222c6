//! Grants of a live connection are replaced.
