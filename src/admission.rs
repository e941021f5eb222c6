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

/// Heartbeats within which a peer that is gone is found out: three
/// (`session/heartbeat.rs`), and one more where the node is busy.
const HEARTBEATS: u32 = 4;

/// Attempts that a client makes while the limit of its user may pass: 7 s apart with
/// the default heartbeat.
const ATTEMPTS: u32 = 15;

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
    /// The time within which a connection whose peer is gone is found out.
    proof: Duration,
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
    /// Admission control with these limits, for connections that are pinged once per
    /// heartbeat. It shows the bytes of answers that are held.
    pub fn new(limits: &Limits, heartbeat: Duration, unread: Gauge) -> Arc<Self> {
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
            // Pings are left out while something waits for the client, and its answer to the Close is waited for.
            proof: HEARTBEATS * heartbeat + limits.stall_time.duration() + limits.close_time.duration(),
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
        room.then_some(key).ok_or_else(|| self.reject_user(key))
    }

    /// The rejection of one more connection of a user.
    fn reject_user(&self, key: u64) -> Rejected {
        if self.users.may_pass(key, self.now(), self.proof) { Rejected::UserFull } else { Rejected::User }
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
            Rejected::UserFull => format!(
                "this user has {per_user} connections, requests that are served included, the most they may; some may be \
                 dead, so try again"
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
        let refusal = Refusal::new(closed.code(), message);
        if closed == Rejected::UserFull { refusal.after(self.proof / ATTEMPTS) } else { refusal }
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
    /// [`Rejected::UserFull`] or [`Rejected::User`].
    pub fn count_for_user(&self, user: Option<UserKey<'_>>) -> Result<(), Rejected> {
        let Some(user) = user.filter(|_| self.user.load(Ordering::Relaxed) == 0) else { return Ok(()) };
        let key = self.gate.key(user);
        count(&self.gate.users, &self.user, key).ok_or_else(|| self.gate.reject_user(key))
    }

    /// Takes over the place of another connection of the same user, which does not
    /// count any more. Nothing happens where that has none.
    pub(crate) fn take_place(&self, other: &Self, user: UserKey<'_>) {
        let key = self.gate.key(user);
        let exchange = |place: &AtomicU64, from, to| {
            place.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        };
        if self.user.load(Ordering::Relaxed) == 0 && exchange(&other.user, key, 0) {
            self.user.store(key, Ordering::Relaxed);
        }
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
mod tests;
