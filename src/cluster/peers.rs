//! The other nodes of an installation that are known to live. Free of I/O and of clocks.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use crate::cluster::message::MessageHead;

/// Interval at which each node says something: how long it may take until others know
/// of a node that they did not hear when it started.
pub const BEACON: Duration = Duration::from_secs(30);

/// Time for which a node is known to live after it was heard: one of its beacons may
/// be lost, and the next one late.
pub const PEER_TIME: Duration = Duration::from_secs(65);

/// Nodes that are remembered; further ones are not waited for. No installation has as many.
const MOST: usize = 1024;

/// Bytes of a name that is remembered: what Kubernetes allows for that of a pod.
const NAME_BYTES: usize = 253;

/// The other nodes.
#[derive(Debug, Default)]
pub(crate) struct ClusterPeers {
    /// By `from`.
    known: HashMap<String, Peer>,
}

/// One other node.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Peer {
    /// Its name; nodes of older versions do not say it.
    pub(crate) node: Option<String>,
    heard: Instant,
}

impl ClusterPeers {
    /// Notes that a node lives, or that it leaves.
    pub(crate) fn hear(&mut self, head: &MessageHead, now: Instant) {
        // Answers of older nodes do not say which running node it is.
        let Some(from) = &head.from else { return };
        if head.leaving {
            self.known.remove(from);
            return;
        }
        let fits = |name: &String| name.len() <= NAME_BYTES;
        let node = head.node.clone().filter(fits);
        let room = self.known.len() < MOST && fits(from);
        if let Some(peer) = self.known.get_mut(from) {
            peer.heard = peer.heard.max(now);
        } else if room {
            self.known.insert(from.clone(), Peer { node, heard: now });
        }
    }

    /// The nodes that are known to live now, by `from`; the others are forgotten.
    pub(crate) fn alive(&mut self, now: Instant) -> &HashMap<String, Peer> {
        self.known.retain(|_, peer| now.saturating_duration_since(peer.heard) <= PEER_TIME);
        &self.known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(from: &str) -> MessageHead {
        MessageHead { node: Some(format!("node {from}")), from: Some(from.into()), ..MessageHead::default() }
    }

    #[test]
    fn a_node_is_known_until_it_leaves_or_was_silent_for_too_long() {
        let (mut peers, start) = (ClusterPeers::default(), Instant::now());
        for from in ["1", "2"] {
            peers.hear(&head(from), start);
        }
        peers.hear(&MessageHead { node: Some("c".into()), ..MessageHead::default() }, start);
        assert_eq!(peers.alive(start + PEER_TIME).len(), 2);
        peers.hear(&head("2"), start + BEACON);
        let later = start + PEER_TIME + Duration::from_millis(1);
        let known = peers.alive(later);
        assert_eq!((known.len(), known["2"].node.as_deref()), (1, Some("node 2")));
        peers.hear(&MessageHead { leaving: true, ..head("2") }, later);
        peers.hear(&MessageHead { leaving: true, ..head("3") }, later);
        assert!(peers.alive(later).is_empty());
    }

    #[test]
    fn whoever_speaks_with_many_names_fills_no_memory() {
        let (mut peers, start) = (ClusterPeers::default(), Instant::now());
        peers.hear(&head("1"), start);
        peers.hear(&head(&"x".repeat(NAME_BYTES + 1)), start);
        for number in 0..2 * MOST {
            peers.hear(&head(&number.to_string()), start);
        }
        let known = peers.alive(start);
        assert!(known.len() == MOST && known.contains_key("1"));
        assert!(!known.keys().any(|from| from.len() > NAME_BYTES));
        let long = MessageHead { node: Some("x".repeat(NAME_BYTES + 1)), ..head("one more") };
        let later = start + PEER_TIME + PEER_TIME;
        assert!(peers.alive(later).is_empty());
        peers.hear(&long, later);
        assert_eq!(peers.alive(later)["one more"].node, None);
    }
}
