//! The hub matches events with subscriptions and pushes them into outboxes.
//! Live patterns have a feed at the broker for as long as they have members;
//! streams are followed as a whole, and their events are matched here. The hub
//! never names a session.

mod attachment;
mod coalescer;
mod context;
mod frames;
mod lingering;
mod live;
mod member;
mod member_list;
mod member_progress;
mod member_slot;
mod overflow_notice;
mod precedence;
mod shapes;
mod shared;
mod stream;
mod subscribe_options;
mod tally;
#[cfg(test)]
mod tests;

use std::{io, sync::Arc, time::Instant};

pub use attachment::{Attachment, EndedSubscription, PositionHandle};
pub use context::Context;
pub use shapes::TooManyShapes;
pub use subscribe_options::SubscribeOptions;

use crate::{
    broker::{Arrived, Broker, Intake, Stored},
    classes::StreamIndex,
    codec::Encoding,
    journal::Journal,
    outbox::Outbox,
    proto::Position,
    sync::yield_now,
};
use coalescer::Coalescer;
use live::{Route, topics::Topics};
use member::Member;
use shapes::Shapes;
use shared::Shared;
use stream::{channel::Channel, fan_out};

/// Deliveries that one intake makes before others get their turn: about half a
/// millisecond of writes.
const TURN: usize = 64;

/// All patterns that somebody on this node is subscribed to.
#[derive(Debug)]
pub struct Hub {
    shared: Arc<Shared>,
}

impl Hub {
    /// A hub without topics, which carries what the intakes of a broker bring, and hands out what
    /// the journals hold, which are in the order of the configuration. Each intake that
    /// reads a socket has a thread of its own: what everybody waits for comes
    /// there, and must not wait behind thousands of clients who all come at once.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn new(
        context: Context,
        broker: Arc<dyn Broker>,
        intakes: Vec<Box<dyn Intake>>,
        journals: Vec<Arc<Journal>>,
    ) -> io::Result<Arc<Self>> {
        let context = Arc::new(context);
        let shared = Shared {
            classes: broker.classes().clone(),
            topics: Topics::new(broker, context.clone()),
            channels: Channel::all(journals),
            shapes: Shapes::new(context.wildcard_shapes),
            context,
        };
        let hub = Arc::new(Self { shared: Arc::new(shared) });
        let tasks = &hub.shared.context.tasks;
        for intake in intakes {
            if intake.is_remote() {
                tasks.spawn_thread("intake", hub.clone().carry(intake))?;
            } else {
                tasks.spawn_vital("intake", hub.clone().carry(intake));
            }
        }
        for channel in &hub.shared.channels {
            tasks.spawn_vital("stream", hub.clone().follow(channel.clone()));
        }
        Ok(hub)
    }

    /// Lets a connection in; it has no subscriptions yet.
    pub fn attach(&self, outbox: Arc<Outbox>, encoding: Encoding) -> Attachment {
        Attachment::new(self.shared.clone(), Arc::new(Member::new(outbox, encoding)))
    }

    /// How many distinct live patterns are open.
    pub fn topics(&self) -> usize {
        self.shared.topics.len()
    }

    /// Whether every stream is followed, or was at some time.
    pub fn has_begun(&self) -> bool {
        self.shared.channels.iter().all(|channel| channel.journal().window().has_begun())
    }

    /// Everything that the live subscriptions of a connection bring up to these
    /// positions has been sent, or is in its outbox.
    /// `tell` is called with these while no event of a stream is sent to the
    /// connection: so what it sends stands in its place among them.
    pub fn tell_positions<R>(
        &self,
        PositionHandle(member): &PositionHandle,
        tell: impl FnOnce(Vec<Position>) -> R,
    ) -> R {
        self.shared.at_positions(member, tell)
    }

    /// Carries events from the broker to their topics, for ever.
    async fn carry(self: Arc<Self>, mut intake: Box<dyn Intake>) {
        let (exclusively, context) = (intake.is_remote(), &self.shared.context);
        let (mut arrived, mut together) = (Arrived::default(), Vec::new());
        let mut coalescer = Coalescer::new(Instant::now());
        loop {
            intake.next(&mut arrived).await;
            let mut wanted = !arrived.opened.is_empty();
            for feed in std::mem::take(&mut arrived.refused) {
                if let Some(topic) = self.shared.topics.refused(feed) {
                    let told = |encoding| self.shared.refused(encoding, 0, topic.pattern());
                    let again = |encoding| self.shared.again(encoding, topic.pattern());
                    topic.refuse(told, again).await;
                }
            }
            for feed in std::mem::take(&mut arrived.opened) {
                if let Some(stream) = feed.stream() {
                    self.shared.channels[stream.0].journal().window().mark_stale();
                    continue;
                }
                for topic in self.shared.topics.opened(feed) {
                    topic.open().await;
                }
            }
            if !arrived.stored.is_empty() {
                wanted |= self.carry_stored(&mut arrived.stored).await;
            }
            let mut deliveries = 0;
            while let Some(feed) = arrived.take_feed(&mut together) {
                wanted = true;
                match self.shared.topics.route(feed) {
                    Some(Route::Topic(topic)) => deliveries += topic.take(&mut together, context),
                    Some(Route::Shared(shared)) => {
                        for (topic, mut events) in shared.sort(&together, &context.metrics) {
                            deliveries += topic.take(&mut events, context);
                            if deliveries >= TURN {
                                deliveries = 0;
                                yield_now().await;
                            }
                        }
                    }
                    // Its last member has just left.
                    None => {}
                }
                if deliveries >= TURN {
                    deliveries = 0;
                    yield_now().await;
                }
            }
            if exclusively && coalescer.after(wanted, Instant::now()) {
                coalescer::gather();
            }
        }
    }

    /// Takes what streams have stored into their journals, and hands it out.
    /// True when somebody wants some of it.
    async fn carry_stored(&self, stored: &mut Vec<(StreamIndex, Stored)>) -> bool {
        let mut wanted = false;
        for channel in &self.shared.channels {
            let stream = channel.journal().stream();
            let of_it = stored.extract_if(.., |(index, _)| *index == stream).map(|(_, stored)| stored);
            if channel.journal().window().take(of_it) {
                wanted |= self.hand_out(channel).await;
            }
        }
        wanted
    }

    /// Hands out what a journal has read by itself, for ever.
    async fn follow(self: Arc<Self>, channel: Arc<Channel>) {
        loop {
            channel.journal().window().advanced.notified().await;
            self.hand_out(&channel).await;
        }
    }

    /// True when somebody wants some of it.
    async fn hand_out(&self, channel: &Arc<Channel>) -> bool {
        let mut wanted = false;
        loop {
            let deliveries = fan_out::run(&self.shared.context, channel, TURN);
            wanted |= deliveries > 0;
            if deliveries < TURN {
                return wanted || channel.is_in_progress();
            }
            yield_now().await;
        }
    }
}
