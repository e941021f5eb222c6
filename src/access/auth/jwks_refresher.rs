//! The JWKS refresher fetches the keys of an issuer: at an interval, and when a token
//! names a key that is not here, though never more often than the cooldown allows.
//! The last keys stay while fetching fails.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until, timeout},
};

use crate::{
    access::auth::{
        fetch::{Document, FetchError},
        freshness::IssuerFetchTime,
        jwks,
        keyring::KeyringState,
        keys::{Keys, Requirements},
    },
    config::Jwks,
    metrics::{JwksFetch, Metrics},
    retry_log::RetryLog,
};

/// Fetches the keys of one issuer.
pub struct JwksRefresher {
    pub(crate) issuer: String,
    pub(crate) requirements: Requirements,
    pub(crate) document: Document,
    pub(crate) settings: Jwks,
    pub(crate) known: watch::Sender<KeyringState>,
    pub(crate) wanted: Arc<Notify>,
    pub(crate) freshness: IssuerFetchTime,
    pub(crate) metrics: Arc<Metrics>,
}

/// Times of the next fetch.
#[derive(Clone, Copy, Debug)]
struct Times {
    /// Anyway.
    due: Instant,
    /// When somebody wants it.
    earliest: Instant,
}

impl JwksRefresher {
    /// Fetches until it is dropped.
    pub async fn keep(self) {
        let (refresh, cooldown) = (self.settings.refresh.duration(), self.settings.cooldown.duration());
        let now = Instant::now();
        let mut times = Times { due: now, earliest: now };
        let mut failures: u32 = 0;
        let mut last = Bytes::new();
        let mut log = RetryLog::default();
        loop {
            let wanted = self.until(times).await;
            let asked = Instant::now();
            let answer = self.fetch(&mut last).await;
            let (now, fetched) = (Instant::now(), answer.is_ok());
            let pause = if fetched { refresh } else { pause(failures, cooldown, refresh) }.mul_f64(jitter());
            times.due = now + pause;
            failures = if fetched { 0 } else { failures.saturating_add(1) };
            if let Err(FailedFetch { problem, remedy, .. }) = &answer
                && log.is_due(problem, now)
            {
                let next_in = format!("{} s", pause.as_secs());
                tracing::warn!(
                    issuer = self.issuer,
                    problem,
                    remedy,
                    attempts = failures,
                    next_in,
                    "the keys of an issuer cannot be fetched; the last ones stay"
                );
            }
            self.tell(asked, answer, times.due);
            // One that was due anyway leaves the next request free.
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

    /// The keys, where they have changed.
    async fn fetch(&self, last: &mut Bytes) -> Result<Option<Keys>, FailedFetch> {
        let body = match timeout(self.settings.timeout.duration(), self.document.fetch()).await {
            Ok(Ok(body)) => body,
            Ok(Err(error)) => return Err(FailedFetch::of(&error)),
            Err(_) => return Err(FailedFetch::of(&FetchError::Time)),
        };
        if body == *last && !body.is_empty() {
            return Ok(None);
        }
        let (keys, unfit) = jwks::parse(&body, &self.requirements).map_err(|problem| FailedFetch {
            outcome: JwksFetch::Unusable,
            problem: format!("the answer {problem}"),
            remedy: "check that jwks_url is the address of the key set, and `algorithms`",
        })?;
        *last = body;
        for why in unfit {
            self.metrics.jwks_passed_over.of(why.label()).increment(1);
            tracing::warn!(issuer = self.issuer, "a key of the issuer is not used: it {why}");
        }
        tracing::info!(issuer = self.issuer, keys = keys.len(), "the issuer's keys are here");
        Ok(Some(keys))
    }

    /// Tells who waits for the keys, operators, and the metrics.
    fn tell(&self, asked: Instant, answer: Result<Option<Keys>, FailedFetch>, next: Instant) {
        let outcome = answer.as_ref().map_or_else(|failure| failure.outcome, |_| JwksFetch::Fetched);
        self.metrics.jwks_fetches.of(outcome).increment(1);
        if answer.is_ok() {
            self.freshness.renew();
        }
        self.known.send_modify(|known| {
            (known.asked, known.next) = (Some(asked), Some(next));
            known.failure = None;
            match answer {
                Err(FailedFetch { problem, remedy, .. }) => known.failure = Some((problem, remedy)),
                Ok(keys) => {
                    known.fetched = Some(Instant::now());
                    if let Some(keys) = keys {
                        known.keys = Arc::new(keys);
                    }
                }
            }
        });
    }
}

/// Reason for which the keys could not be fetched.
#[derive(Debug)]
struct FailedFetch {
    outcome: JwksFetch,
    problem: String,
    remedy: &'static str,
}

impl FailedFetch {
    fn of(error: &FetchError) -> Self {
        Self { outcome: JwksFetch::Failed, problem: error.to_string(), remedy: error.remedy() }
    }
}

/// The pause after a number of failures in a row: ever longer, but no longer
/// than usual.
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
