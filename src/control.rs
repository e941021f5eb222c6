//! Commands of operators, done on every node: the node that is asked does the command
//! and tells the others. All nodes keep the revocations and compare them, so that
//! a node that starts or was cut off learns of them.

mod command;

use std::{collections::HashSet, fmt, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    time,
};

pub use command::{Answer, Command, CommandTarget, NodeMessage};

use crate::{
    access::{
        identity::{Identity, UserFilter},
        revocation::{Full, IssuerName, Revocation, Revocations, Revoked},
    },
    broker::{Broker, Link},
    clock::unix_seconds,
    close::CloseReason,
    cluster::{BEACON, Cluster, ClusterSubscription, ReceivedMessage, Responders},
    metrics::Metrics,
    session::Connections,
    socket::ConnectionId,
    tasks::Tasks,
};
use command::TOGETHER;

/// Time that the other nodes have to answer. An operator waits that long.
const GATHER: Duration = Duration::from_millis(500);

/// Interval at which nodes compare revocations, besides after each outage: the delay
/// that a lost message may cause. Others know by it that this node lives.
const COMPARE: Duration = BEACON;

/// Requests of operators under way; further ones are refused.
const CALLS: usize = 16;

/// Connections that a node lists at most.
pub const LISTED: usize = 100;

/// Runs commands of operators, here and on the other nodes.
pub struct Control {
    cluster: Cluster,
    broker: Arc<dyn Broker>,
    registry: Arc<Connections>,
    revocations: Arc<Revocations>,
    calls: mpsc::Sender<Call>,
    tasks: Tasks,
    metrics: Arc<Metrics>,
}

/// A request, who gave out the names in it, and where its outcome goes.
type Call = (Command, Option<IssuerName>, oneshot::Sender<Outcome>);

/// The outcome of a command.
#[derive(Debug)]
pub struct Outcome {
    /// The answers of the nodes that could be reached, by name, this one first.
    pub answers: Vec<(String, Answer)>,
    /// Whether the others could be asked at all.
    pub reached: bool,
    /// Whether the answer of a node may be missing.
    pub partial: bool,
    /// The nodes that are known to live and did not answer in time, as far as they are
    /// known by name.
    pub missing: Vec<String>,
}

/// Reason for which a command is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandRejected {
    /// Too many are under way.
    #[error("{CALLS} such requests are under way, the most there may be; try again")]
    Busy,
    /// Too much is revoked already.
    #[error(transparent)]
    Full(#[from] Full),
}

impl Control {
    /// Control of one node. Its commands wait in a queue until it
    /// [runs](Self::run), with the second part of this result.
    pub fn new(
        node: String,
        broker: Arc<dyn Broker>,
        registry: Arc<Connections>,
        revocations: Arc<Revocations>,
        tasks: Tasks,
        metrics: Arc<Metrics>,
    ) -> (Arc<Self>, Calls) {
        let (calls, waiting) = mpsc::channel(CALLS);
        let cluster = Cluster::new(node, broker.bus().clone(), metrics.clone());
        if cluster.is_alone() {
            revocations.set_known();
        }
        (Arc::new(Self { cluster, broker, registry, revocations, calls, tasks, metrics }), Calls(waiting))
    }

    /// Has something done everywhere. The names in it are those of an issuer, or
    /// of whatever issuer. May be called from any runtime.
    ///
    /// # Errors
    /// See [`CommandRejected`].
    pub async fn ask(&self, order: Command, issuer: Option<IssuerName>) -> Result<Outcome, CommandRejected> {
        if let Command::Revoke(revocations) = &order {
            // Before anybody is told: a list that is full takes nothing.
            for revocation in revocations {
                self.revocations.add(revocation.clone(), unix_seconds())?;
            }
        }
        let (tell, told) = oneshot::channel();
        self.calls.try_send((order, issuer, tell)).map_err(|_| CommandRejected::Busy)?;
        told.await.map_err(|_| CommandRejected::Busy)
    }

