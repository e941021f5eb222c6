//! Patterns with blanks that claims of a token fill: `shop.cart.{sub}.>`. A
//! blank is one whole token and takes one clean token, so that whatever a token
//! says, the pattern becomes no wider than it was written. Free of I/O.

use crate::subject::{BadSubject, Pattern};

/// Longest value of a claim in a pattern, characters. It keeps a filled pattern
/// below the longest there may be, and is twice a UUID.
pub const VALUE_LENGTH: usize = 64;

/// Longest name of a claim in a template, characters.
const NAME_LENGTH: usize = 64;

/// A pattern, perhaps with blanks.
#[derive(Clone, Debug)]
pub struct Template {
    text: Box<str>,
    /// The pattern, of a template without blanks.
    fixed: Option<Pattern>,
}

/// Reason for which a text is not a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTemplate {
    /// The text around the blanks does not make a pattern.
    #[error(transparent)]
    Pattern(#[from] BadSubject),
    /// Braces that do not make a blank.
    #[error(
        "has `{0}`, which is no blank; write {{claim}} as a whole token, the claim's name being 1 to {NAME_LENGTH} \
         letters, digits, `-` or `_`"
    )]
    Blank(String),
    /// Values that are as long as they may be do not fit.
    #[error("may become no pattern once its blanks are filled: it {0}; shorten it")]
    Filled(BadSubject),
}

/// Reason for which a template cannot be filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfilled {
    /// There is no such claim.
    Missing(String),
    /// Its value is not one clean token.
    Unclean(String),
}

impl Template {
    /// Parses a pattern that may have blanks.
    ///
    /// # Errors
    /// See [`BadTemplate`].
    pub fn parse(text: &str) -> Result<Self, BadTemplate> {
        for token in text.split('.') {
            if token.contains(['{', '}']) && blank(token).is_none() {
                return Err(BadTemplate::Blank(token.into()));
            }
        }
        let with = |value: &str| {
            let tokens: Vec<&str> =
                text.split('.').map(|token| if blank(token).is_some() { value } else { token }).collect();
            Pattern::parse(&tokens.join("."))
        };
        let shortest = with("x")?;
        with(&"x".repeat(VALUE_LENGTH)).map_err(BadTemplate::Filled)?;
        let fixed = (shortest.as_str() == text).then_some(shortest);
        Ok(Self { text: text.into(), fixed })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The pattern, with what `value` says of each claim.
    ///
    /// # Errors
    /// When a claim is missing, or its value could mean more than one token.
    pub fn fill(&self, value: impl Fn(&str) -> Option<String>) -> Result<Pattern, Unfilled> {
        if let Some(fixed) = &self.fixed {
            return Ok(fixed.clone());
        }
        let mut filled = String::with_capacity(self.text.len() + VALUE_LENGTH);
        for (index, token) in self.text.split('.').enumerate() {
            if index > 0 {
                filled.push('.');
            }
            match blank(token) {
                None => filled.push_str(token),
                Some(claim) => {
                    let value = value(claim).ok_or_else(|| Unfilled::Missing(claim.into()))?;
                    if !is_clean(&value) {
                        return Err(Unfilled::Unclean(claim.into()));
                    }
                    filled.push_str(&value);
                }
            }
        }
        // It is one by what was checked; should it be none, it grants nothing.
        let first = || self.text.split('.').find_map(blank).unwrap_or_default();
        Pattern::parse(&filled).map_err(|_| Unfilled::Unclean(first().into()))
    }
}

/// Whether a value can only ever be one token: letters, digits and what
/// identity providers write into subjects (`auth0|5f7c`, `urn:x:1`, `a+b@c`),
/// but no dot, no wildcard, no `$` and nothing that NATS or a reader may take
/// for something else.
fn is_clean(value: &str) -> bool {
    let clean = |byte: u8| byte.is_ascii_alphanumeric() || b"-_|:@+=".contains(&byte);
    (1..=VALUE_LENGTH).contains(&value.len()) && value.bytes().all(clean)
}

/// The claim whose blank this token is.
fn blank(token: &str) -> Option<&str> {
    let name = token.strip_prefix('{')?.strip_suffix('}')?;
    let clean = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    ((1..=NAME_LENGTH).contains(&name.len()) && name.bytes().all(clean)).then_some(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_blank_is_one_whole_token_with_the_name_of_a_claim() {
        for text in ["shop.cart.{sub}.>", "{tenant}.*", "a.{b}.{c-d}", "{A_1}", "a.b", ">"] {
            assert!(Template::parse(text).is_ok(), "{text}");
        }
        for (text, part) in [
            ("shop.{sub", "`{sub`"),
            ("shop.sub}", "`sub}`"),
            ("shop.{}", "`{}`"),
            ("shop.u{sub}", "`u{sub}`"),
            ("shop.{sub}{sub}", "`{sub}{sub}`"),
            ("shop.{a.b}", "`{a`"),
            ("shop.{a b}", "`{a b}`"),
            ("shop.{*}", "`{*}`"),
            ("shop..{sub}", "empty token"),
            ("shop.>.{sub}", "before the end"),
            ("", "is empty"),
        ] {
            let problem = Template::parse(text).expect_err(text).to_string();
            assert!(problem.contains(part), "{text}: {problem}");
        }
        let long = format!("{}.{{sub}}", "a".repeat(200));
        assert!(matches!(Template::parse(&long), Err(BadTemplate::Filled(BadSubject::TooLong))));
    }

    #[test]
    fn a_value_is_one_clean_token_or_none() {
        for value in ["u42", "3f2504e0-4f89-11d3-9a0c-0305e82c3301", "auth0|5f7c", "urn:x:1", "a+b@c", "_x", "7"] {
            assert!(is_clean(value), "{value}");
        }
        let long = "a".repeat(VALUE_LENGTH + 1);
        for value in
            ["", "*", ">", "a.b", "a*", ".", "a b", "a\r\n", "a\0", "$SYS", "{sub}", "\u{e9}", "\u{202e}", &long]
        {
            assert!(!is_clean(value), "{value:?}");
        }
    }

    proptest! {
        #[test]
        fn no_value_widens_a_template(value in "\\PC{0,70}|[a-z.*>]{0,5}|[$_A-Z]{1,8}") {
            let template = Template::parse("shop.{sub}.*").expect("a template");
            match template.fill(|_| Some(value.clone())) {
                Ok(filled) => {
                    prop_assert!(Pattern::parse("shop.*.*").expect("a pattern").covers(&filled));
                    prop_assert_eq!(filled.as_str(), format!("shop.{value}.*"));
                    prop_assert!(!value.contains(['.', '*', '>']));
                }
                Err(problem) => prop_assert_eq!((problem, is_clean(&value)), (Unfilled::Unclean("sub".into()), false)),
            }
        }
    }
}
