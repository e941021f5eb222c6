//! Faults on purpose, for tests: what a network may do, done when it is wanted.
//! `NOTIFIER_TEST_DROP_REPUBLISHED=100` loses each hundredth event of a stream
//! on its way to this node. Only a node that was built for tests, with the
//! feature `faults`, looks at the variable.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// The variable that asks for it.
#[cfg(feature = "faults")]
const VARIABLE: &str = "NOTIFIER_TEST_DROP_REPUBLISHED";

/// Loses some of the events that streams republish.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults(Option<Arc<(u64, AtomicU64)>>);

impl Faults {
    /// No faults: this build is not for tests.
    #[cfg(not(feature = "faults"))]
    pub(crate) fn wanted() -> Self {
        Self::default()
    }

    /// The faults that the environment asks for.
    #[cfg(feature = "faults")]
    pub(crate) fn wanted() -> Self {
        let every = std::env::var(VARIABLE).ok().and_then(|every| every.parse().ok()).filter(|every| *every > 0);
        if let Some(every) = every {
            tracing::error!(every, "{VARIABLE} is set: events are lost on purpose");
        }
        Self(every.map(|every| Arc::new((every, AtomicU64::new(0)))))
    }

    /// Whether the next one is lost.
    pub(crate) fn lose(&self) -> bool {
        self.0.as_ref().is_some_and(|fault| (fault.1.fetch_add(1, Ordering::Relaxed) + 1) % fault.0 == 0)
    }
}
