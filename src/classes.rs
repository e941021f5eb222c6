//! Classes: the delivery that each subject promises, and the streams that a
//! pattern reaches. The configured rules, made ready to be asked. Free of I/O.

use std::fmt;

use crate::{
    config::{Config, Delivery},
    subject::{BadSubject, Pattern, SUBJECT_TOKENS, Subject},
};

/// Place of a stream in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamIndex(pub usize);

/// The class of one subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Nothing keeps its events.
    Live,
    /// A stream keeps them.
    Stored(StreamIndex),
}

/// The reach of a pattern: subjects of several classes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Some of its subjects may be live.
    pub live: bool,
    /// Streams that keep some of them, in the order of the configuration.
    pub streams: Vec<StreamIndex>,
}

/// The configured rules.
#[derive(Clone)]
pub struct Classes {
    /// Most tokens of a subject or pattern that has a class.
    tokens: usize,
    rules: Vec<(Pattern, Class)>,
    /// Of each stream: what it promises, and where its events reappear.
    streams: Vec<(Delivery, Pattern)>,
}

impl Default for Classes {
    fn default() -> Self {
        Self { tokens: SUBJECT_TOKENS, rules: Vec::new(), streams: Vec::new() }
    }
}

impl Classes {
    /// Takes over rules that [`Config::validate`] has found to hold.
    ///
    /// # Errors
    /// When a pattern is malformed.
    pub fn of(config: &Config) -> Result<Self, BadSubject> {
        let place = |name: &String| config.streams.iter().position(|stream| stream.name == *name);
        let mut rules = Vec::new();
        let mut streams = Vec::new();
        for stream in &config.streams {
            streams.push((Delivery::Durable, Pattern::parse(&format!("{}.>", stream.prefix()))?));
        }
        for rule in &config.subjects {
            let class = match rule.stream.as_ref().and_then(place) {
                Some(place) if rule.delivery != Delivery::Live => {
                    streams[place].0 = rule.delivery;
                    Class::Stored(StreamIndex(place))
                }
                _ => Class::Live,
            };
            rules.push((Pattern::parse(&rule.pattern)?, class));
        }
        Ok(Self { tokens: config.limits.subject_tokens, rules, streams })
    }

    /// Parses a subject that clients may name, or get events of.
    ///
    /// # Errors
    /// The fault of the text.
    pub fn subject(&self, text: &str) -> Result<Subject, BadSubject> {
        Subject::parse_within(text, self.tokens)
    }

    /// Parses a subject or pattern that clients may name.
    ///
    /// # Errors
    /// The fault of the text.
    pub fn pattern(&self, text: &str) -> Result<Pattern, BadSubject> {
        Pattern::parse_within(text, self.tokens)
    }

    /// The class of a subject.
    pub fn class(&self, subject: &Subject) -> Class {
        self.rules.iter().find(|(pattern, _)| pattern.matches(subject)).map_or(Class::Live, |(_, class)| *class)
    }

    /// The reach of a pattern. It may name more than the pattern brings, never
    /// less.
    pub fn reach(&self, pattern: &Pattern) -> Reach {
        let mut reach = Reach::default();
        for (ruled, class) in self.rules.iter().filter(|(ruled, _)| ruled.overlaps(pattern)) {
            match class {
                Class::Live => reach.live = true,
                Class::Stored(stream) if reach.streams.contains(stream) => {}
                Class::Stored(stream) => reach.streams.push(*stream),
            }
            if ruled.covers(pattern) {
                // No later rule, and no other subject, has a say.
                reach.streams.sort_unstable();
                return reach;
            }
        }
        reach.live = true;
        reach.streams.sort_unstable();
        reach
    }

    /// The class of the subjects of a stream.
    pub fn delivery(&self, stream: StreamIndex) -> Delivery {
        self.streams[stream.0].0
    }

    /// Whether a pattern can match nothing but what streams republish, which is
    /// for nodes only.
    pub fn is_republished(&self, pattern: &Pattern) -> bool {
        self.streams.iter().any(|(_, republished)| republished.covers(pattern))
    }

    /// Whether this is where a stream republishes.
    pub fn republishes(&self, subject: &Subject) -> bool {
        self.streams.iter().any(|(_, republished)| republished.matches(subject))
    }

    /// Whether every subject is live.
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }
}

impl fmt::Debug for Classes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.rules).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{SettingsFile, load};

    fn classes() -> Classes {
        let text = r#"
            [[streams]]
            name = "SHOP"
            subjects = ["shop.cart.>", "shop.order.>"]
            [[streams]]
            name = "PRICES"
            subjects = ["shop.price.*"]
            [[subjects]]
            pattern = "shop.cart.*.typing"
            delivery = "live"
            [[subjects]]
            pattern = "shop.price.*"
            delivery = "latest"
            stream = "PRICES"
            [[subjects]]
            pattern = "shop.cart.>"
            delivery = "durable"
            stream = "SHOP"
        "#;
        let source = SettingsFile { origin: "test".into(), text: text.into() };
        Classes::of(&load(Some(&source), [], &Default::default()).expect("it parses")).expect("patterns")
    }

    #[test]
    fn the_first_rule_that_matches_holds_and_without_one_it_is_live() {
        let rows = [
            ("shop.cart.u1", Class::Stored(StreamIndex(0))),
            ("shop.cart.u1.typing", Class::Live),
            ("shop.price.a", Class::Stored(StreamIndex(1))),
            ("shop.order.1", Class::Live),
            ("other", Class::Live),
        ];
        let classes = classes();
        for (subject, expected) in rows {
            assert_eq!(classes.class(&Subject::parse(subject).expect(subject)), expected, "{subject}");
        }
        assert_eq!(classes.delivery(StreamIndex(0)), Delivery::Durable);
        assert_eq!(classes.delivery(StreamIndex(1)), Delivery::Latest);
    }

    #[test]
    fn a_pattern_reaches_every_class_that_one_of_its_subjects_has() {
        let rows: [(&str, bool, &[usize]); 7] = [
            ("shop.cart.u1", false, &[0]),
            ("shop.cart.u1.>", true, &[0]),
            ("shop.cart.u1.typing", true, &[]),
            ("shop.>", true, &[0, 1]),
            ("shop.price.*", false, &[1]),
            ("shop.price.a", false, &[1]),
            ("other.*", true, &[]),
        ];
        let classes = classes();
        for (pattern, live, streams) in rows {
            let reach = classes.reach(&Pattern::parse(pattern).expect(pattern));
            let streams: Vec<_> = streams.iter().map(|place| StreamIndex(*place)).collect();
            assert_eq!(reach, Reach { live, streams }, "{pattern}");
        }
    }

    #[test]
    fn what_streams_republish_is_told_apart() {
        let classes = classes();
        for (pattern, expected) in [("ntf.SHOP.a", true), ("ntf.PRICES.>", true), ("ntf.>", false), (">", false)] {
            assert_eq!(classes.is_republished(&Pattern::parse(pattern).expect(pattern)), expected, "{pattern}");
        }
        assert!(classes.republishes(&Subject::parse("ntf.SHOP.shop.cart.u1").expect("a subject")));
        assert!(!classes.republishes(&Subject::parse("shop.cart.u1").expect("a subject")));
    }
}
