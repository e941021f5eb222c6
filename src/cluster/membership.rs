//! This node among the others: what it calls itself, whom it has heard, and what was counted.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use crate::{
    cluster::{
        awaited_answers::AwaitedAnswers,
        message::{BadMessage, MessageHead},
        peers::ClusterPeers,
    },
    metrics::{Control as Traffic, Metrics},
    sync::Mutex,
};

/// A node as a member of its cluster.
#[derive(Debug)]
pub(crate) struct Membership {
    /// Name of the node, as answers tell it.
    pub(crate) node: String,
    /// Which running node this is.
    pub(crate) instance: String,
    peers: Mutex<ClusterPeers>,
    /// How often what it says has come back to it, as what others say does.
    echoes: AtomicU64,
    /// Whether all others were asked to answer since the broker was last away.
    pub(crate) discovered: AtomicBool,
    /// Whether it says nothing more.
    pub(crate) left: AtomicBool,
    metrics: Arc<Metrics>,
}

impl Membership {
    pub(crate) fn new(node: String, metrics: Arc<Metrics>) -> Self {
        metrics.cluster_nodes.set(1.0);
        Self {
            node,
            instance: format!("{:016x}", fastrand::u64(..)),
            peers: Mutex::default(),
            echoes: AtomicU64::new(0),
            discovered: AtomicBool::new(false),
            left: AtomicBool::new(false),
            metrics,
        }
    }

    /// The head of what this node says.
    pub(crate) fn head(&self) -> MessageHead {
        MessageHead { node: Some(self.node.clone()), from: Some(self.instance.clone()), ..MessageHead::default() }
    }

    /// Whether a message is one of this node, which then has heard itself.
    pub(crate) fn is_own(&self, head: &MessageHead) -> bool {
        let own = head.from.as_ref() == Some(&self.instance);
        self.echoes.fetch_add(u64::from(own), Ordering::Relaxed);
        own
    }

    /// How often this node has heard itself.
    pub(crate) fn echoes(&self) -> u64 {
        self.echoes.load(Ordering::Relaxed)
    }

    /// Notes who has said something.
    pub(crate) fn hear(&self, head: &MessageHead) {
        self.peers.lock().hear(head, Instant::now());
        self.refresh();
    }

    /// Forgets nodes that were silent for too long.
    pub(crate) fn refresh(&self) {
        let others = self.peers.lock().alive(Instant::now()).len();
        self.metrics.cluster_nodes.set(1.0 + others as f64);
    }

    /// The answers that a request which leaves now has to wait for.
    pub(crate) fn awaited(&self, listeners: Option<usize>) -> AwaitedAnswers {
        AwaitedAnswers::new(self.peers.lock().alive(Instant::now()), listeners)
    }

    /// Counts what makes no sense.
    pub(crate) fn refuse(&self, error: &BadMessage) {
        self.metrics.control_messages.of(Traffic::Refused).increment(1);
        tracing::warn!(
            %error,
            "a message on broker.nats.control_subject, or below it, makes no sense; who may publish there?"
        );
    }

    pub(crate) fn count_received(&self) {
        self.metrics.control_messages.of(Traffic::Received).increment(1);
    }

    pub(crate) fn count_sent(&self, sent: bool) {
        self.metrics.control_messages.of(if sent { Traffic::Sent } else { Traffic::Unsent }).increment(1);
    }
}
