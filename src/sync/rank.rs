//! The order of locks: each lock has a rank in its type, and a task that holds one takes only locks of higher rank. So
//! no two tasks wait for each other. Builds with debug assertions and models panic where the order is broken; other
//! builds keep no account, and a lock is as large as without a rank in all of them. `docs/architecture.md`, "Lock
//! order", has the same table.

/// Declares the ranks, in their order.
macro_rules! ranks {
    ($($(#[$doc:meta])* $name:ident = $rank:literal;)*) => {
        $($(#[$doc])* pub const $name: u8 = $rank;)*

        /// Each rank with its name, the lowest first.
        pub const ALL: &[(u8, &str)] = &[$(($rank, stringify!($name))),*];
    };
}

ranks! {
    /// A shard of the connections (`session/registry.rs`).
    REGISTRY = 10;
    /// The ends of tokens (`session/expiry.rs`).
    EXPIRIES = 20;
    /// Topics and feeds (`hub/live/topics.rs`).
    TOPICS = 30;
    /// The topics that one feed brings events to (`hub/live/shared_feed.rs`).
    SHARED_FEED = 40;
    /// Copies of two feeds, one of which takes over (`hub/live/handover.rs`).
    HANDOVER = 50;
    /// The subscriptions at the broker (`broker/nats/reading/interest.rs`, `broker/memory.rs`).
    INTEREST = 60;
    /// The log of a stream's settings (`broker/nats/drift.rs`).
    DRIFT = 62;
    /// The refusals of the broker (`broker/degraded.rs`).
    DEGRADED = 64;
    /// One topic (`hub/live/topic.rs`).
    TOPIC = 70;
    /// One stream and its fan-out (`hub/stream/channel.rs`). Several are taken in the order of the streams.
    CHANNEL = 80;
    /// The followers of one pattern of a stream (`hub/stream/channel.rs`).
    FOLLOWERS = 90;
    /// A part of a member list (`hub/member_list.rs`).
    SLICE = 100;
    /// How far a member is in its streams (`hub/member_progress.rs`).
    PROGRESS = 110;
    /// The patterns of a member that miss live events (`hub/overflow_notice.rs`).
    OVERFLOW = 120;
    /// The live patterns of a member, and its denials (`hub/member.rs`).
    PATTERNS = 130;
    /// The queue of a client (`outbox.rs`).
    OUTBOX = 140;
    /// The newest events of a stream (`journal/window.rs`).
    WINDOW = 150;
    /// Every other lock: nothing is locked while one is held.
    LEAF = 255;
}

/// Notes that a lock is held, for as long as this lives. Nothing is noted in a build that does not check.
#[derive(Debug)]
pub(crate) struct HeldRank {
    #[cfg(any(debug_assertions, feature = "model"))]
    held: (u8, usize),
}

impl HeldRank {
    /// Notes that a lock is about to be taken. `place` orders locks of the same rank.
    ///
    /// # Panics
    /// In a build that checks, where a lock that is held already has to be taken after this one.
    #[cfg(any(debug_assertions, feature = "model"))]
    #[track_caller]
    pub(crate) fn take(rank: u8, place: usize) -> Self {
        account::enter((rank, place));
        Self { held: (rank, place) }
    }

    #[cfg(not(any(debug_assertions, feature = "model")))]
    #[inline(always)]
    pub(crate) const fn take(_rank: u8, _place: usize) -> Self {
        Self {}
    }
}

#[cfg(any(debug_assertions, feature = "model"))]
impl Drop for HeldRank {
    fn drop(&mut self) {
        account::leave(self.held);
    }
}

#[cfg(any(debug_assertions, feature = "model"))]
mod account {
    use std::{cell::RefCell, thread};

    use super::ALL;

    #[cfg(feature = "model")]
    use shuttle::thread_local;

    thread_local! {
        /// Ranks that this thread holds, or this task of a model, each with its place among its equals.
        static HELD: RefCell<Vec<(u8, usize)>> = const { RefCell::new(Vec::new()) };
    }

    #[track_caller]
    pub(super) fn enter(next: (u8, usize)) {
        let highest = with(|held| {
            let highest = held.iter().max().copied();
            held.push(next);
            highest
        });
        if let Some(highest) = highest.flatten().filter(|highest| *highest >= next)
            && !thread::panicking()
        {
            leave(next);
            panic!("{} is locked while {} is held: see `Lock order`", name(next), name(highest));
        }
    }

    pub(super) fn leave(left: (u8, usize)) {
        with(|held| held.iter().rposition(|one| *one == left).map(|index| held.swap_remove(index)));
    }

    /// Nothing where the thread, or the run of a model, is about to end.
    fn with<R>(act: impl FnOnce(&mut Vec<(u8, usize)>) -> R) -> Option<R> {
        #[cfg(feature = "model")]
        shuttle::current::try_get_current_task()?;
        HELD.try_with(|held| act(&mut held.borrow_mut())).ok()
    }

    fn name((rank, place): (u8, usize)) -> String {
        let name = ALL.iter().find(|(known, _)| *known == rank).map_or("a lock", |(_, name)| *name);
        format!("{name} {place}")
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, panic::catch_unwind, sync::Mutex as StdMutex};

    use super::*;
    use crate::sync::Mutex;

    #[test]
    fn the_pages_table_has_the_ranks_in_their_order() {
        assert!(ALL.is_sorted_by(|one, next| one.0 < next.0), "{ALL:?}");
        let page = fs::read_to_string("docs/architecture.md").expect("the page");
        let table =
            page.split("\n## Lock order\n").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("a table");
        let told: Vec<&str> = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
        assert_eq!(told, ALL.iter().map(|(_, name)| *name).collect::<Vec<_>>());
    }

    #[test]
    fn a_rank_takes_no_room() {
        assert_eq!(size_of::<Mutex<u64, OUTBOX>>(), size_of::<StdMutex<u64>>());
    }

    #[cfg(debug_assertions)]
    #[test]
    fn locks_are_taken_in_the_order_of_their_ranks_and_in_no_other() {
        let (topic, other, slice) =
            (Mutex::<_, TOPIC>::new(()), Mutex::<_, TOPIC>::new(()), Mutex::<_, SLICE>::new(()));
        let leaf: Mutex<()> = Mutex::new(());
        let fails = |act: &(dyn Fn() + std::panic::RefUnwindSafe)| {
            *catch_unwind(act).expect_err("it is refused").downcast::<String>().expect("a text")
        };
        drop((topic.lock(), slice.lock(), leaf.lock()));
        assert_eq!(
            fails(&|| drop((slice.lock(), topic.lock()))),
            "TOPIC 0 is locked while SLICE 0 is held: see `Lock order`"
        );
        fails(&|| drop((topic.lock(), other.lock())));
        fails(&|| drop((leaf.lock(), slice.lock())));
        fails(&|| drop((leaf.lock(), leaf.lock())));

        // Equals have an order of their own.
        drop((topic.lock_in_order(0), other.lock_in_order(1), slice.lock()));
        fails(&|| drop((topic.lock_in_order(1), other.lock_in_order(0))));

        // Given back in any order, and nothing is left of what was refused.
        let (outer, inner) = (topic.lock(), slice.lock());
        drop(outer);
        fails(&|| drop(topic.lock()));
        drop(inner);
        drop((topic.lock(), slice.lock()));
    }
}
