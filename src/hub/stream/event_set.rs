//! A set of the events of a batch, by their places. A word has room for all events of a usual batch; those of an atomic
//! batch need more. Free of I/O.

/// Words for the events of the largest atomic batch, [`BATCH_EVENTS`](crate::event::BATCH_EVENTS).
pub(crate) const WIDE: usize = crate::event::BATCH_EVENTS.div_ceil(u64::BITS as usize);

/// Some of the events of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EventSet<const WORDS: usize>([u64; WORDS]);

const BITS: usize = u64::BITS as usize;

impl<const WORDS: usize> EventSet<WORDS> {
    /// None of them.
    pub(crate) const NONE: Self = Self([0; WORDS]);

    /// Adds the event at a place.
    #[inline]
    pub(crate) fn add(&mut self, place: usize) {
        self.0[place / BITS] |= 1 << (place % BITS);
    }

    /// How many there are.
    #[inline]
    pub(crate) fn len(self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether there is none.
    #[inline]
    pub(crate) fn is_empty(self) -> bool {
        self == Self::NONE
    }

    /// The place of the last one.
    #[inline]
    pub(crate) fn last(self) -> Option<usize> {
        let last = |(index, word): (usize, &u64)| Some(index * BITS + word.checked_ilog2()? as usize);
        self.0.iter().enumerate().rev().find_map(last)
    }

    /// Those at a place and behind it.
    #[inline]
    pub(crate) fn from(self, place: usize) -> Self {
        let mut from = self;
        for (index, word) in from.0.iter_mut().enumerate() {
            let before = place.saturating_sub(index * BITS);
            *word &= u64::MAX.checked_shl(before as u32).unwrap_or(0);
        }
        from
    }

    /// Those of both sets.
    #[inline]
    pub(crate) fn with(self, other: Self) -> Self {
        let mut with = self;
        with.0.iter_mut().zip(other.0).for_each(|(word, other)| *word |= other);
        with
    }

    /// Those that another set does not have.
    #[inline]
    pub(crate) fn without(self, other: Self) -> Self {
        let mut without = self;
        without.0.iter_mut().zip(other.0).for_each(|(word, other)| *word &= !other);
        without
    }

    /// Their places, in order.
    #[inline]
    pub(crate) fn places(self) -> impl Iterator<Item = usize> {
        let of_word = |(index, mut word): (usize, u64)| {
            std::iter::from_fn(move || {
                let bit = (word != 0).then(|| word.trailing_zeros() as usize)?;
                word &= word - 1;
                Some(index * BITS + bit)
            })
        };
        self.0.into_iter().enumerate().flat_map(of_word)
    }
}

impl<const WORDS: usize> FromIterator<usize> for EventSet<WORDS> {
    fn from_iter<I: IntoIterator<Item = usize>>(places: I) -> Self {
        let mut set = Self::NONE;
        places.into_iter().for_each(|place| set.add(place));
        set
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn is_as_a_set<const WORDS: usize>(one: &BTreeSet<usize>, other: &BTreeSet<usize>, place: usize) {
        let of = |places: &BTreeSet<usize>| places.iter().map(|place| place % (WORDS * BITS)).collect::<BTreeSet<_>>();
        let (one, other, place) = (of(one), of(other), place % (WORDS * BITS));
        let set = |places: &BTreeSet<usize>| places.iter().copied().collect::<EventSet<WORDS>>();
        let (a, b) = (set(&one), set(&other));
        let places = |set: EventSet<WORDS>| set.places().collect::<BTreeSet<_>>();
        assert_eq!((places(a), a.len(), a.last()), (one.clone(), one.len(), one.last().copied()));
        assert_eq!(a.is_empty(), one.is_empty());
        assert_eq!(places(a.from(place)), one.range(place..).copied().collect());
        assert_eq!(a.from(WORDS * BITS), EventSet::NONE);
        assert_eq!(places(a.with(b)), &one | &other);
        assert_eq!(places(a.without(b)), &one - &other);
    }

    proptest! {
        #[test]
        fn it_is_a_set_whatever_its_room(
            one in prop::collection::btree_set(0..1_024_usize, 0..80),
            other in prop::collection::btree_set(0..1_024_usize, 0..80),
            place in 0..1_024_usize,
        ) {
            is_as_a_set::<1>(&one, &other, place);
            is_as_a_set::<WIDE>(&one, &other, place);
        }
    }
}
