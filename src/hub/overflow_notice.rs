//! The notice of dropped live events: a connection without room is told which of
//! its subscriptions miss some, before these bring anything else.

use crate::{
    subject::Pattern,
    sync::{Mutex, rank},
};

/// Patterns whose live events were dropped and that the client is not told of yet.
// Boxed: every connection has one, and nearly none of them anything in it.
#[expect(clippy::box_collection, reason = "a vector would take 16 bytes more of each connection")]
#[derive(Debug, Default)]
pub(crate) struct OverflowNotice(Mutex<Option<Box<Vec<Pattern>>>, { rank::OVERFLOW }>);

impl OverflowNotice {
    /// Sends, unless something was dropped before and not told yet. `send` says
    /// whether there was room. Returns whether it was sent, and whether the
    /// connection has to be told from now on.
    pub(crate) fn send(&self, pattern: &Pattern, send: impl FnOnce() -> bool) -> (bool, bool) {
        let mut missing = self.0.lock();
        if missing.is_none() && send() {
            return (true, false);
        }
        let begins = missing.is_none();
        let missing = missing.get_or_insert_default();
        if !missing.contains(pattern) {
            missing.push(pattern.clone());
        }
        (false, begins)
    }

    /// The next pattern to tell of; live events flow again once none is left.
    pub(crate) fn next(&self) -> Option<Pattern> {
        let mut missing = self.0.lock();
        let next = missing.as_mut()?.pop();
        if next.is_none() {
            *missing = None;
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_dropped_is_told_once_and_before_anything_else_is_sent() {
        let overflow = OverflowNotice::default();
        let [a, b] = ["a", "b"].map(|text| Pattern::parse(text).expect("a pattern"));
        let early = || -> bool { panic!("it was not told yet") };
        assert_eq!(overflow.next(), None);
        assert_eq!(overflow.send(&a, || true), (true, false));
        assert_eq!(overflow.send(&a, || false), (false, true), "it has to be told from now on");
        assert_eq!(overflow.send(&a, early), (false, false));
        assert_eq!(overflow.send(&b, early), (false, false));
        assert_eq!((overflow.next(), overflow.next()), (Some(b.clone()), Some(a)));
        assert_eq!(overflow.send(&b, early), (false, false), "it is being told");
        assert_eq!((overflow.next(), overflow.next(), overflow.next()), (Some(b.clone()), None, None));
        assert_eq!(overflow.send(&b, || true), (true, false));
    }
}
