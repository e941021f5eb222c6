//! Where a member stands in the list of one pattern.

/// Slice and key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemberSlot {
    pub(crate) slice: u32,
    pub(crate) key: u32,
}
