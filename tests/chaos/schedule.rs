//! Which fault comes when, as a function of a seed. Free of I/O.
//!
//! Two lanes run beside each other: what happens to the brokers, and what
//! happens to nodes and clients. Within a lane one fault is healed before the
//! next begins: more than that is no longer survivable for the cluster (two
//! servers of three), and says nothing about the product.

use std::{collections::VecDeque, time::Duration};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// SIGKILL for any server.
    KillServer,
    /// SIGKILL for the server that leads the stream.
    KillLeader,
    /// The stream's leader is told to let another one lead.
    StepDown,
    /// SIGSTOP for any server, for seconds.
    PauseServer,
    /// SIGKILL for all servers.
    RestartCluster,
    /// A server's link is down, for seconds.
    IsolateServer,
    /// A server and the others do not reach each other, for seconds, while
    /// nodes and publishers reach them all.
    SplitServer,
    /// SIGKILL for a node.
    KillNode,
    /// SIGTERM for a node, as in a deploy.
    LeaveNode,
    /// Some clients drop their sockets.
    DropSockets,
    /// Some clients read nothing, for seconds.
    StallReaders,
    /// A node and the servers do not reach each other, for seconds.
    CutNodeFromServers,
    /// A node does not reach its clients, for seconds.
    CutNodeFromClients,
    /// A node's line from everybody is slow, for seconds.
    SlowNode,
}

use Fault::*;

impl Fault {
    pub const BROKER: &[Self] =
        &[KillLeader, StepDown, PauseServer, KillServer, IsolateServer, SplitServer, RestartCluster];
    pub const EDGE: &[Self] =
        &[KillNode, DropSockets, StallReaders, LeaveNode, CutNodeFromServers, CutNodeFromClients, SlowNode];

    /// Whether it needs a network that can be cut.
    pub fn cuts(self) -> bool {
        matches!(self, IsolateServer | SplitServer | CutNodeFromServers | CutNodeFromClients | SlowNode)
    }

    /// Whether it comes only every third time: nobody else can do anything meanwhile.
    fn is_rare(self) -> bool {
        self == RestartCluster
    }
}

/// A fault with its own luck: who is hit and for how long does not depend on
/// what else has drawn a number meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    pub fault: Fault,
    /// Before it, undisturbed.
    pub pause: Duration,
    pub luck: u64,
}

/// Endless: every kind once in any order, again and again.
pub struct Schedule {
    random: fastrand::Rng,
    kinds: Vec<Fault>,
    bag: VecDeque<Fault>,
    rounds: u32,
}

impl Schedule {
    pub fn new(seed: u64, kinds: &[Fault], can_cut: bool) -> Self {
        let kinds = kinds.iter().copied().filter(|fault| can_cut || !fault.cuts()).collect();
        Self { random: fastrand::Rng::with_seed(seed), kinds, bag: VecDeque::new(), rounds: 0 }
    }
}

impl Iterator for Schedule {
    type Item = Planned;

    fn next(&mut self) -> Option<Planned> {
        if self.bag.is_empty() {
            let rare = self.rounds % 3 == 1;
            self.bag = self.kinds.iter().copied().filter(|fault| rare || !fault.is_rare()).collect();
            self.random.shuffle(self.bag.make_contiguous());
            self.rounds += 1;
        }
        let pause = Duration::from_millis(self.random.u64(100..800));
        Some(Planned { fault: self.bag.pop_front()?, pause, luck: self.random.u64(..) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(seed: u64) -> Vec<Planned> {
        Schedule::new(seed, Fault::BROKER, true).take(40).collect()
    }

    #[test]
    fn a_seed_is_a_schedule() {
        assert_eq!(plan(7), plan(7));
        assert_ne!(plan(7), plan(8));
    }

    #[test]
    fn every_kind_comes_in_every_round_and_a_rare_one_in_each_third() {
        let plan = plan(7);
        let kinds = |range: std::ops::Range<usize>| {
            let mut kinds: Vec<Fault> = plan[range].iter().map(|planned| planned.fault).collect();
            kinds.sort();
            kinds
        };
        assert_eq!(kinds(0..6), [KillServer, KillLeader, StepDown, PauseServer, IsolateServer, SplitServer]);
        let with_rare = [KillServer, KillLeader, StepDown, PauseServer, RestartCluster, IsolateServer, SplitServer];
        assert_eq!(kinds(6..13), with_rare);
        assert_eq!(kinds(13..19), kinds(0..6));
    }

    #[test]
    fn nothing_is_cut_where_nothing_can_be() {
        for kinds in [Fault::BROKER, Fault::EDGE] {
            assert!(Schedule::new(1, kinds, false).take(50).all(|planned| !planned.fault.cuts()));
        }
    }
}
