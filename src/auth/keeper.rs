//! Fetches the keys of an issuer, again and again: at an interval, and when a
//! token names a key that is not here, though never more often than the
//! cooldown allows. What was fetched last stays while fetching fails.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until, timeout},
};

use crate::{
    auth::{fetch::Document, freshness::Part, jwks, keyring::Known, keys::Demands},
    config::Jwks,
    metrics::{JwksFetch, Metrics},
};

/// Fetches the keys of one issuer.
pub struct Keeper {
    pub(crate) issuer: String,
    pub(crate) demands: Demands,
    pub(crate) document: Document,
    pub(crate) settings: Jwks,
    pub(crate) known: watch::Sender<Known>,
    pub(crate) wanted: Arc<Notify>,
    pub(crate) freshness: Part,
    pub(crate) metrics: Arc<Metrics>,
}

/// When to fetch next.
#[derive(Clone, Copy, Debug)]
struct Times {
    /// Anyway.
    due: Instant,
    /// When somebody wants it.
    earliest: Instant,
}

impl Keeper {
    /// Fetches until it is dropped.
    pub async fn keep(self) {
        let (refresh, cooldown) = (self.settings.refresh.duration(), self.settings.cooldown.duration());
        let now = Instant::now();
        let mut times = Times { due: now, earliest: now };
        let mut failures = 0;
        let mut last = Bytes::new();
        loop {
            let wanted = self.until(times).await;
            let fetched = self.fetch(&mut last).await;
            let now = Instant::now();
            times.due = now + if fetched { refresh } else { pause(failures, cooldown, refresh) }.mul_f64(jitter());
            failures = if fetched { 0 } else { failures + 1 };
            // One that was due anyway leaves the next wish free.
            if wanted || !fetched {
                times.earliest = now + cooldown;
            }
        }
    }

    /// Waits until it is time; says whether somebody wanted it.
    async fn until(&self, times: Times) -> bool {
        let wanted = async {
            self.wanted.notified().await;
            sleep_until(times.earliest).await;
        };
        tokio::select! {
            () = wanted => true,
            () = sleep_until(times.due) => false,
        }
    }

    async fn fetch(&self, last: &mut Bytes) -> bool {
        let asked = Instant::now();
        let (outcome, keys) = match timeout(self.settings.timeout.duration(), self.document.fetch()).await {
            Ok(Ok(body)) if body == *last && !body.is_empty() => (JwksFetch::Fetched, None),
            Ok(Ok(body)) => match jwks::parse(&body, &self.demands) {
                Ok((keys, unfit)) => {
                    *last = body;
                    for why in unfit {
                        self.metrics.jwks_passed_over.of(why.label()).increment(1);
                        tracing::warn!(issuer = self.issuer, "a key of the issuer is not used: it {why}");
                    }
                    tracing::info!(issuer = self.issuer, keys = keys.len(), "the issuer's keys are here");
                    (JwksFetch::Fetched, Some(Arc::new(keys)))
                }
                Err(problem) => {
                    tracing::warn!(issuer = self.issuer, "the answer of jwks_url {problem}; the last keys stay");
                    (JwksFetch::Unusable, None)
                }
            },
            Ok(Err(error)) => {
                tracing::warn!(issuer = self.issuer, %error, "cannot fetch the issuer's keys; the last ones stay");
                (JwksFetch::Failed, None)
            }
            Err(_) => {
                tracing::warn!(issuer = self.issuer, "jwks_url does not answer in time; the last keys stay");
                (JwksFetch::Failed, None)
            }
        };
        self.metrics.jwks_fetches.of(outcome).increment(1);
        let succeeded = outcome == JwksFetch::Fetched;
        if succeeded {
            self.freshness.renew();
        }
        self.known.send_modify(|known| {
            known.asked = Some(asked);
            known.failed = !succeeded;
            if succeeded {
                known.fetched = Some(Instant::now());
            }
            if let Some(keys) = keys {
                known.keys = keys;
            }
        });
        succeeded
    }
}

/// After so many failures in a row: ever longer, but no longer than usual.
fn pause(failures: u32, cooldown: Duration, refresh: Duration) -> Duration {
    cooldown.saturating_mul(1 << failures.min(16)).min(refresh)
}

/// Nodes that were started together do not ask together.
fn jitter() -> f64 {
    0.9 + fastrand::f64() * 0.2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_make_the_pause_longer_up_to_the_usual_one() {
        let (cooldown, refresh) = (Duration::from_secs(5), Duration::from_secs(600));
        let pauses: Vec<u64> = (0..9).map(|failures| pause(failures, cooldown, refresh).as_secs()).collect();
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320, 600, 600]);
        assert_eq!(pause(u32::MAX, cooldown, refresh), refresh);
    }
}
