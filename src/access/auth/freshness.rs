//! The freshness of keys, as one figure for alerts: the time of the last fetch, of
//! the issuer whose keys are oldest.

use std::sync::Arc;

use crate::{clock, metrics::Metrics, sync::Mutex};

/// The figure.
#[derive(Debug)]
pub(crate) struct Freshness(Arc<FetchTimes>);

#[derive(Debug)]
struct FetchTimes {
    /// Seconds since 1970 of each issuer's last fetch; 0 before the first.
    all: Mutex<Vec<f64>>,
    metrics: Arc<Metrics>,
}

/// One issuer's part of the figure.
#[derive(Debug)]
pub(crate) struct IssuerFetchTime {
    place: usize,
    shared: Arc<FetchTimes>,
}

impl Freshness {
    /// A figure of no issuer yet.
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self(Arc::new(FetchTimes { all: Mutex::default(), metrics }))
    }

    /// The part of one more issuer.
    pub(crate) fn another(&self) -> IssuerFetchTime {
        let mut all = self.0.all.lock();
        all.push(0.0);
        IssuerFetchTime { place: all.len() - 1, shared: self.0.clone() }
    }
}

impl IssuerFetchTime {
    /// The keys have been fetched just now.
    pub(crate) fn renew(&self) {
        let now = clock::now().as_secs_f64();
        let mut all = self.shared.all.lock();
        all[self.place] = now;
        self.shared.metrics.jwks_fetched_at.set(all.iter().copied().fold(f64::INFINITY, f64::min));
    }
}
