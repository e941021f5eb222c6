//! The options of a subscribe, besides its pattern.

use std::sync::Arc;

use crate::{proto::Position, quota::Account};

/// The options of a subscribe.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SubscribeOptions {
    /// Number of the request, which all frames of the subscription carry; 0 for none.
    pub reply_to: u64,
    /// It has everything up to these positions, which it may share with others.
    pub after: Arc<[Position]>,
    /// It wants the newest event of each subject first.
    pub snapshot: bool,
    /// The account that reads are counted for.
    pub account: Account,
}

impl SubscribeOptions {
    /// Whether it asks for nothing that is stored.
    pub(crate) fn is_plain(&self) -> bool {
        self.after.is_empty() && !self.snapshot
    }
}
