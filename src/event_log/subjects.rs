//! The sequences of each subject, in the order of the subjects' text: all that a
//! pattern matches lies behind its first literal tokens, and a walk jumps over
//! what a later literal token rules out. Free of I/O.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::{Bound, ControlFlow},
};

use crate::subject::{Pattern, Subject};

/// Places of a queue below which spare ones are not worth the work of a copy.
const SPARE: usize = 64;

/// Sequences by subject.
#[derive(Debug, Default)]
pub(crate) struct SubjectIndex {
    subjects: BTreeMap<Subject, Sequences>,
}

/// The sequences of one subject, ascending; never without any. Most subjects
/// have one event, and then nothing is allocated.
#[derive(Debug)]
pub(crate) enum Sequences {
    One(u64),
    #[expect(clippy::box_collection, reason = "an entry of the map is half as large so")]
    Many(Box<VecDeque<u64>>),
}

impl SubjectIndex {
    /// Adds a sequence above all others. Where its subject then has more than
    /// `most`, the oldest of them goes and is returned.
    pub(crate) fn add(&mut self, subject: &Subject, seq: u64, most: usize) -> Option<u64> {
        match self.subjects.get_mut(subject) {
            Some(sequences) => sequences.push(seq, most),
            None => {
                self.subjects.insert(subject.clone(), Sequences::One(seq));
                None
            }
        }
    }

    /// Removes a sequence of this subject.
    pub(crate) fn remove(&mut self, subject: &Subject, seq: u64) {
        if self.subjects.get_mut(subject).is_some_and(|sequences| sequences.remove(seq)) {
            self.subjects.remove(subject);
        }
    }

    /// The sequences of a subject.
    pub(crate) fn of(&self, subject: &Subject) -> Option<&Sequences> {
        self.subjects.get(subject)
    }

    /// Calls `found` with every subject that matches, in the order of their
    /// text. Breaks off when `found` does, or when it takes more than `steps`,
    /// which counts down.
    pub(crate) fn walk<'a>(
        &'a self,
        pattern: &Pattern,
        steps: &mut usize,
        mut found: impl FnMut(&'a Sequences) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        step(steps)?;
        if let Some(subject) = pattern.literal() {
            return self.of(&subject).map_or(ControlFlow::Continue(()), found);
        }
        let mut key = literal_start(pattern.as_str()).to_owned();
        let mut subjects = self.from(&key);
        let mut next = subjects.next();
        while let Some((subject, sequences)) = next {
            step(steps)?;
            next = match place(pattern.as_str(), subject.as_str(), &mut key) {
                SubjectPlace::Matches => {
                    found(sequences)?;
                    subjects.next()
                }
                SubjectPlace::Before => match subjects.next() {
                    // Jumping costs more than a look at the next one.
                    Some((subject, _)) if *subject.as_str() < *key => {
                        step(steps)?;
                        subjects = self.from(&key);
                        subjects.next()
                    }
                    next => next,
                },
                SubjectPlace::Short => subjects.next(),
                SubjectPlace::Behind => None,
            };
        }
        ControlFlow::Continue(())
    }

    fn from(&self, key: &str) -> impl Iterator<Item = (&Subject, &Sequences)> + use<'_> {
        self.subjects.range::<str, _>((Bound::Included(key), Bound::Unbounded))
    }

    /// Whether the list of subjects is empty.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.subjects.is_empty()
    }
}

impl Sequences {
    /// The newest that is at most `upto`.
    pub(crate) fn newest(&self, upto: u64) -> Option<u64> {
        match self {
            Self::One(only) => (*only <= upto).then_some(*only),
            Self::Many(queue) if queue.back().is_some_and(|last| *last <= upto) => queue.back().copied(),
            Self::Many(queue) => queue.get(queue.partition_point(|seq| *seq <= upto).checked_sub(1)?).copied(),
        }
    }

    /// Those with `after` < sequence <= `upto`, ascending.
    pub(crate) fn between(&self, after: u64, upto: u64) -> impl Iterator<Item = u64> {
        let (only, queue) = match self {
            Self::One(only) => (Some(*only).filter(|seq| *seq > after), None),
            Self::Many(queue) => (None, Some(queue.range(queue.partition_point(|seq| *seq <= after)..))),
        };
        only.into_iter().chain(queue.into_iter().flatten().copied()).take_while(move |seq| *seq <= upto)
    }

    fn push(&mut self, seq: u64, most: usize) -> Option<u64> {
        match self {
            Self::One(only) if most <= 1 => Some(std::mem::replace(only, seq)),
            Self::One(only) => {
                *self = Self::Many(Box::new(VecDeque::from([*only, seq])));
                None
            }
            Self::Many(queue) => {
                // First out, then in: a full queue does not grow.
                let superseded = if queue.len() >= most { queue.pop_front() } else { None };
                queue.push_back(seq);
                superseded
            }
        }
    }

    /// Removes one; true when none is left.
    fn remove(&mut self, seq: u64) -> bool {
        match self {
            Self::One(only) => *only == seq,
            Self::Many(queue) => {
                if let Ok(place) = queue.binary_search(&seq) {
                    queue.remove(place);
                }
                if queue.capacity() > SPARE && queue.len() < queue.capacity() / 4 {
                    queue.shrink_to(queue.len() * 2);
                }
                queue.is_empty()
            }
        }
    }
}

/// Where a subject stands among those that match a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SubjectPlace {
    /// It matches.
    Matches,
    /// It does not, and none does before the key.
    Before,
    /// It has too few tokens. The next one may match.
    Short,
    /// None that follows matches.
    Behind,
}

