//! Whether the broker is there.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

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
pub(crate) enum Part {
    /// What this node publishes goes there.
    Publishing,
    /// Events come from there.
    Reading(usize),
}

/// The state, now and as it changes. The broker sets it, others watch.
#[derive(Debug)]
pub struct BrokerState {
    link: watch::Sender<Link>,
    /// A bit for each part that is away, changed only under the sender's lock.
    away: AtomicU64,
}

impl BrokerState {
    /// A broker that is this process itself.
    pub(crate) fn here() -> Self {
        Self { link: watch::Sender::new(Link::Up), away: AtomicU64::new(0) }
    }

    /// A broker of so many connections, at most 64, none of them there yet.
    pub(crate) fn away(parts: usize) -> Self {
        let away = AtomicU64::new(u64::MAX >> (64 - parts.clamp(1, 64)));
        Self { link: watch::Sender::new(Link::Starting), away }
    }

    /// Records what was observed; watchers hear of changes only.
    pub(crate) fn observe(&self, part: Part, connected: bool) {
        let bit = match part {
            Part::Publishing => 1,
            Part::Reading(number) => 2 << number,
        };
        self.link.send_if_modified(|link| {
            let before = self.away.load(Ordering::Relaxed);
            let away = if connected { before & !bit } else { before | bit };
            self.away.store(away, Ordering::Relaxed);
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

    /// Whether all of it is there.
    pub fn is_up(&self) -> bool {
        self.link() == Link::Up
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
        let state = BrokerState::away(3);
        for part in [Part::Reading(1), Part::Publishing] {
            state.observe(part, true);
            assert_eq!(state.link(), Link::Starting);
        }
        state.observe(Part::Reading(0), true);
        assert_eq!(state.link(), Link::Up);
        state.observe(Part::Reading(1), false);
        state.observe(Part::Publishing, false);
        state.observe(Part::Publishing, true);
        assert_eq!(state.link(), Link::Down);
        state.observe(Part::Reading(1), true);
        assert!(state.is_up());
        assert!(BrokerState::here().is_up());
    }
}
