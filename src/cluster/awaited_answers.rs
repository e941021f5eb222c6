//! The answers that a request still waits for. Free of I/O and of clocks.

use std::collections::HashMap;

use crate::cluster::{message::MessageHead, peers::Peer};

/// The answers that are still to come.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct AwaitedAnswers {
    /// Names of the nodes whose answers tell which running node they are of, by `from`.
    named: HashMap<String, String>,
    /// Nodes of older versions, whose answers do not tell that: they are counted.
    older: usize,
    /// Nodes that listen and of which nothing more is known.
    others: usize,
}

impl AwaitedAnswers {
    /// One of each node that is known to live, and of as many as the bus knows to
    /// listen besides this one.
    pub(crate) fn new(alive: &HashMap<String, Peer>, listeners: Option<usize>) -> Self {
        let name = |(from, peer): (&String, &Peer)| Some((from.clone(), peer.node.clone()?));
        let named: HashMap<_, _> = alive.iter().filter_map(name).collect();
        let older = alive.len() - named.len();
        let others = listeners.unwrap_or_default().saturating_sub(1 + alive.len());
        Self { named, older, others }
    }

    /// An answer has come.
    pub(crate) fn remove(&mut self, head: &MessageHead) {
        match &head.from {
            Some(from) if self.named.remove(from).is_some() => {}
            Some(_) => self.others = self.others.saturating_sub(1),
            None => self.older = self.older.saturating_sub(1),
        }
    }

    /// Whether all have come.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The nodes whose answers have not come, as far as they are known by name.
    pub(crate) fn nodes(self) -> Vec<String> {
        let mut nodes: Vec<_> = self.named.into_values().collect();
        nodes.sort();
        nodes
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::cluster::peers::ClusterPeers;

    fn head(node: Option<&str>, from: Option<&str>) -> MessageHead {
        MessageHead { node: node.map(Into::into), from: from.map(Into::into), ..MessageHead::default() }
    }

    /// Those who are awaited, when `a` and `b` are known and an older node is.
    fn awaited(listeners: Option<usize>) -> AwaitedAnswers {
        let (mut peers, now) = (ClusterPeers::default(), Instant::now());
        for (node, from) in [(Some("a"), "1"), (Some("b"), "2"), (None, "3")] {
            peers.hear(&head(node, Some(from)), now);
        }
        AwaitedAnswers::new(peers.alive(now), listeners)
    }

    #[test]
    fn each_node_is_awaited_once_however_often_another_answers() {
        let mut awaited = awaited(None);
        for _ in 0..3 {
            awaited.remove(&head(Some("a"), Some("1")));
            awaited.remove(&head(Some("new"), Some("9")));
        }
        assert!(!awaited.is_empty());
        awaited.remove(&head(Some("c"), None));
        awaited.remove(&head(Some("c"), None));
        assert!(!awaited.is_empty(), "an older node stands for no other");
        awaited.remove(&head(Some("b"), Some("2")));
        assert!(awaited.is_empty() && awaited.nodes().is_empty());
    }

    #[test]
    fn who_has_not_answered_is_named_where_the_name_is_known() {
        assert_eq!(awaited(None).nodes(), ["a", "b"]);
        let mut older = awaited(None);
        older.remove(&head(Some("a"), Some("1")));
        older.remove(&head(Some("b"), Some("2")));
        assert!(!older.is_empty() && older.nodes().is_empty());
    }

    #[test]
    fn nodes_that_the_bus_knows_are_awaited_too() {
        let mut with_others = awaited(Some(5));
        for (node, from) in [(Some("a"), Some("1")), (Some("b"), Some("2")), (Some("c"), None)] {
            with_others.remove(&head(node, from));
        }
        assert!(!with_others.is_empty());
        with_others.remove(&head(Some("new"), Some("9")));
        assert!(with_others.is_empty());
        assert_eq!(awaited(Some(4)), awaited(None));
        assert!(AwaitedAnswers::new(&HashMap::new(), Some(1)).is_empty());
    }
}
