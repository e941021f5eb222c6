//! The options of a subscribe, besides its pattern.

use std::sync::Arc;

use crate::{
    codec::Encoding,
    config::Delivery,
    encoded_message::EncodedMessage,
    hub::{frames, stream::channel::Channel},
    proto::{Position, Subscribed},
    quota::Account,
    subject::Pattern,
};

/// The options of a subscribe.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SubscribeOptions {
    /// Number that the answer carries; 0 for none.
    pub reply_to: u64,
    /// It has everything up to these positions.
    pub after: Vec<Position>,
    /// It wants the newest event of each subject first.
    pub snapshot: bool,
    /// The account that reads are counted for.
    pub account: Account,
}

impl SubscribeOptions {
    /// Whether it asks for nothing that is stored.
    pub(crate) fn is_plain(&self) -> bool {
        self.after.is_empty() && !self.snapshot
    }

    /// The answer, for the moment at which the subscription is live.
    pub(crate) fn subscribed_frame(
        &self,
        encoding: Encoding,
        pattern: &Pattern,
        channels: &[Arc<Channel>],
        positions: Vec<Position>,
        recovered: bool,
    ) -> EncodedMessage {
        let deliveries = channels.iter().map(|channel| channel.journal().delivery());
        // The strongest of what its subjects promise.
        let delivery = deliveries.reduce(|a, b| if b == Delivery::Durable { b } else { a }).unwrap_or(Delivery::Live);
        let subscribed =
            Subscribed { subject: pattern.to_string(), delivery: delivery.label().to_owned(), positions, recovered };
        frames::subscribed(encoding, self.reply_to, subscribed)
    }
}
