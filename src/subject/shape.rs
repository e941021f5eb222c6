//! The shape of a pattern: how many tokens it has, and which of them are
//! wildcards. For one subject at most one pattern of a shape matches, and the
//! subject says which that is.

/// Wildcards of a pattern. Two patterns of one shape differ only in tokens that
/// are not wildcards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// A bit for each token that is `*`, the first token lowest.
    stars: u32,
    /// How many tokens, a final `>` included.
    tokens: u8,
    /// Whether the last one is `>`.
    tail: bool,
}

impl Shape {
    /// The shape of a pattern with a wildcard; nothing for a subject.
    pub(crate) fn of(pattern: &str) -> Option<Self> {
        let mut shape = Self { stars: 0, tokens: 0, tail: false };
        for token in pattern.split('.') {
            match token {
                "*" => shape.stars |= 1 << shape.tokens,
                ">" => shape.tail = true,
                _ => {}
            }
            shape.tokens += 1;
        }
        (shape.stars != 0 || shape.tail).then_some(shape)
    }

    /// Writes the one pattern of this shape that matches a subject of `tokens`
    /// tokens; false where none does.
    pub(crate) fn write(self, subject: &str, tokens: usize, pattern: &mut String) -> bool {
        let own = usize::from(self.tokens);
        if tokens < own || (tokens > own && !self.tail) {
            return false;
        }
        pattern.clear();
        for (place, token) in subject.split('.').take(own - usize::from(self.tail)).enumerate() {
            pattern.push_str(if self.stars & (1 << place) == 0 { token } else { "*" });
            pattern.push('.');
        }
        if self.tail {
            pattern.push('>');
        } else {
            pattern.pop();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_is_where_the_wildcards_are() {
        let same = [("a.*", "b.*"), ("a.b.>", "c.d.>"), ("*.b.*.>", "*.c.*.>"), (">", ">"), ("*", "*")];
        for (one, other) in same {
            assert_eq!(Shape::of(one), Shape::of(other), "{one} {other}");
        }
        let others = ["*", ">", "a.*", "*.a", "*.*", "a.>", "*.>", "a.b.*", "a.*.b", "a.b.>", "a.*.>"];
        for (index, one) in others.iter().enumerate() {
            assert!(others[..index].iter().all(|other| Shape::of(other) != Shape::of(one)), "{one}");
        }
        assert_eq!((Shape::of("a"), Shape::of("a.b.c")), (None, None));
    }

    #[test]
    fn a_subject_says_which_pattern_of_a_shape_matches() {
        let rows = [
            ("x.*", "a.b", Some("a.*")),
            ("x.*", "a", None),
            ("x.*", "a.b.c", None),
            ("*.x.*", "a.b.c", Some("*.b.*")),
            (">", "a.b", Some(">")),
            ("x.>", "a.b.c", Some("a.>")),
            ("x.>", "a", None),
            ("*.x.>", "a.b.c.d", Some("*.b.>")),
            ("*", "a", Some("*")),
        ];
        for (of, subject, expected) in rows {
            let mut pattern = "left from before".to_owned();
            let shape = Shape::of(of).expect("a wildcard");
            let written = shape.write(subject, subject.split('.').count(), &mut pattern);
            assert_eq!(written.then_some(pattern.as_str()), expected, "{of} {subject}");
        }
    }
}
