//! What has arrived: how much, how late, and what was wrong with it.

use std::collections::HashSet;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// The longest latency that is told apart: ten minutes, in nanoseconds.
const LONGEST: u64 = 600 * crate::clock::SECOND;

/// Clients whose latencies are looked at together.
#[derive(Debug)]
pub struct Group {
    /// Events that have arrived.
    pub deliveries: u64,
    /// Nanoseconds from the publication to the client's read, of those that arrived since `since`.
    pub latency: Histogram<u64>,
    /// Whether latencies count at present.
    pub recording: bool,
}

impl Default for Group {
    fn default() -> Self {
        let latency = Histogram::new_with_bounds(1_000, LONGEST, 3).expect("these bounds hold");
        Self { deliveries: 0, latency, recording: false }
    }
}

impl Group {
    pub(super) fn arrived(&mut self, now: u64, published: u64) {
        self.deliveries += 1;
        if self.recording {
            self.latency.saturating_record(now.saturating_sub(published));
        }
    }

    /// A quantile of the latency, milliseconds.
    pub fn quantile(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1e6
    }
}

/// What must never happen, counted over all connections.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Faults {
    /// Events that did not arrive.
    pub lost: u64,
    /// Events that arrived again.
    pub duplicated: u64,
    /// Events that arrived after a later one.
    pub reordered: u64,
    /// Events of subjects that the connection has not asked for.
    #[serde(default)]
    pub strayed: u64,
    /// Connections that the server ended.
    pub closed: u64,
    #[serde(skip)]
    gaps: HashSet<(usize, u64)>, // of a connection's subject
}

impl Faults {
    /// Of the subject of a connection that has place `at`, `sequence` came and not the one that must come next.
    pub(super) fn unexpected(&mut self, at: usize, next: &mut u64, sequence: u64) {
        if sequence > *next {
            self.lost += sequence - *next;
            self.gaps.extend((*next..sequence).map(|missing| (at, missing)));
            *next = sequence + 1;
        } else if self.gaps.remove(&(at, sequence)) {
            self.lost -= 1;
            self.reordered += 1;
        } else {
            self.duplicated += 1;
        }
    }

    /// Whether nothing went wrong.
    pub fn none(&self) -> bool {
        self.lost + self.duplicated + self.reordered + self.strayed + self.closed == 0
    }
}

/// All of it.
#[derive(Debug, Default)]
pub struct Tally {
    /// By group.
    pub groups: [Group; 2],
    /// What went wrong.
    pub faults: Faults,
}

impl Tally {
    /// Records latencies from now on, and forgets those before.
    pub fn record(&mut self) {
        for group in &mut self.groups {
            group.recording = true;
            group.latency.reset();
        }
    }

    /// Records no more.
    pub fn stop_recording(&mut self) {
        for group in &mut self.groups {
            group.recording = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_order_is_told_from_what_is_lost_or_repeated() {
        let mut faults = Faults::default();
        let mut next = 3;
        for sequence in [5, 3, 3, 6] {
            if sequence == next {
                next += 1;
            } else {
                faults.unexpected(0, &mut next, sequence);
            }
        }
        assert_eq!((faults.lost, faults.reordered, faults.duplicated, next), (1, 1, 1, 7));
    }
}
