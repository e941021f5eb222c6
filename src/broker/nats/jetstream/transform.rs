//! Streams that store events under other subjects than those they are published
//! on. Subscribers get a stored event by the subject that it is stored under.
//! Free of I/O.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::subject::Pattern;

/// A transform of subjects, as JetStream writes it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Transform {
    /// The subjects that are transformed; empty: all.
    #[serde(default, rename = "src")]
    source: String,
    /// The subjects that they become.
    #[serde(default, rename = "dest")]
    destination: String,
}

impl Transform {
    /// As people write it.
    pub(crate) fn shown(&self) -> String {
        format!("`{}` to `{}`", self.source(), self.destination)
    }

    /// Whether some event that is published on one of these subjects may be
    /// stored under none of them.
    pub(crate) fn takes_away(&self, subjects: &[Pattern]) -> bool {
        // A source that cannot be read may cover everything.
        let taken = Pattern::parse(self.source())
            .map_or(true, |source| subjects.iter().any(|subject| subject.overlaps(&source)));
        taken && !self.stays_within(subjects)
    }

    /// Whether everything is stored under one of these subjects.
    fn stays_within(&self, subjects: &[Pattern]) -> bool {
        let stored = self.stored();
        self.destination == self.source()
            || stored.is_some_and(|stored| subjects.iter().any(|subject| subject.covers(&stored)))
    }

    fn source(&self) -> &str {
        if self.source.is_empty() { ">" } else { &self.source }
    }

    /// All that it stores under, where that can be told: what stands for a token
    /// is some token. Functions that make several tokens of one cannot be told.
    fn stored(&self) -> Option<Pattern> {
        let token = |token: &str| {
            let several = ["split", "Split", "slice", "Slice"].iter().any(|name| token.contains(name));
            let stands_for_one = token.contains("{{") || token.starts_with('$');
            (!several).then(|| if stands_for_one { "*".to_owned() } else { token.to_owned() })
        };
        let tokens: Vec<String> = tokens(&self.destination).into_iter().map(token).collect::<Option<_>>()?;
        Pattern::parse(&tokens.join(".")).ok()
    }
}

/// The tokens of a destination; a function's arguments may hold dots.
fn tokens(destination: &str) -> Vec<&str> {
    let (mut tokens, mut begin, mut depth) = (Vec::new(), 0, 0_usize);
    for (at, character) in destination.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            '.' if depth == 0 => {
                tokens.push(&destination[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    tokens.push(&destination[begin..]);
    tokens
}

/// Remarks on a stream that takes in events of others, by its `sources`: events that it stores
/// under subjects that the configuration does not name for it are there, and reach nobody.
pub(crate) fn notes(sources: Option<&Value>, subjects: &[Pattern]) -> Vec<String> {
    let sources = sources.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut notes = Vec::new();
    for source in sources {
        let name = source["name"].as_str().unwrap_or_default();
        let transforms = Vec::<Transform>::deserialize(&source["subject_transforms"]).unwrap_or_default();
        for transform in transforms.iter().filter(|transform| !transform.stays_within(subjects)) {
            notes.push(format!(
                "source {name} stores {}, which no subject of the configuration covers; such events are stored and \
                 never relayed (notifier_unserved_total): add the subject, or correct the source",
                transform.shown()
            ));
        }
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transform(source: &str, destination: &str) -> Transform {
        Transform { source: source.into(), destination: destination.into() }
    }

    fn patterns(texts: &[&str]) -> Vec<Pattern> {
        texts.iter().map(|text| Pattern::parse(text).expect("a pattern")).collect()
    }

    #[test]
    fn a_transform_takes_away_what_it_stores_elsewhere() {
        let subjects = patterns(&["shop.cart.>", "shop.order.*"]);
        let rows = [
            ("shop.cart.>", "archive.>", true),
            ("", "archive.>", true),
            (">", "archive.>", true),
            ("shop.*.u1", "x.{{wildcard(1)}}", true),
            ("shop.cart.*", "shop.{{wildcard(1)}}", true),
            ("shop.order.*", "shop.order.$1", false),
            ("shop.order.*", "shop.order.{{partition(5,1)}}", false),
            ("shop.order.*", "shop.cart.{{wildcard(1)}}.{{partition(5,1)}}", false),
            // Several tokens, of which nobody knows how many.
            ("shop.order.*", "shop.order.{{split(1,-)}}", true),
            ("shop.cart.>", "shop.cart.v2.>", false),
            (">", ">", false),
            // Nothing of ours is transformed, whatever becomes of it.
            ("in.>", "out.>", false),
            ("in.>", "shop.cart.>", false),
            ("a..b", "archive.>", true),
        ];
        for (source, destination, expected) in rows {
            assert_eq!(transform(source, destination).takes_away(&subjects), expected, "{source} {destination}");
        }
    }

    #[test]
    fn dots_within_a_function_end_no_token() {
        assert_eq!(tokens("a.{{split(1,.)}}.b"), ["a", "{{split(1,.)}}", "b"]);
        assert_eq!(tokens("a"), ["a"]);
    }
}
