//! Texts that are subjects, and patterns that match them.

use proptest::prelude::*;

use super::*;

fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).expect(text)
}

fn subject(text: &str) -> Subject {
    Subject::parse(text).expect(text)
}

#[test]
fn the_grammar_refuses_what_nobody_means() {
    use BadSubject::*;
    let long = "a".repeat(SUBJECT_BYTES + 1);
    let many = vec!["a"; SUBJECT_TOKENS + 1].join(".");
    let rows: &[(&str, BadSubject)] = &[
        ("", Empty),
        (&long, TooLong),
        (&many, TooManyTokens(SUBJECT_TOKENS)),
        (".", EmptyToken),
        (".a", EmptyToken),
        ("a.", EmptyToken),
        ("a..b", EmptyToken),
        ("a b", BadCharacter(' ')),
        ("a\tb", BadCharacter('\t')),
        ("a\r\nPUB x", BadCharacter('\r')),
        ("a\0", BadCharacter('\0')),
        ("a\x7f", BadCharacter('\x7f')),
        ("a.\u{202e}b", BadCharacter('\u{202e}')),
        ("a.\u{a0}", BadCharacter('\u{a0}')),
        // Marks that nobody sees, marks without a letter, and symbols.
        ("a.b\u{fe0f}", BadCharacter('\u{fe0f}')),
        ("a\u{34f}b", BadCharacter('\u{34f}')),
        ("a\u{3164}b", BadCharacter('\u{3164}')),
        ("\u{646}\u{200c}\u{647}", BadCharacter('\u{200c}')),
        ("a\u{20e3}", BadCharacter('\u{20e3}')),
        ("\u{301}a", StrayMark('\u{301}')),
        ("a.\u{301}", StrayMark('\u{301}')),
        ("a-\u{301}", StrayMark('\u{301}')),
        ("1\u{301}", StrayMark('\u{301}')),
        ("chat.\u{1f389}", BadCharacter('\u{1f389}')),
        ("chat.\u{2764}\u{fe0f}", BadCharacter('\u{2764}')),
        ("foo*", WildcardInToken),
        ("*foo.a", WildcardInToken),
        ("a.b>", WildcardInToken),
        ("**", WildcardInToken),
        ("a.>>", WildcardInToken),
        (">.a", TailNotLast),
        ("a.>.b", TailNotLast),
        ("a.>.>", TailNotLast),
    ];
    for (text, reason) in rows {
        assert_eq!(Pattern::parse(text), Err(*reason), "{text:?}");
        assert_eq!(Subject::parse(text), Err(*reason), "{text:?}");
    }
    for text in ["*", ">", "a.*", "a.>", "*.*.c"] {
        assert!(Pattern::parse(text).is_ok(), "{text}");
        assert_eq!(Subject::parse(text), Err(Wildcard), "{text}");
    }
    let (longest, most) = (&long[1..], &many[2..]);
    for text in ["a", "a.b-c_d", "shop.cart.u42", "a.m\u{fc}ller", "$JS.API", longest, most] {
        assert!(Subject::parse(text).is_ok(), "{text}");
    }
}

#[test]
fn words_of_scripts_that_are_written_with_marks_are_tokens() {
    for word in [
        "\u{939}\u{93f}\u{928}\u{94d}\u{926}\u{940}",
        "\u{e44}\u{e17}\u{e22}.\u{e17}\u{e35}\u{e48}",
        "\u{ba4}\u{bae}\u{bbf}\u{bb4}\u{bcd}",
        "tie\u{302}\u{301}ng.Vie\u{323}\u{302}t",
        "\u{5e2}\u{5b4}\u{5d1}\u{5b0}\u{5e8}\u{5b4}\u{5d9}\u{5ea}",
        "\u{1780}\u{17d2}\u{1798}\u{17c2}\u{179a}",
    ] {
        assert_eq!(Subject::parse(word).as_ref().map(Subject::as_str), Ok(word));
    }
    // Byte by byte: the same to the eye is another one.
    let (composed, decomposed) = (subject("caf\u{e9}"), subject("cafe\u{301}"));
    assert!(composed != decomposed && !Pattern::from(composed).covers(&decomposed.into()));
}

#[test]
fn no_more_tokens_pass_than_are_allowed() {
    for (text, fits) in [("a", true), ("a.b.c", true), ("a.*.>", true), ("a.b.c.d", false), ("*.*.*.>", false)] {
        let expected = if fits { Ok(text) } else { Err(BadSubject::TooManyTokens(3)) };
        let parsed = Pattern::parse_within(text, 3);
        assert_eq!(parsed.as_ref().map(Pattern::as_str).map_err(|why| *why), expected, "{text}");
    }
    assert_eq!(Subject::parse_within("a.b.c.d", 3), Err(BadSubject::TooManyTokens(3)));
    assert_eq!(Subject::parse_within("a.b.c", 3), Ok(subject("a.b.c")));
}

