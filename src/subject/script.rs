//! Characters of words beside letters and digits: marks, as the vowel signs and
//! tones of Hindi, Thai or Tamil, and accents that follow their letter. And
//! characters that are invisible. Free of I/O.

use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{DefaultIgnorableCodePoint, GeneralCategory},
};

/// Whether a character is a mark that stands by its letter (Mn) or takes room
/// beside it (Mc). Marks that enclose a letter (Me) do not belong to words.
pub(crate) fn is_mark(character: char) -> bool {
    let category = CodePointMapData::<GeneralCategory>::new().get(character);
    matches!(category, GeneralCategory::NonspacingMark | GeneralCategory::SpacingMark)
}

/// Whether a character shows nothing of itself, though it may be a letter or a
/// mark: fillers, joiners, selectors of variants.
pub(crate) fn is_hidden(character: char) -> bool {
    CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(character)
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;

    #[test]
    fn marks_and_what_is_hidden_are_those_of_unicode() {
        let class = |class: &str| Regex::new(&format!("^{class}$")).expect("a class");
        let [marks, hidden, unassigned] =
            [r"[\p{Mn}\p{Mc}]", r"\p{Default_Ignorable_Code_Point}", r"\p{Cn}"].map(class);
        for character in '\0'..=char::MAX {
            let text = character.encode_utf8(&mut [0; 4]).to_owned();
            // The two may know Unicode of different years.
            if !unassigned.is_match(&text) {
                let is = (is_mark(character), is_hidden(character));
                assert_eq!(is, (marks.is_match(&text), hidden.is_match(&text)), "U+{:04X}", u32::from(character));
            }
        }
    }
}
