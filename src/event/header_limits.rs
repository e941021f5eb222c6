//! How many headers one event carries to clients: what clients publish is
//! refused above it, what services publish is cut, because they are not there
//! to be told.

use std::collections::BTreeMap;

use crate::config::Limits;

/// Headers as an event has them.
type Headers = BTreeMap<String, String>;

/// The most headers that one event carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderLimits {
    /// How many.
    pub count: usize,
    /// Bytes of all of them together, names included.
    pub bytes: usize,
}

impl HeaderLimits {
    /// Those of the configuration.
    pub fn new(limits: &Limits) -> Self {
        Self { count: limits.event_headers, bytes: limits.event_header_bytes.bytes() }
    }

    /// Whether an event may carry all of these.
    pub fn fit(&self, headers: &Headers) -> bool {
        headers.len() <= self.count && headers.iter().map(bytes).sum::<usize>() <= self.bytes
    }

    /// Removes headers until the others fit: those that are `named` stay before
    /// others, then those whose names come first. Returns whether any had to go.
    pub fn cut(&self, headers: &mut Headers, named: impl Fn(&str) -> bool) -> bool {
        if self.fit(headers) {
            return false;
        }
        let mut left = *self;
        let mut sorted: Vec<_> = std::mem::take(headers).into_iter().collect();
        // Stable, and a map's entries are in order already.
        sorted.sort_by_key(|(name, _)| !named(name));
        headers.extend(sorted.into_iter().map_while(|(name, value)| {
            left.count = left.count.checked_sub(1)?;
            left.bytes = left.bytes.checked_sub(bytes((&name, &value)))?;
            Some((name, value))
        }));
        true
    }
}

fn bytes((name, value): (&String, &String)) -> usize {
    name.len() + value.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(count: usize, bytes: usize, names: &[&str]) -> (bool, Vec<String>) {
        let mut headers = names.iter().map(|name| ((*name).to_owned(), "12345".to_owned())).collect();
        let cut = HeaderLimits { count, bytes }.cut(&mut headers, |name| name.starts_with("trace"));
        (cut, headers.into_keys().collect())
    }

    #[test]
    fn named_headers_stay_before_others() {
        assert_eq!(cut(3, 100, &["ce-a", "ce-b", "traceparent"]).1, ["ce-a", "ce-b", "traceparent"]);
        assert_eq!(cut(2, 100, &["ce-a", "ce-b", "traceparent"]), (true, vec!["ce-a".into(), "traceparent".into()]));
        assert_eq!(cut(9, 16, &["ce-a", "ce-b", "traceparent"]), (true, vec!["traceparent".into()]));
        assert_eq!(cut(0, 0, &["ce-a", "traceparent"]), (true, vec![]));
        assert_eq!(cut(0, 0, &[]), (false, vec![]));
    }

    proptest! {
        #[test]
        fn what_is_left_fits_and_only_what_does_not_fit_is_cut(
            mut headers in proptest::collection::btree_map("[a-z]{1,6}", "[a-z]{0,9}", 0..9),
            count in 0_usize..9,
            bytes in 0_usize..99,
        ) {
            let limits = HeaderLimits { count, bytes };
            let before = headers.clone();
            let was_cut = limits.cut(&mut headers, |name| name < "m");
            prop_assert!(limits.fit(&headers));
            prop_assert_eq!(was_cut, !limits.fit(&before));
            prop_assert_eq!(was_cut, headers != before);
            prop_assert!(headers.iter().all(|header| before.get_key_value(header.0) == Some(header)));
        }
    }
}
