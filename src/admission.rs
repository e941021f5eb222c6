//! Admission control: how many connections there may be, of all, of one address and
//! of one user, how fast new ones may come, how much of HTTP answers may be held,
//! and when the last has gone. Free of sockets and of HTTP.

mod budget;
mod rejected;
mod connection_counts;
mod throttle;

use std::{
    hash::{BuildHasher as _, RandomState},
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use metrics::Gauge;
use tokio::sync::Notify;

use crate::{
    access::identity::UserKey,
    config::Limits,
    error::Refusal,
    rate::{Rate, TokenBucket},
    sync::Mutex,
};
use budget::Budget;
pub(crate) use budget::{Exhausted, Holder};
use connection_counts::ConnectionCounts;
pub use rejected::Rejected;
pub(crate) use throttle::Throttle;

/// Counts connections up to their limits.
///
/// Addresses and users are counted under a hash of theirs with a key that
/// nobody knows: eight bytes for each connection instead of a name of any
/// length. That two of them share a count is less likely than a broken machine.
#[derive(Debug)]
pub struct Admission {
    most: usize,
    open: AtomicUsize,
    emptied: Notify,
    /// New connections of all addresses.
    pace: Option<Rate>,
    arrived: Mutex<TokenBucket>,
    addresses: ConnectionCounts,
    users: ConnectionCounts,
    /// Of HTTP that clients have not taken.
    answers: Budget,
    arrivals: Throttle,
    requests: Throttle,
    hasher: RandomState,
    start: Instant,
    limits: NamedLimits,
}

/// The limits that refusals name.
#[derive(Debug)]
struct NamedLimits {
    per_address: u32,
    per_user: u32,
}

/// One connection's right to be open; dropping it gives it back.
#[derive(Debug)]
pub struct Permit {
    gate: Arc<Admission>,
    /// The user that it counts for; 0: none.
    address: AtomicU64,
    user: AtomicU64,
}

impl Admission {
    /// Admission control with these limits, which shows the bytes of answers that are held.
    pub fn new(limits: &Limits, unread: Gauge) -> Arc<Self> {
        let pace = (limits.connections_per_second > 0)
            .then(|| Rate::new(limits.connections_per_second.into(), limits.connections_burst.into()));
        Arc::new(Self {
            most: limits.connections,
            open: AtomicUsize::new(0),
            emptied: Notify::new(),
            pace,
            arrived: Mutex::default(),
            addresses: ConnectionCounts::new(limits.address_connections),
            users: ConnectionCounts::new(limits.user_connections),
            answers: Budget::new(limits.http_answer_bytes.bytes() as u64, unread),
            arrivals: Throttle::new(
                limits.address_connections_per_second.into(),
                limits.address_connections_burst.into(),
            ),
            requests: Throttle::new(limits.address_requests_per_second.into(), limits.address_requests_burst.into()),
            hasher: RandomState::new(),
            start: Instant::now(),
            limits: NamedLimits { per_address: limits.address_connections, per_user: limits.user_connections },
        })
    }

    /// Lets one more connection in, if there is room. Without an address it is
    /// one of a proxy, which speaks for many.
    ///
    /// # Errors
    /// Why it has to go.
    pub fn enter(self: &Arc<Self>, address: Option<IpAddr>) -> Result<Permit, Rejected> {
        let grow = |open| (open < self.most).then_some(open + 1);
        self.open.fetch_update(Ordering::AcqRel, Ordering::Relaxed, grow).map_err(|_| Rejected::Full)?;
        let permit = Permit { gate: self.clone(), address: AtomicU64::new(0), user: AtomicU64::new(0) };
        if let Some(address) = address {
            permit.count_for_address(address)?;
        }
        // Last: what an address may not do takes nothing away from others.
        let now = self.now();
        let mut arrived = self.arrived.lock();
        if self.pace.is_some_and(|pace| !arrived.admit(now, pace)) {
            drop(arrived);
            return Err(Rejected::Fast);
        }
        drop(arrived);
        Ok(permit)
    }

    /// Whether an address may make one more HTTP request.
    ///
    /// # Errors
    /// [`Rejected::Requests`].
    pub fn request(&self, address: IpAddr) -> Result<(), Rejected> {
        if self.requests.admit(self.key(network(address)), self.now()) { Ok(()) } else { Err(Rejected::Requests) }
    }

    /// Under what an address is counted.
    pub(crate) fn address_key(&self, address: IpAddr) -> u64 {
        self.key(network(address))
    }

    /// Counts something else than a connection for a user, under a key by which
    /// it [leaves](Self::leave_user).
    ///
    /// # Errors
    /// [`Rejected::User`].
    pub(crate) fn enter_user(&self, user: UserKey<'_>) -> Result<u64, Rejected> {
        let key = self.key(user);
        let room = !self.users.is_counted() || self.users.enter(key);
        room.then_some(key).ok_or(Rejected::User)
    }

    /// It counts no more; 0: it counted for nobody.
    pub(crate) fn leave_user(&self, key: u64) {
        if self.users.is_counted() && key != 0 {
            self.users.leave(key);
        }
    }

    /// Bytes of HTTP answers that clients have not taken.
    pub(crate) fn answers(&self) -> &Budget {
        &self.answers
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// How many there may be.
    pub fn most(&self) -> usize {
        self.most
    }

    /// Resolves when none is open.
    pub async fn emptied(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.open.load(Ordering::Acquire) == 0 {
                return;
            }
            emptied.await;
        }
    }

    /// The refusal of a connection.
    pub fn refusal(&self, closed: Rejected) -> Refusal {
        let NamedLimits { per_address, per_user } = self.limits;
        let message = match closed {
            Rejected::Full => "this node holds as many connections as it may; try again later".into(),
            Rejected::Fast => "this node takes in as many new connections as it may; try again later".into(),
            Rejected::Address => {
                format!("your address has {per_address} connections, the most it may; close one of them")
            }
            Rejected::AddressFast => "your address opens connections faster than it may; try again later".into(),
            Rejected::Requests => "your address makes requests faster than it may; try again later".into(),
            Rejected::User => format!(
                "this user has {per_user} connections, requests that are served included, the most they may; close one \
                 of them"
            ),
            Rejected::Answers => format!(
                "answers that this user, or your address, has not read take all the bytes they may (a user an eighth, \
                 an address a fourth of limits.http_answer_bytes, {}); read them, then try again",
                self.answers.most()
            ),
            Rejected::AnswersFull => format!(
                "answers that clients have not read take all the bytes they may on this node \
                 (limits.http_answer_bytes, {}); try again later",
                self.answers.most()
            ),
        };
        Refusal::new(closed.code(), message)
    }

    fn key(&self, what: impl std::hash::Hash) -> u64 {
        // 0 stands for nobody.
        self.hasher.hash_one(what).max(1)
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }
}

impl Permit {
    /// Counts the connection for an address, once.
    ///
    /// # Errors
    /// [`Rejected::AddressFast`] or [`Rejected::Address`].
    pub fn count_for_address(&self, address: IpAddr) -> Result<(), Rejected> {
        if self.address.load(Ordering::Relaxed) != 0 {
            return Ok(());
        }
        let key = self.gate.key(network(address));
        if !self.gate.arrivals.admit(key, self.gate.now()) {
            return Err(Rejected::AddressFast);
        }
        count(&self.gate.addresses, &self.address, key).ok_or(Rejected::Address)
    }

    /// The refusal of a request.
    pub fn refusal(&self, closed: Rejected) -> Refusal {
        self.gate.refusal(closed)
    }

    /// Counts the connection for a user, once. Nobody in particular is not counted.
    ///
    /// # Errors
    /// [`Rejected::User`].
    pub fn count_for_user(&self, user: Option<UserKey<'_>>) -> Result<(), Rejected> {
        let Some(user) = user.filter(|_| self.user.load(Ordering::Relaxed) == 0) else { return Ok(()) };
        count(&self.gate.users, &self.user, self.gate.key(user)).ok_or(Rejected::User)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        for (crowd, place) in [(&self.gate.addresses, &mut self.address), (&self.gate.users, &mut self.user)] {
            if crowd.is_counted() && *place.get_mut() != 0 {
                crowd.leave(*place.get_mut());
            }
        }
        if self.gate.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.gate.emptied.notify_waiters();
        }
    }
}

