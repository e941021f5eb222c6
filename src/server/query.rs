//! The parameters behind a request's path.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Names and their decoded values, in order; a name may have none.
pub(crate) fn parameters(query: &str) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (name, percent_decode_str(value).decode_utf8_lossy())
    })
}