/// Compares a subject with a pattern. The key is written when the answer is
/// [`SubjectPlace::Before`], and then lies behind the subject.
fn place(pattern: &str, subject: &str, key: &mut String) -> SubjectPlace {
    // Where the last token ends that a `*` stands for.
    let mut star = None;
    let (mut wanted, mut at) = (pattern, 0);
    loop {
        let end = subject[at..].find('.').map_or(subject.len(), |length| at + length);
        let (token, more) = wanted.split_once('.').map_or((wanted, None), |(token, rest)| (token, Some(rest)));
        match token {
            ">" => return SubjectPlace::Matches,
            "*" => star = Some(end),
            token if *token == subject[at..end] => {}
            token => {
                key.clear();
                key.extend([&subject[..at], token, if more.is_some() { "." } else { "" }]);
                return if *subject < **key { SubjectPlace::Before } else { behind(subject, star, key) };
            }
        }
        match (more, end < subject.len()) {
            (Some(rest), true) => (wanted, at) = (rest, end + 1),
            (Some(_), false) => return SubjectPlace::Short,
            (None, true) => return behind(subject, star, key),
            (None, false) => return SubjectPlace::Matches,
        }
    }
}

/// Everything with the same tokens up to `star` is behind: another token there
/// is the next chance.
fn behind(subject: &str, star: Option<usize>, key: &mut String) -> SubjectPlace {
    let Some(end) = star else { return SubjectPlace::Behind };
    key.clear();
    // In ASCII `/` follows the dot, and so every subject that begins with the
    // same tokens.
    key.extend([&subject[..end], "/"]);
    SubjectPlace::Before
}

/// The tokens of a pattern before its first wildcard, and the dot behind them.
fn literal_start(pattern: &str) -> &str {
    let mut end = 0;
    for token in pattern.split_inclusive('.') {
        if matches!(token, "*" | "*." | ">") {
            break;
        }
        end += token.len();
    }
    &pattern[..end]
}

fn step(steps: &mut usize) -> ControlFlow<()> {
    match steps.checked_sub(1) {
        Some(left) => *steps = left,
        None => return ControlFlow::Break(()),
    }
    ControlFlow::Continue(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Subjects whose text sorts otherwise than their tokens would: `!` to `-` come before the dot, `/` behind it.
    const SUBJECTS: [&str; 16] = [
        "a", "a!", "a!.b", "a-b", "a-b.c", "a.!", "a.-", "a.b", "a.b-", "a.b.c", "a.b/c", "a/b", "a/b.c", "b.b",
        "b.b.b", "c",
    ];

    fn index() -> SubjectIndex {
        let mut index = SubjectIndex::default();
        for (seq, subject) in (1..).zip(SUBJECTS) {
            assert_eq!(index.add(&Subject::parse(subject).expect(subject), seq, 9), None);
        }
        index
    }

    #[test]
    fn a_walk_finds_what_matches_whatever_sorts_between() {
        let index = index();
        let tokens = ["a", "b", "c", "a!", "a-b", "b-", "*"];
        let mut patterns = vec![">".to_owned()];
        for first in tokens {
            patterns.extend([first.to_owned(), format!("{first}.>")]);
            for second in tokens {
                patterns.extend([format!("{first}.{second}"), format!("{first}.{second}.>")]);
                patterns.extend(tokens.map(|third| format!("{first}.{second}.{third}")));
            }
        }
        for text in patterns {
            let pattern = Pattern::parse(&text).expect("a pattern");
            let (mut found, mut steps) = (Vec::new(), 1_000);
            let walked = index.walk(&pattern, &mut steps, |sequences| {
                found.extend(sequences.newest(99));
                ControlFlow::Continue(())
            });
            assert!(walked.is_continue());
            let matches = |subject: &str| pattern.matches(&Subject::parse(subject).expect("a subject"));
            let expected: Vec<u64> =
                (1..).zip(SUBJECTS).filter(|(_, subject)| matches(subject)).map(|(seq, _)| seq).collect();
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn a_walk_jumps_over_what_a_literal_token_rules_out() {
        let mut index = SubjectIndex::default();
        for user in 0..1_000 {
            for kind in ["cart", "lamp"] {
                index.add(&Subject::parse(&format!("shop.{kind}.u{user}.added")).expect("a subject"), 1, 1);
            }
        }
        for (pattern, most) in [
            ("shop.cart.u7.*", 3),
            ("shop.*.u77.*", 20),
            ("shop.*.u77.>", 20),
            ("shop.cart.*", 2_001),
            ("shop.gone.>", 2),
            ("shop.gone.u7", 1),
        ] {
            let mut steps = 10_000;
            let walked =
                index.walk(&Pattern::parse(pattern).expect("a pattern"), &mut steps, |_| ControlFlow::Continue(()));
            assert!(walked.is_continue() && 10_000 - steps <= most, "{pattern}: {}", 10_000 - steps);
        }
        let mut steps = 100;
        let all = Pattern::parse(">").expect("a pattern");
        assert!(index.walk(&all, &mut steps, |_| ControlFlow::Continue(())).is_break());
    }

    #[test]
    fn a_queue_that_was_long_once_does_not_stay_so() {
        let mut index = SubjectIndex::default();
        let subject = Subject::parse("a").expect("a subject");
        for seq in 0..10_000 {
            index.add(&subject, seq, usize::MAX);
        }
        for seq in 0..10_000 {
            let Some(Sequences::Many(queue)) = index.of(&subject) else { panic!("a queue") };
            assert!(queue.capacity() <= SPARE || queue.capacity() <= 4 * queue.len() + 4);
            index.remove(&subject, seq);
        }
        assert!(index.is_empty());
    }
}
