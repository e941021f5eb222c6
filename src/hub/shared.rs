//! What all connections of a hub share.

use std::sync::Arc;

use crate::{
    classes::{Classes, StreamIndex},
    drain::Tasks,
    hub::{channel::Channel, member::Member, shapes::Shapes, topics::Topics},
    metrics::Metrics,
    proto::Position,
};

/// Where subscriptions go.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) topics: Topics,
    pub(crate) classes: Arc<Classes>,
    /// In the order of the configuration.
    pub(crate) channels: Vec<Arc<Channel>>,
    /// Stored events that one subscription may be sent before it is live.
    pub(crate) replay_events: u64,
    /// What users hold of wildcards.
    pub(crate) shapes: Shapes,
    pub(crate) tasks: Tasks,
    pub(crate) metrics: Arc<Metrics>,
}

impl Shared {
    /// Everything that the live subscriptions of a connection bring up to these
    /// positions has been sent, or is in its outbox.
    pub(crate) fn positions(&self, member: &Member) -> Vec<Position> {
        if member.seats().is_empty() {
            return Vec::new();
        }
        // Asked first: who falls behind later has what was settled before.
        let settled: Vec<_> = self.channels.iter().map(|channel| channel.settled()).collect();
        let position = |(stream, behind): (StreamIndex, Option<_>)| {
            self.channels[stream.0].position(behind.unwrap_or(settled[stream.0]))
        };
        member.seats().all().into_iter().map(position).collect()
    }
}
