//! Losses: events that a stream's retention dropped before this node had them.
//! Readers that pass them are told. Free of I/O.

use crate::journal::cursor::{Gap, Reason};

/// Losses that are told one by one.
const LOSSES: usize = 64;

/// Ranges of sequences, in order.
#[derive(Debug, Default)]
pub(crate) struct Losses(Vec<(u64, u64)>);

impl Losses {
    /// Adds a range behind all others. Readers that resume below `floor` ask
    /// the stream, so losses there are forgotten.
    pub(crate) fn add(&mut self, from: u64, to: u64, floor: u64) {
        self.0.retain(|(_, to)| *to > floor);
        let full = self.0.len() == LOSSES;
        match self.0.last_mut() {
            // Too many are told as one.
            Some((_, last)) if full || *last + 1 == from => *last = to,
            _ => self.0.push((from, to)),
        }
    }

    /// How far one can go on from a sequence, and what was lost right behind it.
    pub(crate) fn after(&self, seq: u64, upto: u64) -> (u64, Option<Gap>) {
        match self.0.iter().find(|(_, to)| *to > seq) {
            Some((from, to)) if *from <= seq + 1 && *to <= upto => {
                (seq, Some(Gap { from: seq + 1, to: *to, reason: Reason::Expired }))
            }
            Some((from, _)) => ((from - 1).clamp(seq, upto.max(seq)), None),
            None => (upto, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn whoever_goes_on_is_told_all_that_was_lost_and_nothing_else(
            ranges in vec((0..4_u64, 0..4_u64), 0..20),
            upto in 0..80_u64,
        ) {
            let (mut losses, mut lost, mut next) = (Losses::default(), BTreeSet::new(), 1);
            for (stored, more) in ranges {
                let (from, to) = (next + stored, next + stored + more);
                losses.add(from, to, 0);
                lost.extend(from..=to);
                next = to + 1;
            }
            for seq in 0..upto {
                // How far what follows is lost, if it is.
                let end = (seq..).find(|seq| !lost.contains(&(seq + 1))).unwrap_or(seq);
                let expected = if end > seq && end <= upto {
                    (seq, Some(Gap { from: seq + 1, to: end, reason: Reason::Expired }))
                } else {
                    ((seq..upto).find(|seq| lost.contains(&(seq + 1))).unwrap_or(upto), None)
                };
                prop_assert_eq!(losses.after(seq, upto), expected, "{} {}", seq, upto);
            }
            prop_assert_eq!(losses.after(upto, upto).0, upto);
        }
    }

    #[test]
    fn who_comes_by_is_told_what_was_lost_there() {
        let mut losses = Losses::default();
        losses.add(5, 7, 0);
        losses.add(8, 9, 0);
        losses.add(20, 21, 0);
        let gap = |from, to| Some(Gap { from, to, reason: Reason::Expired });
        assert_eq!(losses.after(2, 30), (4, None));
        assert_eq!(losses.after(4, 30).1, gap(5, 9));
        assert_eq!(losses.after(6, 30).1, gap(7, 9));
        assert_eq!(losses.after(9, 30), (19, None));
        assert_eq!(losses.after(19, 30).1, gap(20, 21));
        assert_eq!(losses.after(21, 30), (30, None));
        losses.add(40, 41, 21);
        assert_eq!(losses.0, [(40, 41)]);
    }

    #[test]
    fn very_many_are_told_as_one() {
        let mut losses = Losses::default();
        for number in 1..=100 {
            losses.add(number * 10, number * 10, 0);
        }
        assert_eq!(losses.0.len(), LOSSES);
        assert_eq!(losses.0.last(), Some(&(640, 1_000)));
    }
}