/// Notes in `place` for whom it was counted.
fn count(crowd: &ConnectionCounts, place: &AtomicU64, key: u64) -> Option<()> {
    let room = !crowd.is_counted() || crowd.enter(key);
    room.then(|| place.store(key, Ordering::Relaxed))
}

/// The network that an address counts for: of IPv6 a network of 64 bits, of which a single
/// machine has all addresses (RFC 4291 2.5.4).
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & !u128::from(u64::MAX)).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().expect("an address"))
    }

    fn gate(change: impl FnOnce(&mut Limits)) -> Arc<Admission> {
        let mut limits = Limits::default();
        change(&mut limits);
        Admission::new(&limits, Gauge::noop())
    }

    #[tokio::test]
    async fn the_gate_lets_in_as_many_as_it_may_and_tells_when_all_have_left() {
        let gate = gate(|limits| limits.connections = 2);
        gate.emptied().await;
        let (first, second) = (gate.enter(None), gate.enter(None));
        assert!(first.is_ok() && second.is_ok());
        assert_eq!(gate.enter(None).expect_err("it is full"), Rejected::Full);
        drop(first);
        let third = gate.enter(None);
        assert_eq!((third.is_ok(), gate.open()), (true, 2));
        let waiting = tokio::spawn({
            let gate = gate.clone();
            async move { gate.emptied().await }
        });
        tokio::task::yield_now().await;
        drop((second, third));
        waiting.await.expect("it was told");
    }

    #[test]
    fn an_address_has_a_limit_of_its_own() {
        let gate = gate(|limits| limits.address_connections = 2);
        let held = [gate.enter(ip("192.0.2.1")), gate.enter(ip("::ffff:192.0.2.1"))];
        assert_eq!(gate.enter(ip("192.0.2.1")).expect_err("two are there"), Rejected::Address);
        assert_eq!(gate.open(), 2, "who was refused holds nothing");
        let others = [gate.enter(ip("192.0.2.2")), gate.enter(None), gate.enter(None), gate.enter(None)];
        assert!(others.iter().all(Result::is_ok));
        drop(held);
        assert!(gate.enter(ip("192.0.2.1")).is_ok());
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address() {
        let gate = gate(|limits| limits.address_connections = 1);
        let _held = gate.enter(ip("2001:db8:1:2::1")).expect("the first");
        assert_eq!(gate.enter(ip("2001:db8:1:2:ffff::9")).expect_err("the same network"), Rejected::Address);
        assert!(gate.enter(ip("2001:db8:1:3::1")).is_ok());
    }

    #[test]
    fn a_user_has_a_limit_of_their_own_and_nobody_has_none() {
        let gate = gate(|limits| limits.user_connections = 1);
        let key = |issuer, user| Some(UserKey { issuer, user });
        let permits: Vec<_> = (0..5).map(|_| gate.enter(None).expect("room")).collect();
        assert_eq!(permits[0].count_for_user(key("a", "u42")), Ok(()));
        assert_eq!(permits[0].count_for_user(key("a", "u42")), Ok(()), "a refresh");
        assert_eq!(permits[1].count_for_user(key("a", "u42")), Err(Rejected::User));
        assert_eq!(permits[1].count_for_user(key("a", "u43")), Ok(()));
        assert_eq!(permits[2].count_for_user(key("b", "u42")), Ok(()), "another issuer's");
        assert_eq!((permits[3].count_for_user(None), permits[4].count_for_user(None)), (Ok(()), Ok(())));
        drop(permits);
        assert_eq!(gate.enter(None).expect("room").count_for_user(key("a", "u42")), Ok(()));
    }

    #[test]
    fn new_connections_have_a_pace_for_each_address_and_for_all() {
        let gate = gate(|limits| {
            (limits.connections_per_second, limits.connections_burst) = (1, 5);
            (limits.address_connections_per_second, limits.address_connections_burst) = (1, 2);
        });
        assert!(gate.enter(ip("192.0.2.1")).is_ok() && gate.enter(ip("192.0.2.1")).is_ok());
        for _ in 0..10 {
            assert_eq!(gate.enter(ip("192.0.2.1")).expect_err("too fast"), Rejected::AddressFast);
        }
        assert!((2..5).all(|last| gate.enter(ip(&format!("192.0.2.{last}"))).is_ok()), "it took nothing from them");
        assert_eq!(gate.enter(ip("192.0.2.9")).expect_err("too many in all"), Rejected::Fast);
        assert_eq!(gate.open(), 0);
    }
}
