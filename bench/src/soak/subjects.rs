//! The subjects of a soak, and the streams that store some of them.

use notifier_verify::ledger::Owed;

/// The durable stream.
pub(super) const DURABLE: &str = "SOAK";

/// The stream of `latest` subjects.
pub(super) const LATEST: &str = "VALUES";

/// Groups of subjects, of the durable ones and of the live ones.
pub(super) const GROUPS: usize = 8;

/// Subjects of each group.
pub(super) const SUBJECTS: usize = 5;

/// `latest` subjects.
pub(super) const VALUES: usize = 20;

/// Requests that a service answers.
pub(super) const ASK: &str = "soak.ask.ok";

/// Requests that a service receives and never answers.
pub(super) const ASK_IN_VAIN: &str = "soak.ask.never";

/// The events of a stream that a client is owed.
pub(super) fn owed(stream: &str) -> Owed {
    if stream == LATEST { Owed::Newest } else { Owed::Each }
}

/// The subjects that stand in groups: group and number of each.
pub(super) fn grouped() -> impl Iterator<Item = (usize, usize)> {
    (0..GROUPS).flat_map(|group| (0..SUBJECTS).map(move |number| (group, number)))
}
