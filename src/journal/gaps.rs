//! Counts the gaps of one stream, each once, however many attempts its closing
//! takes. Free of I/O.

use std::sync::Arc;

use tokio::time::Instant;

use crate::metrics::Metrics;

/// The gaps of one stream.
#[derive(Debug)]
pub(crate) struct Gaps {
    metrics: Arc<Metrics>,
    open: Option<Open>,
}

/// One that is not closed yet.
#[derive(Debug)]
struct Open {
    since: Instant,
    /// Whether clients are told that some of it will not come.
    reported: bool,
}

impl Gaps {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, open: None }
    }

    /// There is one; that which is open already, if one is.
    pub(crate) fn found(&mut self) {
        if self.open.is_none() {
            self.metrics.gaps_detected.increment(1);
            self.open = Some(Open { since: Instant::now(), reported: false });
        }
    }

    /// Some of it will not come.
    pub(crate) fn report(&mut self) {
        if let Some(open) = &mut self.open {
            open.reported = true;
        }
    }

    /// There is none any more.
    pub(crate) fn closed(&mut self) {
        if let Some(Open { since, reported }) = self.open.take() {
            let fate = if reported { &self.metrics.gaps_reported } else { &self.metrics.gaps_healed };
            fate.increment(1);
            self.metrics.heal_time.record(since.elapsed());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_gap_has_one_end_whatever_it_takes() {
        let metrics = Arc::new(Metrics::new().expect("buckets are not empty"));
        let mut gaps = Gaps::new(metrics.clone());
        // The stream could not be read at first.
        gaps.found();
        gaps.found();
        gaps.closed();
        gaps.closed();
        gaps.found();
        gaps.report();
        gaps.found();
        gaps.closed();
        let text = metrics.render();
        for (fate, count) in [("detected", 2), ("healed", 1), ("reported", 1)] {
            assert!(text.contains(&format!("notifier_gaps_{fate}_total {count}\n")), "{fate}: {text}");
        }
    }
}
