//! Headers that are lists of elements between commas (RFC 9110 5.6.1).

use hyper::{HeaderMap, header::HeaderName};

/// The elements of a header, over all its lines. Lines that are not ASCII are
/// passed over.
pub(crate) fn elements<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    let lines = headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim)
}
