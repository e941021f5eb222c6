//! How many connections of clients fit among the file descriptors of the
//! process, with enough left that the node can reach NATS whatever clients do.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Descriptors that do not belong to clients: listeners, operators, files,
/// threads. A
/// node uses some thirty, and as many connections again may be turned away at
/// the same moment.
const OWN: usize = 128;

/// Descriptors for each connection to NATS, its thread, and a new one in its place.
const EACH_READ: usize = 6;

/// How many the process may open, raised as far as the system lets it; nothing
/// where there is no limit.
pub fn descriptors() -> Option<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let before = limit.current;
        limit.current = limit.maximum;
        if setrlimit(Resource::Nofile, limit).is_err() {
            limit.current = before;
        }
    }
    limit.current
}

/// How many connections of clients there may be, of those that are wanted: the
/// others could take what the node itself needs.
pub fn room(wanted: usize, descriptors: Option<u64>, read_connections: usize) -> usize {
    let own = OWN + EACH_READ * (read_connections + 2);
    let most = descriptors.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
    let room = wanted.min(most.saturating_sub(own)).max(1);
    if room < wanted {
        tracing::warn!(
            descriptors = most,
            connections = room,
            "limits.connections is {wanted}, and so many do not fit among the file descriptors of the process: raise \
             its limit (ulimit -n, LimitNOFILE) to {}, or lower limits.connections",
            wanted.saturating_add(own)
        );
    }
    room
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_node_needs_itself_is_kept_from_clients() {
        let rows = [
            ((100_000, None, 4), 100_000),
            ((100_000, Some(200_000), 4), 100_000),
            ((100_000, Some(100_164), 4), 100_000),
            ((100_000, Some(100_163), 4), 99_999),
            ((100_000, Some(20_000), 1), 19_854),
            ((10, Some(1_024), 4), 10),
            // Too few for anything: one client can still see why.
            ((100, Some(64), 4), 1),
            ((usize::MAX, Some(u64::MAX), 32), usize::MAX - 332),
        ];
        for ((wanted, descriptors, read_connections), expected) in rows {
            assert_eq!(room(wanted, descriptors, read_connections), expected, "{wanted} {descriptors:?}");
        }
    }

    #[test]
    fn the_limit_is_raised_as_far_as_it_may_be() {
        descriptors();
        let limit = getrlimit(Resource::Nofile);
        assert!(limit.current == limit.maximum || cfg!(target_os = "macos"), "{limit:?}");
    }
}