#[test]
fn patterns_match_as_nats_does() {
    let rows = [
        ("a.b", "a.b", true),
        ("a.b", "a.c", false),
        ("a.b", "a", false),
        ("a", "a.b", false),
        ("*", "a", true),
        ("*", "a.b", false),
        ("a.*", "a.b", true),
        ("a.*", "a", false),
        ("a.*.c", "a.b.c", true),
        (">", "a", true),
        (">", "a.b.c", true),
        ("a.>", "a", false),
        ("a.>", "a.b", true),
        ("a.*.>", "a.b", false),
        ("a.*.>", "a.b.c.d", true),
    ];
    for (left, right, expected) in rows {
        assert_eq!(pattern(left).matches(&subject(right)), expected, "{left} {right}");
    }
}

#[test]
fn patterns_overlap_when_one_subject_fits_both() {
    let rows = [
        ("a.b", "a.b", true),
        ("a.*", "*.b", true),
        ("a.*", "b.*", false),
        ("a.>", "*.b", true),
        ("a.>", "a", false),
        (">", "a", true),
        ("a.*.c", "a.>", true),
        ("a.b", "a.b.c", false),
    ];
    for (left, right, expected) in rows {
        assert_eq!(pattern(left).overlaps(&pattern(right)), expected, "{left} {right}");
        assert_eq!(pattern(right).overlaps(&pattern(left)), expected, "{right} {left}");
    }
}

#[test]
fn a_pattern_covers_another_when_no_subject_escapes_it() {
    let rows = [
        ("a.b", "a.b", true),
        ("a.*", "a.b", true),
        ("a.*", "a.*", true),
        ("a.b", "a.*", false),
        ("a.*", "a.>", false),
        ("a.>", "a.*", true),
        ("a.>", "a.*.>", true),
        ("a.>", "a.>", true),
        ("a.>", "a", false),
        ("a.*.>", "a.>", false),
        (">", "a", true),
        ("*.b", "a.>", false),
        ("a.*.c", "a.b", false),
    ];
    for (wide, narrow, expected) in rows {
        assert_eq!(pattern(wide).covers(&pattern(narrow)), expected, "{wide} {narrow}");
    }
}

proptest! {
    /// A letter of any script, and marks behind it, in any order of marks.
    #[test]
    fn marks_are_taken_behind_a_letter_and_nowhere_else(
        word in "\\p{L}[\\p{L}\\p{Nd}]{0,3}",
        marks in "[\\p{Mn}\\p{Mc}&&\\P{Default_Ignorable_Code_Point}&&\\P{Alphabetic}]{1,4}",
        seen in any::<bool>(),
    ) {
        // The standard library may know Unicode of another year.
        prop_assume!(word.chars().all(|character| character.is_alphanumeric() && !is_hidden(character)));
        prop_assume!(marks.chars().all(is_mark));
        let letter = word.chars().next().expect("a letter");
        let rest = &word[letter.len_utf8()..];
        let marked = format!("a.{letter}{marks}{rest}");
        prop_assert!(Subject::parse(&marked).is_ok(), "{}", marked);
        let first = marks.chars().next().expect("a mark");
        let before = if seen { "1" } else { "" };
        let stray = format!("{before}{marks}{word}");
        prop_assert_eq!(Subject::parse(&stray), Err(BadSubject::StrayMark(first)));
    }

    #[test]
    fn what_passes_is_seen_and_holds_no_space_nor_control(text in "\\PC{1,6}|.{1,6}") {
        if let Ok(subject) = Subject::parse(&text) {
            let hidden = |character: char| character.is_whitespace() || character.is_control();
            prop_assert!(!subject.as_str().chars().any(hidden), "{:?}", text);
            let unseen = subject.as_str().contains(['*', '>', '\u{200b}', '\u{200d}', '\u{fe0f}', '\u{34f}']);
            prop_assert!(!unseen, "{:?}", text);
        }
    }
}

#[test]
fn system_subjects_are_reserved() {
    for text in ["$JS.API.INFO", "$SYS.>", "_INBOX.abc", "$KV.a"] {
        assert!(pattern(text).is_reserved(), "{text}");
    }
    for text in ["shop.$x", ">", "*.a"] {
        assert!(!pattern(text).is_reserved(), "{text}");
    }
}
