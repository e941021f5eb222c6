//! Whether some patterns together have every subject of another one.
//!
//! Subjects have any tokens, so where the asked pattern takes any token, one
//! that no granted pattern names is the hardest to cover: whatever else stands
//! there, the patterns that cover that one cover it too. So `*` needs `*` or
//! `>`, and the walk along the asked tokens has no branches. Where the asked
//! pattern ends with `>`, subjects with one, two, three and more such tokens
//! have to be covered: `a.>` is what `a.*`, `a.*.*` and `a.*.*.>` have together.

use crate::subject::{Pattern, SUBJECT_TOKENS};

/// Whether every subject of `asked` is one of these patterns' subjects.
pub(crate) fn covers<'p>(granted: impl IntoIterator<Item = &'p Pattern>, asked: &Pattern) -> bool {
    let mut left: Vec<_> = granted.into_iter().map(|pattern| pattern.as_str().split('.')).collect();
    for token in asked.as_str().split('.') {
        if token == ">" {
            return covers_tail(left);
        }
        let mut whole = false;
        left.retain_mut(|rest| match rest.next() {
            Some(">") => {
                whole = true;
                true
            }
            Some(granted) => granted == "*" || granted == token,
            None => false,
        });
        if whole {
            return true;
        }
    }
    left.into_iter().any(|mut rest| rest.next().is_none())
}

/// Whether one or more tokens that nobody names are covered, however many.
fn covers_tail<'p>(left: Vec<impl Iterator<Item = &'p str>>) -> bool {
    // Which numbers of tokens are covered exactly; and above which number all
    // are.
    let (mut exactly, mut above) = ([false; SUBJECT_TOKENS + 1], usize::MAX);
    for rest in left {
        let (mut stars, mut tail, mut names) = (0, false, false);
        for token in rest {
            match token {
                "*" => stars += 1,
                ">" => tail = true,
                _ => names = true,
            }
        }
        match (names, tail) {
            (true, _) => {}
            (false, true) => above = above.min(stars),
            (false, false) => exactly[stars] = true,
        }
    }
    above <= SUBJECT_TOKENS && (1..=above).all(|tokens| exactly[tokens])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::subject::Subject;

    /// Tokens that patterns may name.
    const NAMED: &[&str] = &["a", "b"];

    /// Longest pattern here. `>` speaks of any number of tokens, and is told
    /// apart from every pattern of this length by one token more.
    const LONGEST: usize = 4;

    /// Every subject that can make a difference: of the named tokens and one
    /// that no pattern names, up to one token longer than any pattern.
    fn universe() -> Vec<Subject> {
        let alphabet = ["a", "b", "fresh"];
        let mut level = vec![String::new()];
        let mut all = Vec::new();
        for _ in 0..=LONGEST {
            level = level
                .iter()
                .flat_map(|head| {
                    alphabet.map(|token| if head.is_empty() { token.to_owned() } else { format!("{head}.{token}") })
                })
                .collect();
            all.extend(level.iter().map(|text| Subject::parse(text).expect("a subject")));
        }
        all
    }

    #[test]
    fn the_longest_pattern_covers_no_tail() {
        let [longest, all] = [vec!["*"; SUBJECT_TOKENS].join("."), ">".to_owned()];
        let [longest, all] = [longest, all].map(|text| Pattern::parse(&text).expect("a pattern"));
        assert!(!covers([&longest], &all));
        assert!(covers([&all], &longest));
    }

    fn pattern() -> impl Strategy<Value = Pattern> {
        let token = prop_oneof![prop::sample::select(NAMED.to_vec()), Just("*")];
        (prop::collection::vec(token, 0..=LONGEST), any::<bool>()).prop_filter_map(
            "1 to 4 tokens",
            |(mut tokens, tail)| {
                if tail {
                    tokens.truncate(LONGEST - 1);
                    tokens.push(">");
                }
                Pattern::parse(&tokens.join(".")).ok()
            },
        )
    }

    /// Patterns that often cover something together: stars and tails.
    fn wide() -> impl Strategy<Value = Pattern> {
        prop_oneof![
            pattern(),
            prop::sample::select(vec!["*", "*.*", "*.*.*", "*.>", "*.*.>", "a.*", "a.*.*", "a.*.>", "a.*.*.>"])
                .prop_map(|text| Pattern::parse(text).expect("a pattern")),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn patterns_cover_another_exactly_when_no_subject_escapes(
            granted in prop::collection::vec(wide(), 0..6),
            asked in wide(),
        ) {
            let escapes = universe().into_iter().find(|subject| {
                asked.matches(subject) && !granted.iter().any(|pattern| pattern.matches(subject))
            });
            prop_assert_eq!(covers(&granted, &asked), escapes.is_none(), "{:?} {:?}: {:?}", granted, asked, escapes);
        }

        #[test]
        fn one_pattern_covers_as_it_says_itself(one in pattern(), asked in pattern()) {
            prop_assert_eq!(covers([&one], &asked), one.covers(&asked));
        }
    }

    #[test]
    fn some_patterns_cover_only_together() {
        let rows: &[(&[&str], &str, bool)] = &[
            (&["a.*", "a.*.>"], "a.>", true),
            (&["a.*", "a.*.*", "a.*.*.>"], "a.>", true),
            (&["a.*", "a.*.*.>"], "a.>", false),
            (&["*", "*.>"], ">", true),
            (&["a.b", "a.c"], "a.*", false),
            (&["a.>"], "a.>", true),
            (&["a.>"], ">", false),
            (&[], "a", false),
            (&["*.b", "a.*"], "a.b", true),
            (&["*.b", "a.*"], "*.*", false),
        ];
        for (granted, asked, expected) in rows {
            let granted: Vec<_> = granted.iter().map(|text| Pattern::parse(text).expect("a pattern")).collect();
            assert_eq!(covers(&granted, &Pattern::parse(asked).expect("a pattern")), *expected, "{granted:?} {asked}");
        }
    }
}
