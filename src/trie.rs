//! Which values stand under the patterns that match a subject: one descent
//! through the tokens instead of a comparison with every pattern.

use std::collections::HashMap;

use crate::subject::{Pattern, Subject};

/// Values by pattern. A lookup visits at most the nodes that share a prefix
/// with the subject, whatever the number of patterns.
#[derive(Debug)]
pub struct Trie<V> {
    root: Node<V>,
}

#[derive(Debug)]
struct Node<V> {
    children: HashMap<Box<str>, Node<V>>,
    /// Values of patterns that end here.
    here: Vec<V>,
    /// Values of patterns that end here with `>`.
    tail: Vec<V>,
}

impl<V> Default for Node<V> {
    fn default() -> Self {
        Self { children: HashMap::new(), here: Vec::new(), tail: Vec::new() }
    }
}

impl<V> Node<V> {
    fn is_empty(&self) -> bool {
        self.children.is_empty() && self.here.is_empty() && self.tail.is_empty()
    }
}

impl<V> Default for Trie<V> {
    fn default() -> Self {
        Self { root: Node::default() }
    }
}

impl<V> Trie<V> {
    /// Adds a value under a pattern; equal values may stand there twice.
    pub fn insert(&mut self, pattern: &Pattern, value: V) {
        let mut node = &mut self.root;
        for token in pattern.as_str().split('.') {
            if token == ">" {
                node.tail.push(value);
                return;
            }
            node = node.children.entry(token.into()).or_default();
        }
        node.here.push(value);
    }

    /// Removes the values under exactly this pattern for which `gone` says so,
    /// and the nodes that nothing needs any more.
    pub fn remove(&mut self, pattern: &Pattern, mut gone: impl FnMut(&V) -> bool) {
        remove(&mut self.root, pattern.as_str().split('.'), &mut gone);
    }

    /// Calls `found` with every value whose pattern matches the subject.
    pub fn each<'a>(&'a self, subject: &Subject, mut found: impl FnMut(&'a V)) {
        let tokens: Vec<&str> = subject.as_str().split('.').collect();
        each(&self.root, &tokens, &mut found);
    }

    /// Whether no pattern is left.
    pub fn is_empty(&self) -> bool {
        self.root.is_empty()
    }
}

fn remove<'t, V>(node: &mut Node<V>, mut tokens: impl Iterator<Item = &'t str>, gone: &mut impl FnMut(&V) -> bool) {
    match tokens.next() {
        None => node.here.retain(|value| !gone(value)),
        Some(">") => node.tail.retain(|value| !gone(value)),
        Some(token) => {
            if let Some(child) = node.children.get_mut(token) {
                // Boxed: the iterator's type would otherwise grow with each level.
                remove(child, &mut tokens as &mut dyn Iterator<Item = &'t str>, gone);
                if child.is_empty() {
                    node.children.remove(token);
                }
            }
        }
    }
}

fn each<'a, V>(node: &'a Node<V>, tokens: &[&str], found: &mut impl FnMut(&'a V)) {
    let Some((token, rest)) = tokens.split_first() else {
        node.here.iter().for_each(found);
        return;
    };
    node.tail.iter().for_each(&mut *found);
    for key in [*token, "*"] {
        if let Some(child) = node.children.get(key) {
            each(child, rest, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern() -> impl Strategy<Value = Pattern> {
        (prop::collection::vec(prop::sample::select(vec!["a", "b", "*"]), 0..4), any::<bool>()).prop_filter_map(
            "at least one token",
            |(mut tokens, tail)| {
                if tail {
                    tokens.push(">");
                }
                Pattern::parse(&tokens.join(".")).ok()
            },
        )
    }

    fn subject() -> impl Strategy<Value = Subject> {
        prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..5)
            .prop_map(|tokens| Subject::parse(&tokens.join(".")).expect("valid tokens"))
    }

    proptest! {
        #[test]
        fn the_trie_finds_what_a_scan_of_all_patterns_finds(
            patterns in prop::collection::vec(pattern(), 0..12),
            removed in prop::collection::vec(any::<bool>(), 12),
            subjects in prop::collection::vec(subject(), 1..8),
        ) {
            let mut trie = Trie::default();
            for (index, pattern) in patterns.iter().enumerate() {
                trie.insert(pattern, index);
            }
            for (index, pattern) in patterns.iter().enumerate() {
                if removed[index] {
                    trie.remove(pattern, |value| *value == index);
                }
            }
            prop_assert_eq!(trie.is_empty(), (0..patterns.len()).all(|index| removed[index]));
            for subject in &subjects {
                let mut found = Vec::new();
                trie.each(subject, |index| found.push(*index));
                found.sort_unstable();
                let scanned: Vec<usize> = (0..patterns.len())
                    .filter(|&index| !removed[index] && patterns[index].matches(subject))
                    .collect();
                prop_assert_eq!(found, scanned);
            }
            for (index, pattern) in patterns.iter().enumerate() {
                trie.remove(pattern, |value| *value == index);
            }
            prop_assert!(trie.is_empty());
        }
    }
}
