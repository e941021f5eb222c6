//! What a model stands on, and what has to be left of it at the end: nothing.

use std::{sync::Arc, time::Duration};

use notifier::{
    framing::{Framing, MessageKind},
    metrics::Metrics,
    outbox::{Outbox, Policy},
    socket::{Flaw, Pipe, Wire},
    sync::let_time_pass,
    tasks::Tasks,
};

use crate::peer::Peer;

/// Passes only when a model says so.
pub(crate) const LONG: Duration = Duration::from_secs(3_600);

/// Metrics and tasks.
#[derive(Clone)]
pub(crate) struct Ground {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) tasks: Tasks,
}

impl Ground {
    pub(crate) fn new() -> Self {
        let metrics = Arc::new(Metrics::new().expect("metrics"));
        Self { tasks: Tasks::new(metrics.clone()), metrics }
    }

    /// Bounds of queues: bytes, frames, and how long a peer may take nothing.
    pub(crate) fn policy(&self, bytes: usize, frames: usize, stall_time: Duration) -> Arc<Policy> {
        let Self { metrics, tasks } = self.clone();
        Arc::new(Policy { bytes, frames, close_time: LONG, stall_time, tasks, metrics })
    }

    /// Ends all: no task stays, and nothing waits any more. What the series say then.
    pub(crate) async fn end(self) -> Values {
        let_time_pass();
        self.tasks.stop();
        self.tasks.ended().await;
        let values = Values(self.metrics.render());
        for series in [
            "notifier_outbox_bytes",
            "notifier_outboxes_waiting",
            "notifier_lagging",
            "notifier_pending",
            "notifier_subscriptions",
            "notifier_topics",
            "notifier_feeds",
            "notifier_panics_total",
        ] {
            assert_eq!(values.of(series), 0.0, "{series}");
        }
        let owed = values.of("notifier_owed_total");
        let got = values.of("notifier_deliveries_total") + values.of("notifier_undelivered_total");
        assert_eq!(owed, got, "what was owed and what came of it");
        values
    }
}

/// What the series say.
pub(crate) struct Values(String);

impl Values {
    /// All labels of a series together.
    pub(crate) fn of(&self, series: &str) -> f64 {
        let of_it = self.0.lines().filter_map(|line| line.strip_prefix(series)?.strip_prefix(['{', ' ']));
        of_it.filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}

/// An outbox and its peer, between which so many bytes fit.
pub(crate) fn connection(policy: Arc<Policy>, capacity: usize, flaw: Option<Flaw>) -> (Arc<Outbox>, Peer) {
    let pipe = Arc::new(Pipe::new(capacity, flaw));
    (Outbox::new(Wire::model(pipe.clone()), Framing::WebSocket(MessageKind::Text), policy), Peer::new(pipe))
}
