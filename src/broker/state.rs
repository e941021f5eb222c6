//! Whether the broker is there.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::watch;

use crate::{
    broker::{attempts::Attempts, degraded::Degraded},
    metrics::Metrics,
};

/// One state of the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Never connected since the start.
    Starting,
    /// Connected.
    Up,
    /// Was connected and is not.
    Down,
}

impl Link {
    /// Its name in `ping` frames and on `/readyz`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Up => "ok",
            Self::Starting | Self::Down => "down",
        }
    }
}

/// One of the connections that the broker consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BrokerPart {
    /// The connection that publishes.
    Publishing,
    /// A connection that reads events, or acknowledgements.
    Reading(usize),
}

/// The state, now and as it changes. The broker sets it, others watch.
#[derive(Debug)]
pub struct BrokerState {
    link: watch::Sender<Link>,
    /// A bit for each part that is away, changed only under the sender's lock.
    away: AtomicU64,
    degraded: Arc<Degraded>,
    attempts: Arc<Attempts>,
    metrics: Arc<Metrics>,
}

impl BrokerState {
    /// A broker that is this process itself.
    pub(crate) fn here(metrics: Arc<Metrics>) -> Self {
        metrics.broker_connected.set(1.0);
        Self::new(Link::Up, 0, metrics)
    }

    /// A broker of `parts` connections, at most 64, all of them away.
    pub(crate) fn away(parts: usize, metrics: Arc<Metrics>) -> Self {
        Self::new(Link::Starting, u64::MAX >> (64 - parts.clamp(1, 64)), metrics)
    }

    fn new(link: Link, away: u64, metrics: Arc<Metrics>) -> Self {
        let degraded = Arc::new(Degraded::new(metrics.clone()));
        let (link, away) = (watch::Sender::new(link), AtomicU64::new(away));
        Self { link, away, degraded, attempts: Arc::default(), metrics }
    }

    /// The degradations of a connected broker.
    pub fn degraded(&self) -> &Arc<Degraded> {
        &self.degraded
    }

    /// The attempts that fail.
    pub fn attempts(&self) -> &Arc<Attempts> {
        &self.attempts
    }

    /// Records what was observed; watchers hear of changes only.
    pub(crate) fn observe(&self, part: BrokerPart, connected: bool) {
        let bit = match part {
            BrokerPart::Publishing => 1,
            BrokerPart::Reading(number) => 2 << number,
        };
        self.link.send_if_modified(|link| {
            let before = self.away.load(Ordering::Relaxed);
            let away = if connected { before & !bit } else { before | bit };
            self.away.store(away, Ordering::Relaxed);
            self.metrics.broker_connected.set(if away == 0 { 1.0 } else { 0.0 });
            let seen = match (away == 0, *link) {
                (true, _) => Link::Up,
                (false, Link::Starting) => Link::Starting,
                (false, _) => Link::Down,
            };
            std::mem::replace(link, seen) != seen
        });
    }

    /// The state now.
    pub fn link(&self) -> Link {
        *self.link.borrow()
    }

    /// The state as it changes.
    pub fn watch(&self) -> watch::Receiver<Link> {
        self.link.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_up_while_every_part_is() {
        let metrics = Arc::new(Metrics::new().expect("metrics"));
        let connected = || metrics.render().contains("\nnotifier_broker_connected 1\n");
        let state = BrokerState::away(3, metrics.clone());
        for part in [BrokerPart::Reading(1), BrokerPart::Publishing] {
            state.observe(part, true);
            assert_eq!(state.link(), Link::Starting);
        }
        state.observe(BrokerPart::Reading(0), true);
        assert!(state.link() == Link::Up && connected());
        state.observe(BrokerPart::Reading(1), false);
        state.observe(BrokerPart::Publishing, false);
        state.observe(BrokerPart::Publishing, true);
        assert!(state.link() == Link::Down && !connected());
        state.observe(BrokerPart::Reading(1), true);
        assert_eq!(state.link(), Link::Up);
        assert_eq!(BrokerState::here(metrics.clone()).link(), Link::Up);
    }
}
