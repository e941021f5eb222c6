//! The cursor of a reader in a journal, and the gaps that it meets.

use std::sync::Arc;

use crate::{event::Message, proto, subject::Pattern};

/// A cursor: everything up to its sequence is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Grows whenever the stream begins anew; 0 before that is known.
    pub generation: u32,
    /// Everything up to this sequence is done with.
    pub seq: u64,
}

impl Cursor {
    /// Whether it stands in the same stream and further on.
    pub fn is_beyond(self, other: Self) -> bool {
        self.generation == other.generation && self.seq > other.seq
    }
}

/// The next step of a fan-out.
#[derive(Debug)]
pub enum Step {
    /// Events in order, and how far they reach; or ends of values without a trace, which reach no further.
    Events(Vec<Arc<Message>>, Cursor),
    /// Something will never come: go on from here.
    Lost(Cursor),
}

/// Sequences whose events will not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The first one; 0 when that is not known.
    pub from: u64,
    /// The last one; 0 when that is not known.
    pub to: u64,
    /// Why.
    pub reason: Reason,
}

/// Reason for which events will not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The stream's retention has dropped them.
    Expired,
    /// The stream was recreated, or has lost what it had acknowledged.
    Reset,
    /// There were more than this node hands out.
    Overflow,
}

impl Gap {
    /// As clients are told, for a pattern of theirs. `epoch` is empty but for a reset.
    pub fn to_frame(self, pattern: &Pattern, stream: &str, epoch: String) -> proto::Gap {
        proto::Gap {
            subject: pattern.to_string(),
            stream: stream.to_owned(),
            from_seq: self.from,
            to_seq: self.to,
            reason: self.reason.label().to_owned(),
            epoch,
        }
    }
}

impl Reason {
    /// Its name in `gap` frames.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Reset => "reset",
            Self::Overflow => "overflow",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_further_on_in_the_same_stream_is_beyond() {
        let at = |generation, seq| Cursor { generation, seq };
        assert!(at(1, 5).is_beyond(at(1, 4)));
        for (one, other) in [(at(1, 5), at(1, 5)), (at(1, 4), at(1, 5)), (at(2, 5), at(1, 4)), (at(1, 5), at(2, 4))] {
            assert!(!one.is_beyond(other), "{one:?} {other:?}");
        }
    }
}
