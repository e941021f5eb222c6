//! The parameters behind a request's path.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Names and their decoded values, in order; a name may have none. The
/// parameter called `token` holds the client's token and is left out.
pub(crate) fn parameters<'q>(query: &'q str, token: Option<&str>) -> impl Iterator<Item = (&'q str, Cow<'q, str>)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .filter(move |(name, _)| token != Some(*name))
        .map(|(name, value)| (name, percent_decode_str(value).decode_utf8_lossy()))
}
