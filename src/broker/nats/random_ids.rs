//! Random identifiers for inboxes, the subjects that answers come to. A client that
//! may publish under their prefix could answer in another's place, so they cannot
//! be guessed.

use rustls::crypto::{SecureRandom, aws_lc_rs};

/// A source of random numbers that cannot be guessed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RandomIds(&'static dyn SecureRandom);

impl RandomIds {
    pub(crate) fn new() -> Self {
        Self(aws_lc_rs::default_provider().secure_random)
    }

    /// A number; nothing when the system has no randomness to give.
    pub(crate) fn number(self) -> Option<u64> {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes).ok()?;
        Some(u64::from_ne_bytes(bytes))
    }
}

/// A subject under the prefix that answers to one kind of question come to.
pub(crate) fn inbox(prefix: &str, random_ids: RandomIds) -> String {
    // Where the system has no randomness to give, TLS does not work either.
    format!("{prefix}.notifier.{:016x}", random_ids.number().unwrap_or_else(|| fastrand::u64(..)))
}
