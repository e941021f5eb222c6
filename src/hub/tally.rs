//! The counts of one delivery, of live events or of a stream, for the metrics.

use std::sync::Arc;

use crate::{
    event::Message,
    metrics::{Metrics, Undelivered},
};

/// Counts of one delivery, for the metrics.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// Messages handed to connections.
    pub(crate) deliveries: usize,
    /// Events that connections were to get.
    pub(crate) owed: u64,
    events: u64,
    bytes: u64,
    /// Events that they did not get, and why.
    pub(crate) closed: u64,
    pub(crate) overflowed: u64,
    pub(crate) denied: u64,
    pub(crate) expired: u64,
    pub(crate) conflated: u64,
    /// Events that another subscription of the connection brings.
    pub(crate) others: u64,
    /// Change of what waits in streams for connections that lag.
    pub(crate) pending: i64,
}

impl Tally {
    /// Notes what was handed to a connection.
    pub(crate) fn count(&mut self, events: usize, bytes: usize) {
        self.deliveries += 1;
        self.events += events as u64;
        self.bytes += bytes as u64;
    }

    /// Counts a delivery that is complete, encoded so many times, and begins
    /// the next one.
    pub(crate) fn account(&mut self, messages: &[Arc<Message>], encoded: usize, metrics: &Metrics) {
        let Self { deliveries, owed, events, bytes, closed, overflowed, denied, expired, conflated, others, pending } =
            std::mem::take(self);
        self.deliveries = deliveries;
        if others > 0 {
            metrics.redundant_copies.increment(others);
        }
        metrics.owed.increment(owed);
        metrics.deliveries.increment(events);
        metrics.bytes_sent.increment(bytes);
        metrics.batches.increment(encoded as u64);
        for (reason, events) in [
            (Undelivered::Closed, closed),
            (Undelivered::Overflow, overflowed),
            (Undelivered::Denied, denied),
            (Undelivered::Expired, expired),
            (Undelivered::Conflated, conflated),
        ] {
            if events > 0 {
                metrics.undelivered.of(reason).increment(events);
            }
        }
        if pending != 0 {
            metrics.pending.increment(pending as f64);
        }
        if let Some(first) = messages.first() {
            metrics.delivery_latency.record(first.arrived.elapsed());
        }
    }
}
