//! The ends of tokens in one ordered list for all connections of a node, without
//! a timer for any of them. Free of clocks: it is told the time, which is that of
//! the calendar, since tokens are written in it. So when the clock is set, it
//! moves nothing but this.

use std::{collections::BTreeMap, num::NonZeroU64, time::Duration};

use crate::sync::{Mutex, rank};

/// An action that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Tell the client that its token runs out in this number of milliseconds.
    Warning(u64),
    /// Its token has run out.
    End,
}

/// Time at which an action is due, milliseconds since 1970. Each registry entry
/// keeps one, so it has no more than 8 bytes.
pub(crate) type When = NonZeroU64;

/// Key of a connection in the registry: shard and index.
pub(crate) type ConnectionKey = (u32, u32);

/// Key of an action in the list.
pub(crate) type ExpiryKey = (When, ConnectionKey);

/// All actions that are going to be due, by time.
#[derive(Debug)]
pub(crate) struct Expiries {
    /// Milliseconds between a warning and the token's end.
    warning: u64,
    /// Milliseconds that a token holds beyond its end.
    leeway: u64,
    /// The token's end, milliseconds since 1970, and whether it was warned of.
    list: Mutex<BTreeMap<ExpiryKey, (u64, bool)>, { rank::EXPIRIES }>,
}

impl Expiries {
    pub(crate) fn new(warning: Duration, leeway: Duration) -> Self {
        let millis = |span: Duration| span.as_millis() as u64;
        Self { warning: millis(warning), leeway: millis(leeway), list: Mutex::default() }
    }

    /// Notes when a token ends, seconds since 1970. The answer is to be kept, and
    /// [given back](Self::remove).
    pub(crate) fn add(&self, key: ConnectionKey, expires_at: u64) -> When {
        let end = expires_at.saturating_mul(1_000);
        let at = when(end.saturating_sub(self.warning));
        self.list.lock().insert((at, key), (end, false));
        at
    }

    /// Notes that somebody's token, whenever it ends, holds until then at most,
    /// milliseconds since 1970; it has been told. `before` is what was kept.
    pub(crate) fn cut_short(&self, key: ConnectionKey, before: Option<When>, at: u64) -> When {
        let mut list = self.list.lock();
        let end = before.and_then(|before| list.remove(&(before, key))).map_or(u64::MAX, |(end, _)| end);
        let at = when(at.min(end.saturating_add(self.leeway)));
        list.insert((at, key), (at.get(), true));
        at
    }

    pub(crate) fn remove(&self, key: ConnectionKey, at: When) {
        self.list.lock().remove(&(at, key));
    }

    /// The key of the earliest action that is due, if there is one. The caller
    /// [takes](Self::take) it while it holds the shard of that connection.
    pub(crate) fn first(&self, now: u64) -> Option<ExpiryKey> {
        self.list.lock().first_key_value().map(|(entry, _)| *entry).filter(|(at, _)| at.get() <= now)
    }

    /// Takes the action of a key, and adds the next one of that token; none when the
    /// key has been removed meanwhile.
    pub(crate) fn take(&self, entry: ExpiryKey, now: u64) -> Option<(Due, Option<When>)> {
        let mut list = self.list.lock();
        let (end, warned) = list.remove(&entry)?;
        let last = end.saturating_add(self.leeway);
        if warned || last <= now {
            return Some((Due::End, None));
        }
        let next = when(last);
        list.insert((next, entry.1), (end, true));
        Some((Due::Warning(end.saturating_sub(now)), Some(next)))
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.list.lock().len()
    }
}

fn when(at: u64) -> When {
    NonZeroU64::new(at).unwrap_or(NonZeroU64::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expiries() -> Expiries {
        Expiries::new(Duration::from_secs(30), Duration::from_secs(5))
    }

    /// Actions that are due at a time.
    fn due(expiries: &Expiries, now: u64) -> Vec<(u32, Due)> {
        let first = || expiries.first(now).and_then(|entry| Some((entry.1.0, expiries.take(entry, now)?.0)));
        std::iter::from_fn(first).collect()
    }

    #[test]
    fn a_client_is_warned_ahead_and_ended_after_the_leeway() {
        let list = expiries();
        list.add((1, 0), 100);
        list.add((2, 0), 90);
        assert_eq!(due(&list, 59_999), []);
        assert_eq!(due(&list, 60_000), [(2, Due::Warning(30_000))]);
        assert_eq!(due(&list, 70_500), [(1, Due::Warning(29_500))]);
        assert_eq!(due(&list, 94_999), []);
        assert_eq!(due(&list, 200_000), [(2, Due::End), (1, Due::End)]);
        assert_eq!(list.len(), 0);
    }

    #[test]
    fn who_comes_late_is_warned_at_once_and_who_is_beyond_it_ended() {
        let list = expiries();
        list.add((1, 0), 100);
        list.add((2, 0), 90);
        assert_eq!(due(&list, 96_000), [(2, Due::End), (1, Due::Warning(4_000))]);
        list.add((3, 0), 95);
        assert_eq!(due(&list, 96_000), [(3, Due::Warning(0))]);
    }

    #[test]
    fn who_has_a_new_token_or_has_gone_is_due_no_more() {
        let list = expiries();
        let first = list.add((1, 0), 100);
        list.remove((1, 0), first);
        let second = list.add((1, 0), 1_000);
        assert_eq!(due(&list, 500_000), []);
        list.remove((1, 0), second);
        list.add((1, 0), 100);
        let entry = list.first(80_000).expect("it is due");
        let Some((Due::Warning(20_000), Some(warned))) = list.take(entry, 80_000) else { panic!("a warning") };
        assert_eq!(list.take(entry, 80_000), None);
        list.remove((1, 0), warned);
        assert_eq!((due(&list, u64::MAX), list.len()), (vec![], 0));
    }

    #[test]
    fn a_token_is_cut_short_and_never_made_longer() {
        let list = expiries();
        list.cut_short((1, 0), None, 10);
        assert_eq!(due(&list, 10), [(1, Due::End)]);
        let long = list.add((1, 0), 100);
        let short = list.add((2, 0), 40);
        list.cut_short((1, 0), Some(long), 50_000);
        list.cut_short((2, 0), Some(short), 50_000);
        assert_eq!(due(&list, 44_999), []);
        assert_eq!(due(&list, 50_000), [(2, Due::End), (1, Due::End)]);
        assert_eq!(list.len(), 0);
    }

    #[test]
    fn a_clock_that_is_set_back_makes_nobody_due_twice() {
        let list = expiries();
        list.add((1, 0), 100);
        assert_eq!(due(&list, 80_000).len(), 1);
        assert_eq!(due(&list, 10_000), []);
        assert_eq!(due(&list, 105_000), [(1, Due::End)]);
    }

    #[test]
    fn an_end_beyond_all_numbers_is_no_end() {
        let list = expiries();
        list.add((0, 0), u64::MAX);
        assert_eq!(due(&list, 300_000), []);
    }
}
