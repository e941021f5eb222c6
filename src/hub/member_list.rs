//! The list of one pattern's members, in slices with a lock each: a fan-out takes
//! one slice at a time, and no lock is held for longer than that.

use std::sync::Arc;

use slab::Slab;

use crate::{
    hub::member_slot::MemberSlot,
    sync::{Mutex, rank},
};

/// Members per slice: a quarter of a millisecond of writes, after which others
/// get their turn. In a model, where each member costs as much as an event, few.
pub(crate) const SLICE: usize = if cfg!(feature = "model") { 2 } else { 32 };

/// Slices that need no task of their own: 256 members, about a millisecond.
pub(crate) const FEW_SLICES: usize = 8;

/// Members that fit into them.
pub(crate) const FEW: usize = FEW_SLICES * SLICE;

/// The members of one slice, shared with a fan-out.
pub(crate) type SharedSlice<S> = Arc<Mutex<Slab<S>, { rank::SLICE }>>;

/// A list of members in slices.
#[derive(Debug)]
pub(crate) struct MemberList<S>(Vec<Slice<S>>);

#[derive(Debug)]
struct Slice<S> {
    standing: SharedSlice<S>,
    /// As many as stand there, known without its lock.
    length: usize,
}

impl<S> Default for MemberList<S> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<S> MemberList<S> {
    /// How many slices there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes a place. `stand` is called under the lock that a fan-out takes.
    pub(crate) fn enter(&mut self, stand: impl FnOnce(MemberSlot) -> S) {
        let index = self.0.iter().rposition(|slice| slice.length < SLICE).unwrap_or_else(|| {
            // Exact: there may be as many lists as connections.
            self.0.reserve_exact(1);
            self.0.push(Slice { standing: Arc::new(Mutex::new(Slab::with_capacity(1))), length: 0 });
            self.0.len() - 1
        });
        let slice = &mut self.0[index];
        slice.length += 1;
        let mut standing = slice.standing.lock();
        let entry = standing.vacant_entry();
        let slot = MemberSlot { slice: index as u32, key: entry.key() as u32 };
        entry.insert(stand(slot));
    }

    /// Gives a place back. `left` is called under the lock that a fan-out
    /// takes, so that none sees one without the other.
    pub(crate) fn leave(&mut self, MemberSlot { slice, key }: MemberSlot, left: impl FnOnce()) {
        let slice = &mut self.0[slice as usize];
        let mut standing = slice.standing.lock();
        left();
        standing.remove(key as usize);
        slice.length -= 1;
    }

    /// Gives a place back, if `left` says so, which is called under the lock that a
    /// fan-out takes.
    pub(crate) fn leave_if(&mut self, MemberSlot { slice, key }: MemberSlot, left: impl FnOnce() -> bool) -> bool {
        let slice = &mut self.0[slice as usize];
        let mut standing = slice.standing.lock();
        let leaves = left();
        if leaves {
            standing.remove(key as usize);
            slice.length -= 1;
        }
        leaves
    }

    /// Does something with what stands in a place, under the lock that a
    /// fan-out takes.
    pub(crate) fn with(&self, MemberSlot { slice, key }: MemberSlot, act: impl FnOnce(&mut S)) {
        if let Some(standing) = self.0[slice as usize].standing.lock().get_mut(key as usize) {
            act(standing);
        }
    }

    /// One of the slices.
    pub(crate) fn get(&self, index: usize) -> Option<SharedSlice<S>> {
        self.0.get(index).map(|slice| slice.standing.clone())
    }

    /// How many stand in the list.
    pub(crate) fn standing(&self) -> usize {
        self.0.iter().map(|slice| slice.length).sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::*, sample::Index};

    use super::*;

    proptest! {
        #[test]
        fn everybody_keeps_their_place_and_no_slice_is_too_long(
            steps in vec(option::weighted(0.4, any::<Index>()), 1..200),
        ) {
            let mut slices = MemberList::default();
            let (mut there, mut most) = (Vec::new(), 0);
            for (number, leaves) in steps.into_iter().enumerate() {
                match leaves {
                    Some(who) if !there.is_empty() => {
                        let (slot, _) = there.swap_remove(who.index(there.len()));
                        let mut told = false;
                        slices.leave(slot, || told = true);
                        prop_assert!(told);
                    }
                    _ => slices.enter(|slot| {
                        there.push((slot, number));
                        number
                    }),
                }
                most = most.max(there.len());
                prop_assert_eq!((slices.standing(), slices.len()), (there.len(), most.div_ceil(SLICE)));
                for (slot, number) in &there {
                    let mut found = None;
                    slices.with(*slot, |standing| found = Some(*standing));
                    prop_assert_eq!(found, Some(*number));
                }
            }
            let lengths: Vec<usize> = (0..).map_while(|index| slices.get(index)).map(|slice| slice.lock().len()).collect();
            prop_assert_eq!(lengths.iter().sum::<usize>(), there.len());
            prop_assert!(lengths.iter().all(|length| *length <= SLICE), "{:?}", lengths);
        }
    }
}
