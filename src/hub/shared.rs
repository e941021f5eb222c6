//! The state that all connections of a hub share.

use std::sync::Arc;

use crate::{
    classes::Classes,
    codec::Encoding,
    encoded_message::EncodedMessage,
    error::{Code, Refusal},
    hub::{
        context::Context,
        frames,
        live::topics::Topics,
        member::Member,
        shapes::{ShapeHolder, Shapes},
        stream::{channel::Channel, subscribed},
    },
    proto::Position,
    subject::Pattern,
};

/// The state that all connections of a hub share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) topics: Topics,
    pub(crate) classes: Arc<Classes>,
    /// In the order of the configuration.
    pub(crate) channels: Vec<Arc<Channel>>,
    /// The shapes of wildcards that users hold.
    pub(crate) shapes: Shapes,
    pub(crate) context: Arc<Context>,
}

impl Shared {
    /// A connection has left the topic of a pattern, if it had one: its place there
    /// and among the shapes is given back.
    pub(crate) fn exit(self: &Arc<Self>, holder: ShapeHolder, pattern: &Pattern, had_topic: bool) {
        let (shared, pattern) = (self.clone(), pattern.clone());
        match had_topic.then(|| self.topics.exit(&pattern)).flatten() {
            None => shared.shapes.leave(holder, &pattern),
            // Until then the broker sends what matches it: else one after the other would make any number of copies.
            Some(closed) => self.context.tasks.spawn_vital("shape", async move {
                closed.cancelled().await;
                shared.shapes.leave(holder, &pattern);
            }),
        }
    }

    /// The frame that tells of a subscription that the broker refuses this node.
    pub(crate) fn refused(&self, encoding: Encoding, reply_to: u64, pattern: &Pattern) -> EncodedMessage {
        self.context.metrics.errors.of(Code::BrokerRefused).increment(1);
        let message = "NATS refuses this node the subscription; it stays, and `subscribed` follows once events flow";
        let refusal = Refusal::of(Code::BrokerRefused, pattern.as_str(), message);
        frames::refused(encoding, reply_to, refusal.into())
    }

    /// The frame for members once the broker does not refuse any more. Stored
    /// events have come meanwhile, so the frame has no position.
    pub(crate) fn again(&self, encoding: Encoding, pattern: &Pattern) -> EncodedMessage {
        let reached = self.classes.reach(pattern).streams;
        let channels: Vec<_> = reached.into_iter().map(|stream| self.channels[stream.0].clone()).collect();
        encoding.frame(&subscribed::frame(0, pattern, &channels, Vec::new(), false))
    }

    /// Everything that the live subscriptions of a connection bring up to these
    /// positions has been sent, or is in its outbox.
    pub(crate) fn positions(&self, member: &Member) -> Vec<Position> {
        self.at_positions(member, |positions| positions)
    }

    /// Acts on these positions while no event of a stream is sent to the connection.
    pub(crate) fn at_positions<R>(&self, member: &Member, act: impl FnOnce(Vec<Position>) -> R) -> R {
        if member.progress().is_empty() {
            return act(Vec::new());
        }
        // Asked first: who falls behind later has what was settled before.
        let settled: Vec<_> = self.channels.iter().map(|channel| channel.settled()).collect();
        member.progress().tell(
            |stream| settled[stream.0],
            |at| act(at.into_iter().map(|(stream, cursor)| self.channels[stream.0].position(cursor)).collect()),
        )
    }
}
