//! The attachment of one connection to the hub: its subscriptions, and their end.

use std::sync::{
    Arc, Weak,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::{
    access::grants::Grants,
    classes::{Reach, StreamIndex},
    codec::Encoding,
    hub::{
        lingering::QUIET,
        live::topic::{Confirmation, Topic},
        member::Member,
        shapes::TooManyShapes,
        shared::Shared,
        stream::{channel::Channel, subscribed, subscribing::Subscribing, subscribing_pattern::SubscribingPattern},
        subscribe_options::SubscribeOptions,
    },
    metrics::Undelivered,
    proto::Position,
    subject::Pattern,
    sync::sleep,
};

/// The attachment of one connection to the hub. Dropping it gives every
/// subscription up.
#[derive(Debug)]
pub struct Attachment {
    shared: Arc<Shared>,
    member: Arc<Member>,
    subscriptions: Vec<Subscription>,
}

/// A subscription of a connection.
#[derive(Debug)]
struct Subscription {
    /// The number of the request that made it; 0 for none.
    request: u64,
    source: SubscriptionSource,
}

/// The source of what a subscription brings.
#[derive(Debug)]
enum SubscriptionSource {
    /// Nothing stores what it brings.
    Live(Arc<Topic>),
    /// Some of what it brings is stored.
    Stored(Box<StreamSubscription>),
}

/// A subscription that a connection has lost.
#[derive(Debug)]
pub struct EndedSubscription {
    /// The pattern.
    pub pattern: Pattern,
    /// The number of the request that made it; 0 for none.
    pub reply_to: u64,
}

#[derive(Debug)]
struct StreamSubscription {
    pattern: Pattern,
    /// Of what is not stored.
    live: Option<Arc<Topic>>,
    channels: Vec<Arc<Channel>>,
    /// Cancelled when it is given up, should it not be live yet.
    given_up: CancellationToken,
    /// Whether it has come to nothing.
    refused: Arc<AtomicBool>,
}

impl Subscription {
    fn pattern(&self) -> &Pattern {
        match &self.source {
            SubscriptionSource::Live(topic) => topic.pattern(),
            SubscriptionSource::Stored(followed) => &followed.pattern,
        }
    }

    /// Its live topic.
    fn topic(&self) -> Option<&Arc<Topic>> {
        match &self.source {
            SubscriptionSource::Live(topic) => Some(topic),
            SubscriptionSource::Stored(followed) => followed.live.as_ref(),
        }
    }

    fn is_refused(&self) -> bool {
        matches!(&self.source, SubscriptionSource::Stored(followed) if followed.refused.load(Ordering::Relaxed))
    }
}

impl StreamSubscription {
    /// Unless it is live already, it will never be.
    fn stop(&self, member: &Member) {
        member.progress().exclusively(|| self.given_up.cancel());
    }

    /// Frames carry the number of another request from now on.
    fn set_request(&self, member: &Member, request: u64) {
        for channel in &self.channels {
            member.progress().set_request(channel.journal().stream(), &self.pattern, request);
        }
        member.set_request(&self.pattern, request);
    }

    /// Whether it is live; where it is not, it never will be.
    fn stays(&self, member: &Member) -> bool {
        // Before it is looked at: it must not become live, and say so, behind our back.
        self.stop(member);
        self.channels.iter().all(|channel| channel.is_followed(&self.pattern, member))
    }
}

/// A handle with which the hub tells a connection's positions.
#[derive(Clone, Debug)]
pub struct PositionHandle(pub(crate) Arc<Member>);

impl Attachment {
    pub(crate) fn new(shared: Arc<Shared>, member: Arc<Member>) -> Self {
        Self { shared, member, subscriptions: Vec::new() }
    }

    /// How many subscriptions the connection has.
    pub fn len(&self) -> usize {
        self.subscriptions.iter().filter(|subscription| !subscription.is_refused()).count()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it has subscribed exactly this pattern.
    pub fn has(&self, pattern: &Pattern) -> bool {
        self.subscriptions.iter().any(|subscription| subscription.pattern() == pattern && !subscription.is_refused())
    }

    /// The patterns that the connection has subscribed.
    pub fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        self.subscriptions.iter().filter(|subscription| !subscription.is_refused()).map(Subscription::pattern)
    }

    /// The encoding of the connection.
    pub fn encoding(&self) -> Encoding {
        self.member.encoding()
    }

    /// For whoever tells the connection how far it is.
    pub fn position_handle(&self) -> PositionHandle {
        PositionHandle(self.member.clone())
    }

    /// Subscribes. The client is told once events flow, before the first of
    /// them. Subscribing again has it told again; with a position or a snapshot
    /// it begins anew. While events do not flow yet, it takes the place of the
    /// one before.
    ///
    /// # Errors
    /// When its user holds as many shapes of wildcards as they may.
    pub fn join(&mut self, pattern: &Pattern, options: SubscribeOptions) -> Result<(), TooManyShapes> {
        for refused in self.subscriptions.extract_if(.., |subscription| subscription.is_refused()).collect::<Vec<_>>() {
            self.give_up(refused, true);
        }
        let reach = self.shared.classes.reach(pattern);
        if !reach.streams.is_empty() {
            if let Some(Subscription { request, source: SubscriptionSource::Stored(followed) }) =
                self.subscriptions.iter_mut().find(|subscription| subscription.pattern() == pattern)
                && options.is_plain()
                && followed.stays(&self.member)
            {
                // Leaving would lose what comes meanwhile.
                *request = options.reply_to;
                followed.set_request(&self.member, options.reply_to);
                if followed.live.as_ref().is_some_and(|topic| topic.is_refused()) {
                    let refused = self.shared.refused(self.member.encoding(), options.reply_to, pattern);
                    self.member.outbox().push(&refused);
                    return Ok(());
                }
                let mut positions = self.shared.positions(&self.member);
                positions.retain(|at| followed.channels.iter().any(|channel| channel.journal().name() == at.stream));
                let frame = subscribed::frame(options.reply_to, pattern, &followed.channels, positions, false);
                self.member.outbox().push(&self.member.encoding().frame(&frame));
                return Ok(());
            }
            // Before the old one leaves: nobody takes its place.
            self.enter_shape(pattern)?;
            self.leave(pattern);
            self.follow(vec![(pattern.clone(), options, reach)], Vec::new());
            return Ok(());
        }
        self.join_live(pattern, options.reply_to)
    }

    /// Subscribes to several patterns as one, once in the life of a connection: what
    /// they miss is replayed together, in the order of each stream, and they become
    /// live together. In the streams of `resume` the client has everything up to
    /// there, whatever their options say. Returns the patterns that were refused.
    pub fn join_together(
        &mut self,
        patterns: Vec<(Pattern, SubscribeOptions)>,
        resume: Vec<Position>,
    ) -> Vec<(Pattern, TooManyShapes)> {
        let (mut refused, mut stored) = (Vec::new(), Vec::new());
        for (pattern, options) in patterns {
            let reach = self.shared.classes.reach(&pattern);
            let joined = if reach.streams.is_empty() {
                self.join_live(&pattern, options.reply_to)
            } else {
                self.enter_shape(&pattern).map(|()| stored.push((pattern.clone(), options, reach)))
            };
            refused.extend(joined.err().map(|why| (pattern, why)));
        }
        if !stored.is_empty() {
            self.follow(stored, resume);
        }
        refused
    }

    /// Subscribes to what nothing stores.
    fn join_live(&mut self, pattern: &Pattern, reply_to: u64) -> Result<(), TooManyShapes> {
        let live = subscribed::frame(reply_to, pattern, &[], Vec::new(), false);
        let live = Confirmation::Frame(self.member.encoding().frame(&live));
        if let Some(Subscription { request, source: SubscriptionSource::Live(topic) }) =
            self.subscriptions.iter_mut().find(|subscription| subscription.pattern() == pattern)
        {
            *request = reply_to;
            let topic = topic.clone();
            self.enter(&topic, reply_to, live);
            return Ok(());
        }
        self.enter_shape(pattern)?;
        let topic = self.enter_topic(pattern, reply_to, live);
        self.hold(Subscription { request: reply_to, source: SubscriptionSource::Live(topic) });
        Ok(())
    }

    /// Subscribes to what is stored, and to what is not where that is wanted too.
    fn follow(&mut self, patterns: Vec<(Pattern, SubscribeOptions, Reach)>, resume: Vec<Position>) {
        let (given_up, refused) = (CancellationToken::new(), Arc::<AtomicBool>::default());
        let (mut reached, mut parts) = (Vec::<StreamIndex>::new(), Vec::new());
        for (pattern, options, reach) in patterns {
            let request = options.reply_to;
            reached.extend(&reach.streams);
            let channels = self.channels(reach.streams);
            let live = reach.live.then(|| {
                let (tell, told) = oneshot::channel();
                (self.enter_topic(&pattern, request, Confirmation::Tell(tell)), told)
            });
            let followed = StreamSubscription {
                pattern: pattern.clone(),
                live: live.as_ref().map(|(topic, _)| topic.clone()),
                channels: channels.clone(),
                given_up: given_up.clone(),
                refused: refused.clone(),
            };
            self.hold(Subscription { request, source: SubscriptionSource::Stored(Box::new(followed)) });
            parts.push(SubscribingPattern { pattern, options, channels, live, recovered: false });
        }
        reached.sort_unstable();
        reached.dedup();
        let subscribing = Subscribing {
            parts,
            resume,
            member: self.member.clone(),
            channels: self.channels(reached),
            given_up,
            refused,
            context: self.shared.context.clone(),
        };
        if let Some(subscribing) = subscribing.at_once() {
            self.shared.context.tasks.spawn(subscribing.run());
        }
    }

    fn channels(&self, streams: Vec<StreamIndex>) -> Vec<Arc<Channel>> {
        streams.into_iter().map(|stream| self.shared.channels[stream.0].clone()).collect()
    }

    /// This is what the client may do from now on. Subscriptions that are no
    /// longer granted end, and are returned; what is denied is left out of those
    /// that stay. Nothing else is handed to the connection once this returns;
    /// what was handed to it before stands in its queue, before any frame that
    /// the caller sends now. Until it is called nothing is denied, so it comes
    /// before the first [`join`](Self::join). All grants are of one user.
    pub fn regrant(&mut self, grants: &Grants) -> Vec<EndedSubscription> {
        if let Some(user) = grants.identity().user_key() {
            self.member.set_user(self.shared.shapes.user(user));
        }
        // First: what joins meanwhile is asked by these.
        self.member.deny(grants);
        let lost = |subscription: &mut Subscription| grants.subscribe(subscription.pattern().as_str()).is_err();
        let mut ended = Vec::new();
        for subscription in self.subscriptions.extract_if(.., lost).collect::<Vec<_>>() {
            if !subscription.is_refused() {
                ended.push(EndedSubscription {
                    pattern: subscription.pattern().clone(),
                    reply_to: subscription.request,
                });
            }
            self.give_up(subscription, true);
        }
        self.member.progress().filter(|pattern| self.member.filters(pattern));
        for subscription in &self.subscriptions {
            if let Some(topic) = subscription.topic() {
                topic.filter(&self.member);
            }
        }
        ended
    }

    fn hold(&mut self, subscription: Subscription) {
        if self.subscriptions.is_empty() {
            // Most connections have few, and there are many connections.
            self.subscriptions.reserve_exact(1);
        }
        self.subscriptions.push(subscription);
        self.shared.context.metrics.subscriptions.increment(1);
    }

    /// Unsubscribes; false when there was no such subscription.
    pub fn leave(&mut self, pattern: &Pattern) -> bool {
        let Some(index) = self.subscriptions.iter().position(|subscription| subscription.pattern() == pattern) else {
            return false;
        };
        let subscription = self.subscriptions.remove(index);
        self.give_up(subscription, true);
        true
    }

    fn give_up(&self, subscription: Subscription, may_linger: bool) {
        let pattern = subscription.pattern().clone();
        let topic = match subscription.source {
            SubscriptionSource::Live(topic) => Some(topic),
            SubscriptionSource::Stored(followed) => {
                // Before it is looked for: it must not join behind our back.
                followed.stop(&self.member);
                let StreamSubscription { pattern, live, channels, .. } = *followed;
                for channel in channels {
                    let pending = channel.leave(&pattern, &self.member);
                    self.shared.context.metrics.pending.decrement(pending as f64);
                    // Below zero: it has got more than was handed out yet.
                    let (left, ahead) = (pending.max(0).unsigned_abs(), pending.min(0).unsigned_abs());
                    self.shared.context.metrics.undelivered.of(Undelivered::GivenUp).increment(left);
                    self.shared.context.metrics.owed.increment(ahead);
                }
                live
            }
        };
        self.shared.context.metrics.subscriptions.decrement(1);
        let ticket = topic.as_ref().filter(|_| may_linger).and_then(|topic| topic.linger(&self.member));
        match topic.as_ref().zip(ticket) {
            Some((topic, ticket)) => {
                let (shared, member) = (self.shared.clone(), Arc::downgrade(&self.member));
                self.shared.context.tasks.spawn(until_quiet(shared, member, topic.clone(), ticket));
            }
            None => {
                topic.iter().for_each(|topic| topic.leave(&self.member));
                self.shared.exit(self.member.holder(), &pattern, topic.is_some());
            }
        }
        self.end_lingering(false);
    }

    /// Ends the lingering of patterns, of all or of those that nothing wider stays for.
    fn end_lingering(&self, all: bool) -> bool {
        let ended = self.member.end_lingering(all);
        for pattern in &ended {
            self.shared.topics.get(pattern).iter().for_each(|topic| topic.leave(&self.member));
            self.shared.exit(self.member.holder(), pattern, true);
        }
        !ended.is_empty()
    }

    /// Counts the shape of a pattern, if need be in the place of some that linger.
    fn enter_shape(&self, pattern: &Pattern) -> Result<(), TooManyShapes> {
        let enter = || self.shared.shapes.enter(self.member.holder(), pattern);
        enter().or_else(|why| if self.end_lingering(true) { enter() } else { Err(why) })
    }

    fn enter_topic(&self, pattern: &Pattern, request: u64, live: Confirmation) -> Arc<Topic> {
        let topic = self.shared.topics.enter(pattern);
        let lingered = self.member.revive(pattern);
        self.enter(&topic, request, live);
        if lingered {
            // It was counted for that as well.
            self.shared.exit(self.member.holder(), pattern, true);
        }
        topic
    }

    fn enter(&self, topic: &Topic, request: u64, live: Confirmation) {
        topic.join(&self.member, request, live);
        if topic.is_refused() {
            let encoding = self.member.encoding();
            self.member.outbox().push(&self.shared.refused(encoding, 0, topic.pattern()));
        }
    }
}

/// Waits until a pattern that lingers brings nothing, and ends that. Others may have
/// ended it before, and given its place back.
async fn until_quiet(shared: Arc<Shared>, member: Weak<Member>, topic: Arc<Topic>, ticket: u32) {
    loop {
        sleep(QUIET).await;
        let Some(member) = member.upgrade().filter(|member| member.lingers_under(topic.pattern(), ticket)) else {
            return;
        };
        if topic.leave_quiet(&member) {
            return shared.exit(member.holder(), topic.pattern(), true);
        }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        for subscription in std::mem::take(&mut self.subscriptions) {
            self.give_up(subscription, false);
        }
        self.end_lingering(true);
    }
}
