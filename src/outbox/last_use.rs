//! The moment at which a client last wanted something.

use std::time::Duration;

use crate::socket::Wire;

/// No moment: the client waits for what may come.
const IN_USE: u32 = u32::MAX;

/// The moment of the last use, in four bytes.
#[derive(Debug)]
pub(super) struct LastUse(u32);

impl LastUse {
    /// A client that has just come.
    pub(super) fn now() -> Self {
        Self(Wire::moment())
    }

    /// Notes whether the client waits for something to come, and whether it has
    /// just wanted anything at all.
    pub(super) fn note(&mut self, waits: bool, wants: bool) {
        if waits {
            self.0 = IN_USE;
        } else if wants || self.0 == IN_USE {
            self.0 = Wire::moment();
        }
    }

    /// For how long the client has wanted nothing and waited for nothing.
    pub(super) fn idle(&self) -> Duration {
        match self.0 {
            IN_USE => Duration::ZERO,
            moment => Wire::since(moment),
        }
    }
}
