//! The observations of all clients: counts, the verdict, and the outages of NATS that explain some
//! of them.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use notifier_verify::verdict::Verdict;

use crate::clock::{self, SECOND};

/// The time after an outage in which its consequences may show: a request waits 5 s for its answer.
const AFTERMATH: u64 = 10 * SECOND;

/// Observations by kind.
#[derive(Debug, Default)]
pub(super) struct Book {
    counts: Mutex<BTreeMap<&'static str, u64>>,
    verdict: Mutex<Verdict>,
    weather: Weather,
}

/// Until when the absence of NATS explains things, on [`clock`].
#[derive(Debug, Default)]
pub(super) struct Weather(AtomicU64);

impl Book {
    /// Findings: events that must not happen, and did.
    pub(super) fn verdict(&self) -> MutexGuard<'_, Verdict> {
        self.verdict.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts of events that may happen.
    pub(super) fn counts(&self) -> MutexGuard<'_, BTreeMap<&'static str, u64>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something that may happen has happened.
    pub(super) fn count(&self, what: &'static str) {
        *self.counts().entry(what).or_default() += 1;
    }

    /// Something that must not happen has happened.
    pub(super) fn fault(&self, what: &'static str, how: impl FnOnce() -> String) {
        self.verdict().find(what, how);
    }

    /// The same, unless NATS was away, or too slow, at some moment since `since`.
    pub(super) fn unless_outage(&self, since: u64, what: &'static str, how: impl FnOnce() -> String) {
        if self.weather.explains(since) {
            self.count("explained by NATS, which was away or slow");
        } else {
            self.fault(what, how);
        }
    }

    /// When NATS goes and when it is back.
    pub(super) fn weather(&self) -> &Weather {
        &self.weather
    }
}

impl Weather {
    /// NATS is about to go.
    pub(super) fn breaks(&self) {
        self.0.store(u64::MAX, Relaxed);
    }

    /// NATS is back, and the node is connected to it.
    pub(super) fn clears(&self) {
        self.0.store(clock::now() + AFTERMATH, Relaxed);
    }

    /// NATS has kept a service waiting though it is there: the machine has too much else to do.
    pub(super) fn clouds(&self) {
        self.0.fetch_max(clock::now() + AFTERMATH, Relaxed);
    }

    /// Whether NATS, or what followed from its absence, was to be reckoned with at some moment since `since`.
    pub(super) fn explains(&self, since: u64) -> bool {
        self.0.load(Relaxed) > since
    }
}
