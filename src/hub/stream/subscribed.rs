//! The answer to a subscribe.

use std::sync::Arc;

use crate::{
    config::Delivery,
    hub::stream::channel::Channel,
    proto::{Position, ServerFrame, Subscribed, server_frame::Body},
    subject::Pattern,
};

/// The answer, for the moment at which the subscription is live: with the streams that it reaches, and how far it is
/// in them.
pub(crate) fn frame(
    reply_to: u64,
    pattern: &Pattern,
    channels: &[Arc<Channel>],
    mut positions: Vec<Position>,
    recovered: bool,
) -> ServerFrame {
    for position in &mut positions {
        let stream = channels.iter().find(|channel| channel.journal().name() == position.stream);
        let delivery = stream.map(|channel| channel.journal().delivery().label());
        position.delivery = delivery.unwrap_or_default().to_owned();
    }
    let deliveries = channels.iter().map(|channel| channel.journal().delivery());
    // The strongest of what its subjects promise.
    let delivery = deliveries.reduce(|a, b| if b == Delivery::Durable { b } else { a }).unwrap_or(Delivery::Live);
    let delivery = delivery.label().to_owned();
    let subscribed = Subscribed { subject: pattern.to_string(), delivery, positions, recovered };
    ServerFrame { reply_to, body: Some(Body::Subscribed(subscribed)) }
}
