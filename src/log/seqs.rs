//! The sequences of one subject, ascending. Most subjects have one event or
//! none, and then nothing is allocated. Free of I/O.

use std::collections::VecDeque;

/// A queue shrinks when it fills less than a quarter of more than this many places.
const SPARE: usize = 64;

/// Sequences, ascending.
#[derive(Debug, Default)]
pub(crate) enum Seqs {
    /// None.
    #[default]
    None,
    /// One.
    One(u64),
    /// Once more than one; a queue that stays until it is empty, as a subject
    /// that had two events will have two again.
    #[expect(clippy::box_collection, reason = "most subjects have none, and all are half as large so")]
    Many(Box<VecDeque<u64>>),
}

impl Seqs {
    /// Adds one above all others. Above `most` of them, the oldest goes and is returned.
    pub(crate) fn push(&mut self, seq: u64, most: usize) -> Option<u64> {
        match self {
            Self::None => *self = Self::One(seq),
            Self::One(only) if most <= 1 => return Some(std::mem::replace(only, seq)),
            Self::One(only) => *self = Self::Many(Box::new(VecDeque::from([*only, seq]))),
            Self::Many(queue) => {
                // First out, then in: a full queue does not grow.
                let superseded = if queue.len() >= most { queue.pop_front() } else { None };
                queue.push_back(seq);
                return superseded;
            }
        }
        None
    }

    /// Removes one; at once when it is the oldest.
    pub(crate) fn remove(&mut self, seq: u64) {
        match self {
            Self::One(only) if *only == seq => *self = Self::None,
            Self::None | Self::One(_) => {}
            Self::Many(queue) => {
                // Nearly always it is the oldest: no search.
                let place = if queue.front() == Some(&seq) { Ok(0) } else { queue.binary_search(&seq) };
                if let Ok(place) = place {
                    queue.remove(place);
                }
                if queue.is_empty() {
                    *self = Self::None;
                } else if queue.capacity() > SPARE && queue.len() < queue.capacity() / 4 {
                    queue.shrink_to(queue.len() * 2);
                }
            }
        }
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The newest that is at most `upto`.
    pub(crate) fn newest(&self, upto: u64) -> Option<u64> {
        self.get(self.above(upto).checked_sub(1)?)
    }

    /// Those with `after` < sequence <= `upto`, ascending.
    pub(crate) fn between(&self, after: u64, upto: u64) -> impl Iterator<Item = u64> {
        (self.above(after)..self.len()).map_while(|place| self.get(place)).take_while(move |seq| *seq <= upto)
    }

    fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::One(_) => 1,
            Self::Many(queue) => queue.len(),
        }
    }

    fn get(&self, place: usize) -> Option<u64> {
        match self {
            Self::None => None,
            Self::One(only) => (place == 0).then_some(*only),
            Self::Many(queue) => queue.get(place).copied(),
        }
    }

    /// The place of the first sequence above this one.
    fn above(&self, seq: u64) -> usize {
        match self {
            Self::None => 0,
            Self::One(only) => usize::from(*only <= seq),
            Self::Many(queue) => queue.partition_point(|other| *other <= seq),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_that_was_long_once_does_not_stay_so() {
        let mut seqs = Seqs::default();
        (1..=1_000).for_each(|seq| assert_eq!(seqs.push(seq, usize::MAX), None));
        // From both ends and from the middle.
        for seq in (1..=500).chain(900..=1_000).chain(501..=899) {
            seqs.remove(seq);
            if let Seqs::Many(queue) = &seqs {
                let (length, capacity) = (queue.len(), queue.capacity());
                assert!(capacity <= SPARE || capacity <= 4 * length + 3, "room for {capacity}, {length} sequences");
            }
        }
        assert!(matches!(seqs, Seqs::None));
    }

    #[test]
    fn what_is_not_there_cannot_be_removed() {
        let mut seqs = Seqs::default();
        for held in [vec![], vec![3], vec![3, 5]] {
            held.last().into_iter().for_each(|seq| assert_eq!(seqs.push(*seq, usize::MAX), None));
            seqs.remove(4);
            assert_eq!(seqs.between(0, u64::MAX).collect::<Vec<_>>(), held);
        }
    }
}
