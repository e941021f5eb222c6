//! Whether a command has said what the page shows. Free of I/O.
//!
//! White space does not count: pages break long lines. `…` stands for anything.
//! What differs from run to run is learned: a number of 13 digits or more (a
//! time, an epoch) and a name of 16 hexadecimal digits stand for one of their
//! kind, and for the same one wherever the page shows them again.

use std::{collections::BTreeMap, sync::LazyLock};

use regex::{Captures, Regex};

/// A number or name that is another one in each run.
static CHANGING: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\b(?:[0-9]{13,}|[0-9a-f]{16})\b|…").expect("an expression"));

/// What the numbers and names of a page are in this run.
#[derive(Debug, Default)]
pub struct Learned(BTreeMap<String, String>);

impl Learned {
    /// A text of the page, as it reads in this run.
    pub fn apply(&self, text: &str) -> String {
        let known = |found: &Captures| self.0.get(&found[0]).cloned().unwrap_or_else(|| found[0].to_owned());
        CHANGING.replace_all(text, known).into_owned()
    }

    /// Whether what was said begins with what is shown, or is that as a whole;
    /// then its numbers and names are known from now on.
    pub fn agree(&mut self, shown: &str, said: &str, whole: bool) -> bool {
        let (mut pattern, mut new): (_, Vec<&str>) = (String::from("(?s)^"), Vec::new());
        let mut done = 0;
        for changing in CHANGING.find_iter(shown) {
            pattern.push_str(&regex::escape(&bare(&shown[done..changing.start()])));
            done = changing.end();
            let text = changing.as_str();
            if text == "…" {
                pattern.push_str(".*?");
            } else if let Some(known) = self.0.get(text) {
                pattern.push_str(known);
            } else {
                let digits = if text.bytes().all(|byte| byte.is_ascii_digit()) { "0-9" } else { "0-9a-f" };
                pattern.push_str(&format!("([{digits}]{{{}}})", text.len()));
                new.push(text);
            }
        }
        pattern.push_str(&regex::escape(&bare(&shown[done..])));
        pattern.push_str(if whole { "$" } else { "" });
        let said = bare(said);
        let Some(found) = Regex::new(&pattern).ok().and_then(|pattern| pattern.captures(&said)) else { return false };
        let mut learned = self.0.clone();
        for (name, value) in new.iter().zip(found.iter().skip(1).flatten()) {
            let value = value.as_str().to_owned();
            if *learned.entry((*name).to_owned()).or_insert_with(|| value.clone()) != value {
                return false;
            }
        }
        self.0 = learned;
        true
    }
}

fn bare(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_run_to_run_is_learned() {
        let mut learned = Learned::default();
        assert!(learned.agree("at 1795545066210000000/1", "at 1795545066210000999/1\n", true));
        assert_eq!(learned.apply("--after S/1795545066210000000/1"), "--after S/1795545066210000999/1");
        assert!(learned.agree("1795545066210000000", "1795545066210000999", true));
        assert!(!learned.agree("1795545066210000000", "1795545066210000000", true), "it is another one in this run");
        let twice = "1795545066211 1795545066211";
        assert!(!learned.agree(twice, "1795545066212 1795545066213", true), "one thing has one value");
        assert!(learned.agree("node f07e7a6ddb356b44", "node 0123456789abcdef", true));
        assert!(!learned.agree("seq 4", "seq 5", true), "small numbers mean themselves");
    }

    #[test]
    fn lines_may_be_broken_and_left_out() {
        let mut learned = Learned::default();
        assert!(learned.agree("{\"a\":\n1}", "{\"a\":1}\n", true));
        assert!(learned.agree("a (1) … z", "a (1) b\nc z", true));
        assert!(!learned.agree("a … z", "a b c", true));
        assert!(!learned.agree("a", "ab", true));
        assert!(learned.agree("a", "ab", false));
    }
}
