//! The numbers that a publisher gives the events of one subject. They count up,
//! so a hole and a repetition show.

use std::ops::Range;

/// The numbers of one subject that have come.
#[derive(Clone, Debug, Default)]
pub struct Numbers {
    due: u64,
    /// Numbers below `due` that have not come.
    skipped: Vec<Range<u64>>,
}

/// The relation of a number to those before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The number was due.
    Next,
    /// The number is beyond the due one: these have not come.
    Skipped(Range<u64>),
    /// The number was skipped before.
    Late,
    /// The number has come before, or lies before the first one.
    Repeated,
}

impl Numbers {
    /// Numbers of which `first` is due.
    #[must_use]
    pub fn from(first: u64) -> Self {
        Self { due: first, skipped: Vec::new() }
    }

    /// The number that has to come next.
    #[must_use]
    pub fn due(&self) -> u64 {
        self.due
    }

    /// Takes the next number that comes.
    pub fn take(&mut self, number: u64) -> Step {
        if number >= self.due {
            let skipped = self.due..number;
            self.due = number + 1;
            if skipped.is_empty() {
                return Step::Next;
            }
            self.skipped.push(skipped.clone());
            return Step::Skipped(skipped);
        }
        let Some(place) = self.skipped.iter().position(|skipped| skipped.contains(&number)) else {
            return Step::Repeated;
        };
        let around = self.skipped.swap_remove(place);
        let halves = [around.start..number, number + 1..around.end];
        self.skipped.extend(halves.into_iter().filter(|half| !half.is_empty()));
        Step::Late
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn each_number_is_next_beyond_late_or_repeated() {
        let mut numbers = Numbers::from(3);
        let cases = [
            (3, Step::Next),
            (3, Step::Repeated),
            (2, Step::Repeated),
            (7, Step::Skipped(4..7)),
            (5, Step::Late),
            (5, Step::Repeated),
            (4, Step::Late),
            (8, Step::Next),
            (6, Step::Late),
            (6, Step::Repeated),
        ];
        for (number, step) in cases {
            assert_eq!(numbers.take(number), step, "{number}");
        }
        assert_eq!(numbers.due(), 9);
    }

    proptest! {
        /// Beside a set of everything that has come.
        #[test]
        fn steps_are_those_of_a_set(given in vec(0u64..20, 0..40)) {
            let (mut numbers, mut come) = (Numbers::default(), BTreeSet::new());
            for number in given {
                let due = come.last().map_or(0, |last| last + 1);
                let expected = match come.insert(number) {
                    false => Step::Repeated,
                    true if number == due => Step::Next,
                    true if number > due => Step::Skipped(due..number),
                    true => Step::Late,
                };
                prop_assert_eq!(numbers.take(number), expected);
            }
        }
    }
}
