//! Characters that no name may hold because nobody sees them: two names that
//! look the same would be two users, and a name could turn round the line of a
//! log that it stands in. Pure.

/// In order: the general category Cf, the property `Default_Ignorable_Code_Point`
/// and the two separators of lines, of Unicode 17.
const INVISIBLE: [(char, char); 28] = [
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{600}', '\u{605}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{6dd}', '\u{6dd}'),
    ('\u{70f}', '\u{70f}'),
    ('\u{890}', '\u{891}'),
    ('\u{8e2}', '\u{8e2}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{2029}'),
    ('\u{202a}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{110bd}', '\u{110bd}'),
    ('\u{110cd}', '\u{110cd}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
    // Controls (Cc), which are not seen either.
    ('\0', '\u{1f}'),
    ('\u{7f}', '\u{9f}'),
];

/// Whether a character shows nothing of itself: controls, format characters
/// such as those that change the direction of writing, and those of no width.
pub fn is_invisible(character: char) -> bool {
    // All of ASCII but its controls is to be seen, and is the usual case.
    !matches!(character, ' '..='~') && INVISIBLE.iter().any(|(first, last)| (*first..=*last).contains(&character))
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;

    #[test]
    fn whatever_unicode_says_is_not_seen_is_not() {
        let class = Regex::new(r"^[\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}\u{2028}\u{2029}]$").expect("a class");
        for character in '\0'..=char::MAX {
            let expected = class.is_match(character.encode_utf8(&mut [0; 4]));
            assert_eq!(is_invisible(character), expected, "U+{:04X}", u32::from(character));
        }
    }

    #[test]
    fn what_people_write_is_seen() {
        for name in ["u42", "auth0|63f", "a b", "J\u{fc}rgen", "\u{10e6}\u{10d0}", "\u{5d0}\u{5d1}", "\u{1f6d2}"] {
            assert!(!name.chars().any(is_invisible), "{name}");
        }
    }
}
