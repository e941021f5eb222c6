//! How much one user may do on this node, over all connections and both ways:
//! what they send to services and streams, and what is read of streams for
//! them. Free of sockets and of HTTP.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    access::identity::UserKey,
    admission::Throttle,
    config::Limits,
    error::{Code, Refusal},
};

/// The cost of a question to a stream, and of a page that is read at NATS for
/// it, in events: one round trip at the broker is worth some ten events that
/// are handed out of memory.
pub(crate) const QUESTION: u64 = 10;

/// The rates of each user.
///
/// Users are counted under a hash with a key that nobody knows, in tables that
/// do not grow, as addresses are by [admission](crate::admission::Admission).
#[derive(Debug)]
pub struct Quotas {
    publishes: Throttle,
    publish_bytes: Throttle,
    reads: Throttle,
    hasher: RandomState,
    start: Instant,
}

/// The account that something counts for; by default nobody's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account(u64);

impl Quotas {
    /// The rates of these limits, none used yet.
    pub fn new(limits: &Limits) -> Arc<Self> {
        let per_second = limits.user_publish_bytes_per_second.bytes() as u64;
        Arc::new(Self {
            publishes: Throttle::new(limits.user_publishes_per_second.into(), limits.user_publishes_burst.into()),
            publish_bytes: Throttle::new(per_second, limits.user_publish_bytes_burst.bytes() as u64),
            reads: Throttle::new(limits.user_reads_per_second.into(), limits.user_reads_burst.into()),
            hasher: RandomState::new(),
            start: Instant::now(),
        })
    }

    /// The account of a user.
    pub fn account(&self, user: Option<UserKey<'_>>) -> Account {
        // 0 stands for nobody.
        Account(user.map_or(0, |user| self.hasher.hash_one(user).max(1)))
    }

    /// Counts one more event or request of `bytes` bytes, or refuses it.
    ///
    /// # Errors
    /// `rate_limited`.
    pub fn publish(&self, account: Account, subject: &str, bytes: usize) -> Result<(), Refusal> {
        let Account(key @ 1..) = account else { return Ok(()) };
        let now = self.start.elapsed();
        self.publishes.take(key, 1, now).map_err(|wait| {
            let what = "events and requests than it may (limits.user_publishes_per_second)";
            refusal(subject, &format!("this user sends more {what}"), wait)
        })?;
        self.publish_bytes.take(key, bytes as u64, now).map_err(|wait| {
            self.publishes.give_back(key, 1);
            let what = "bytes of events and requests than it may (limits.user_publish_bytes_per_second)";
            refusal(subject, &format!("this user sends more {what}"), wait)
        })
    }

    /// Counts a question to `streams` streams, or refuses it. Its reads are
    /// [charged](Self::charge) later.
    ///
    /// # Errors
    /// `rate_limited`.
    pub fn question(&self, account: Account, subject: &str, streams: usize) -> Result<(), Refusal> {
        let Account(key @ 1..) = account else { return Ok(()) };
        self.reads.take(key, QUESTION * streams as u64, self.start.elapsed()).map_err(|wait| {
            refusal(subject, "more is read for this user than may be (limits.user_reads_per_second)", wait)
        })
    }

    /// Counts reads for a user. Returns how long they should wait before more:
    /// no time until half of the burst is used, so that those who wait leave
    /// room for those who are refused instead.
    pub fn charge(&self, account: Account, reads: u64) -> Duration {
        match account {
            Account(0) => Duration::ZERO,
            Account(key) => self.reads.charge(key, reads, self.start.elapsed()),
        }
    }
}

fn refusal(subject: &str, what: &str, wait: Duration) -> Refusal {
    let milliseconds = wait.as_nanos().div_ceil(1_000_000);
    let message = format!("{what}; try again in {milliseconds} ms");
    Refusal::of(Code::RateLimited, subject, message).after(wait)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Size;

    fn quotas() -> Arc<Quotas> {
        Quotas::new(&Limits {
            // So slow that nothing comes back while a test runs.
            user_publishes_per_second: 1,
            user_publishes_burst: 3,
            user_publish_bytes_per_second: Size::from(1),
            user_publish_bytes_burst: Size::from(1_000),
            user_reads_per_second: 1,
            user_reads_burst: 100,
            ..Limits::default()
        })
    }

    fn user(name: &'static str) -> Option<UserKey<'static>> {
        Some(UserKey { issuer: "a", user: name })
    }

    #[test]
    fn events_and_their_bytes_are_counted_for_each_user_and_for_nobody_else() {
        let quotas = quotas();
        let [one, other, nobody] = [user("u1"), user("u2"), None].map(|user| quotas.account(user));
        assert!((0..3).all(|_| quotas.publish(one, "a", 10).is_ok()));
        let refused = quotas.publish(one, "a", 10).expect_err("three are all");
        assert_eq!(refused.code, Code::RateLimited);
        assert!(refused.message.contains("user_publishes_per_second") && refused.retry_after.is_some(), "{refused}");
        assert!(quotas.publish(other, "a", 990).is_ok());
        let refused = quotas.publish(other, "a", 20).expect_err("too many bytes");
        assert!(refused.message.contains("user_publish_bytes_per_second"), "{refused}");
        assert!(quotas.publish(other, "a", 5).is_ok() && quotas.publish(other, "a", 5).is_ok(), "it took no event");
        assert!((0..100).all(|_| quotas.publish(nobody, "a", 1_000).is_ok()));
    }

    #[test]
    fn an_event_larger_than_all_bytes_at_once_passes_alone() {
        let quotas = quotas();
        let one = quotas.account(user("u1"));
        assert!(quotas.publish(one, "a", 5_000).is_ok());
        assert!(quotas.publish(one, "a", 10).is_err());
    }

    #[test]
    fn what_was_read_counts_and_the_next_question_is_refused() {
        let quotas = quotas();
        let one = quotas.account(user("u1"));
        assert!(quotas.question(one, "a", 2).is_ok());
        assert_eq!(quotas.charge(one, 30), Duration::ZERO, "half of the burst");
        assert!(quotas.charge(one, 20) > Duration::from_secs(19), "who waits leaves room");
        assert!(quotas.question(one, "a", 2).is_ok(), "for who does not");
        quotas.charge(one, 10_000);
        let refused = quotas.question(one, "a", 1).expect_err("much was read");
        assert!(refused.message.contains("user_reads_per_second"), "{refused}");
        assert!(refused.retry_after > Some(Duration::from_secs(9_000)));
        assert_eq!(quotas.charge(quotas.account(None), 1 << 40), Duration::ZERO);
    }
}
