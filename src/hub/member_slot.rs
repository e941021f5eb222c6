//! The slot of a member in the list of one pattern.

/// The slot of a member: slice and key in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemberSlot {
    pub(crate) slice: u32,
    pub(crate) key: u32,
}