    /// A revocation that begins now and is kept for `kept`.
    pub fn revocation(what: Revoked, issuer: Option<IssuerName>, kept: Duration) -> Revocation {
        let at = unix_seconds();
        Revocation { what, issuer, at, until: at.saturating_add(kept.as_secs()) }
    }

    /// Does what is asked for here and on other nodes. Runs until it is dropped.
    pub async fn run(self: Arc<Self>, Calls(mut calls): Calls) {
        let mut subscription = self.cluster.listen().await;
        let mut link = self.broker.state().watch();
        let mut compares = time::interval(COMPARE);
        compares.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some((order, issuer, tell)) = calls.recv() => {
                    let control = self.clone();
                    // The caller may have gone.
                    self.tasks.spawn(async move { drop(tell.send(control.serve(order, issuer).await)) });
                }
                heard = receive(&mut subscription) => self.handle(heard).await,
                Ok(()) = link.changed() => {
                    self.cluster.forget_discovery();
                    if *link.borrow_and_update() == Link::Up {
                        self.tasks.spawn(self.clone().compare());
                    }
                }
                _ = compares.tick() => {
                    self.metrics.revocations.set(self.revocations.forget(unix_seconds()) as f64);
                    self.cluster.refresh();
                    if self.cluster.is_refused() {
                        subscription = self.cluster.listen().await;
                    }
                    self.tasks.spawn(self.clone().compare());
                }
            }
        }
    }

    /// Tells the others that this node leaves, so that nobody waits for its answers.
    pub async fn leave(&self) {
        let order = Command::Compare { digest: self.revocations.digest(unix_seconds()) };
        self.cluster.leave(&NodeMessage { issuer: None, order }).await;
    }

    /// Does it here, and has the others do it.
    async fn serve(self: Arc<Self>, order: Command, issuer: Option<IssuerName>) -> Outcome {
        let own = self.perform(&order, issuer.as_ref(), true).await;
        let mut answers = vec![(self.cluster.node().to_owned(), own)];
        let message = NodeMessage { issuer, order };
        let gathered =
            self.cluster.request(&message, Responders::All, GATHER, |node, answer| answers.push((node, answer))).await;
        Outcome { answers, reached: gathered.reached, partial: gathered.partial, missing: gathered.missing }
    }

    /// Does what another node says.
    async fn handle(self: &Arc<Self>, ReceivedMessage { body, hello, reply_to }: ReceivedMessage<NodeMessage>) {
        let NodeMessage { issuer, order } = body;
        let answers = match &order {
            Command::Compare { digest } if *digest != self.revocations.digest(unix_seconds()) => self.state_all(),
            Command::Compare { .. } if hello => vec![Answer { same: true, ..Answer::default() }],
            Command::Compare { .. } => return,
            order => vec![self.perform(order, issuer.as_ref(), false).await],
        };
        let Some(reply_to) = reply_to else { return };
        for answer in answers {
            self.cluster.answer(&reply_to, &answer).await;
        }
    }

    /// Everything that is revoked, in parts; an empty one if nothing is.
    fn state_all(&self) -> Vec<Answer> {
        let all = self.revocations.all(unix_seconds());
        let answer = |revocations: &[Revocation]| Answer { revocations: revocations.to_vec(), ..Answer::default() };
        if all.is_empty() { vec![answer(&[])] } else { all.chunks(TOGETHER).map(answer).collect() }
    }

    /// Does something on this node; `ours` says that it was asked for here.
    async fn perform(&self, order: &Command, issuer: Option<&IssuerName>, ours: bool) -> Answer {
        let issuer = issuer.map(|issuer| issuer.as_str());
        let mut answer = Answer::default();
        let connections = match order {
            Command::Disconnect(whom) => {
                self.registry.close(CloseReason::Disconnected, |identity, id| is(whom, issuer, identity, id)).await
            }
            Command::Revoke(revocations) => self.learn(revocations.clone(), ours).await,
            Command::Reevaluate { user, within_ms } => {
                let theirs = UserFilter { user: Some(user.as_str()), issuer };
                self.registry.require_refresh(theirs, Duration::from_millis(*within_ms)).await
            }
            Command::List { user, most } => {
                let user = user.as_ref().map(|user| user.as_str());
                let (count, listed) = self.registry.list(UserFilter { user, issuer }, (*most).min(LISTED)).await;
                answer.listed = listed;
                count
            }
            Command::Compare { .. } => 0,
        };
        answer.connections = connections as u64;
        answer
    }

    /// Takes note of revocations; returns how many connections ended by that.
    /// Only what is new ends some, or what is `noted` already by whoever asks.
    async fn learn(&self, revocations: Vec<Revocation>, noted: bool) -> usize {
        let (mut news, now) = (noted, unix_seconds());
        for revocation in revocations {
            match self.revocations.add(revocation, now) {
                Ok(new) => news |= new,
                Err(error) => {
                    tracing::error!(%error, "a revocation of another node is not kept");
                    break;
                }
            }
        }
        if !news {
            return 0;
        }
        self.metrics.revocations.set(self.revocations.forget(now) as f64);
        self.registry.close(CloseReason::Revoked, |identity, _| self.revocations.covers(identity, now)).await
    }

    /// Learns what others have revoked, and tells them what they do not know. After the start and
    /// after each outage all others answer, so that this node knows of them.
    async fn compare(self: Arc<Self>) {
        if self.cluster.is_alone() {
            self.revocations.set_known();
            return;
        }
        let responders = if self.cluster.has_discovered() { Responders::Any } else { Responders::AllAndUnknown };
        let (mut theirs, mut differ) = (HashSet::new(), false);
        let order = Command::Compare { digest: self.revocations.digest(unix_seconds()) };
        let gathered = self
            .cluster
            .request(&NodeMessage { issuer: None, order }, responders, GATHER, |_, answer: Answer| {
                differ |= !answer.same;
                theirs.extend(answer.revocations);
            })
            .await;
        if !gathered.reached {
            return;
        }
        if !gathered.echoed {
            tracing::warn!(
                "what this node says on broker.nats.control_subject does not come back to it; revocations of other \
                 nodes are not heard. May it publish and subscribe there, and below?"
            );
            return;
        }
        self.learn(theirs.iter().cloned().collect(), false).await;
        self.revocations.set_known();
        if differ {
            let unknown: Vec<_> =
                self.revocations.all(unix_seconds()).into_iter().filter(|one| !theirs.contains(one)).collect();
            for together in unknown.chunks(TOGETHER) {
                let order = Command::Revoke(together.to_vec());
                self.cluster.broadcast(&NodeMessage { issuer: None, order }).await;
            }
        }
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

/// Commands that are not done yet.
#[derive(Debug)]
pub struct Calls(mpsc::Receiver<Call>);

/// The next message; never, where there is nothing to hear.
async fn receive(subscription: &mut Option<ClusterSubscription>) -> ReceivedMessage<NodeMessage> {
    match subscription {
        Some(listening) => match listening.next().await {
            Some(heard) => heard,
            None => {
                *subscription = None;
                std::future::pending().await
            }
        },
        None => std::future::pending().await,
    }
}

fn is(whom: &CommandTarget, issuer: Option<&str>, identity: &Identity, id: ConnectionId) -> bool {
    let of = |user| UserFilter { user, issuer }.matches(identity);
    match whom {
        CommandTarget::User(user) => of(Some(user.as_str())),
        CommandTarget::TokenId(token) => of(None) && identity.token_id.as_deref() == Some(token.as_str()),
        CommandTarget::Connection(connection) => connection.as_str().parse() == Ok(id),
    }
}
