//! One pattern of a subscription that is not live yet.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::{
    hub::{live::topic::Topic, stream::channel::Channel, subscribe_options::SubscribeOptions},
    proto::Position,
    subject::Pattern,
};

/// A pattern of a subscription that is not live yet.
pub(crate) struct SubscribingPattern {
    pub(crate) pattern: Pattern,
    pub(crate) options: SubscribeOptions,
    /// The streams that it reaches.
    pub(crate) channels: Vec<Arc<Channel>>,
    /// Its live topic, and a receiver that resolves when the broker sends its events.
    pub(crate) live: Option<(Arc<Topic>, oneshot::Receiver<()>)>,
    /// Nothing is missing between its position and what comes.
    pub(crate) recovered: bool,
}

impl SubscribingPattern {
    /// Whether the client has told where it was in one of its streams.
    pub(crate) fn resumes(&self, resume: &[Position]) -> bool {
        let of = |positions: &[Position], name: &str| positions.iter().any(|at| at.stream == name);
        let own = |name| !self.options.snapshot && of(&self.options.after, name);
        self.channels.iter().map(|channel| channel.journal().name()).any(|name| of(resume, name) || own(name))
    }

    pub(crate) fn reaches(&self, channel: &Channel) -> bool {
        self.channels.iter().any(|reached| reached.journal().stream() == channel.journal().stream())
    }
}
