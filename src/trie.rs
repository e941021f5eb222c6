//! Values by pattern, looked up by subject: one descent through the tokens
//! instead of a comparison with every pattern. Tokens between two branches
//! stand in one node, so that a pattern adds two nodes at most, whatever its
//! length.

mod node_map;

use std::mem;

use crate::{
    effort,
    subject::{Pattern, Subject},
};
use node_map::NodeMap;

/// Values by pattern. A lookup visits at most the nodes that share a prefix
/// with the subject, whatever the number of patterns.
#[derive(Debug)]
pub struct Trie<V> {
    /// Its run is empty.
    root: TrieNode<V>,
}

#[derive(Debug)]
struct TrieNode<V> {
    /// Tokens that follow without a branch, joined by dots; `*` is one of them.
    run: Box<str>,
    /// Values of patterns that end behind the run.
    here: Vec<V>,
    /// Values of patterns that end there with `>`.
    tail: Vec<V>,
    /// The node behind `*`.
    any: Option<Box<TrieNode<V>>>,
    /// The nodes behind other tokens.
    children: NodeMap<TrieNode<V>>,
}

impl<V> Default for Trie<V> {
    fn default() -> Self {
        Self { root: TrieNode::new("") }
    }
}

impl<V> Trie<V> {
    /// Adds a value under a pattern; equal values may stand there twice.
    pub fn insert(&mut self, pattern: &Pattern, value: V) {
        let (tokens, tail) = split_tail(pattern);
        let values = self.root.grow(tokens).values(tail);
        if values.is_empty() {
            // Nearly every pattern has one.
            values.reserve_exact(1);
        }
        values.push(value);
    }

    /// Removes the values under exactly this pattern for which `gone` says so,
    /// and the nodes that nothing needs any more.
    pub fn remove(&mut self, pattern: &Pattern, mut gone: impl FnMut(&V) -> bool) {
        let (tokens, tail) = split_tail(pattern);
        self.root.remove(tokens, tail, &mut gone);
    }

    /// Calls `found` with every value whose pattern matches the subject.
    pub fn each<'a>(&'a self, subject: &Subject, found: impl FnMut(&'a V)) {
        self.each_within(subject, &mut { usize::MAX }, found);
    }

    /// The same, but breaks off where it would visit more nodes than `visits`,
    /// which counts down; false then.
    pub fn each_within<'a>(&'a self, subject: &Subject, visits: &mut usize, mut found: impl FnMut(&'a V)) -> bool {
        self.root.each(subject.as_str(), visits, &mut found)
    }

    /// A value that fits, of those whose patterns cover this one; close ones
    /// are asked first.
    pub fn covering(&self, pattern: &Pattern, mut fits: impl FnMut(&V) -> bool) -> Option<&V> {
        let (tokens, tail) = split_tail(pattern);
        self.root.covering(tokens, tail, &mut fits)
    }

    /// Whether no pattern is left.
    pub fn is_empty(&self) -> bool {
        self.root.is_empty()
    }
}

impl<V> TrieNode<V> {
    fn new(run: &str) -> Self {
        Self { run: run.into(), here: Vec::new(), tail: Vec::new(), any: None, children: NodeMap::default() }
    }

    fn is_empty(&self) -> bool {
        self.is_free() && self.any.is_none() && self.children.len() == 0
    }

    /// Whether no pattern ends here.
    fn is_free(&self) -> bool {
        self.here.is_empty() && self.tail.is_empty()
    }

    fn values(&mut self, tail: bool) -> &mut Vec<V> {
        if tail { &mut self.tail } else { &mut self.here }
    }

    /// The node in which these tokens end, made where it is missing.
    fn grow(&mut self, mut tokens: &str) -> &mut Self {
        let mut node = self;
        loop {
            let alike = alike(&node.run, tokens);
            if alike < node.run.len() {
                node.split(alike);
            }
            tokens = behind(tokens, alike);
            if tokens.is_empty() {
                return node;
            }
            let (token, rest) = first(tokens);
            node = match token {
                "*" => node.any.get_or_insert_with(|| Box::new(Self::new(rest))),
                token => node.children.grow(token, || Self::new(rest)),
            };
            tokens = rest;
        }
    }

    /// Makes a branch behind the first `at` bytes of the run.
    fn split(&mut self, at: usize) {
        let upper = Self::new(&self.run[..at]);
        let mut lower = mem::replace(self, upper);
        let run = mem::take(&mut lower.run);
        let (token, rest) = first(behind(&run, at));
        lower.run = rest.into();
        if token == "*" {
            self.any = Some(Box::new(lower));
        } else {
            self.children.grow(token, || lower);
        }
    }

    /// Takes the only node that follows into its own run, where no pattern ends here.
    fn join(&mut self) {
        if !self.is_free() || usize::from(self.any.is_some()) + self.children.len() != 1 {
            return;
        }
        let only = self.any.take().map(|any| ("*".into(), *any)).or_else(|| self.children.pop());
        let Some((token, lower)) = only else { return };
        let runs = [&*self.run, &*token, &*lower.run];
        let run = runs.into_iter().filter(|run| !run.is_empty()).collect::<Vec<_>>().join(".");
        *self = Self { run: run.into(), ..lower };
    }

    fn remove(&mut self, tokens: &str, tail: bool, gone: &mut impl FnMut(&V) -> bool) {
        let alike = alike(&self.run, tokens);
        if alike < self.run.len() {
            return;
        }
        let tokens = behind(tokens, alike);
        if tokens.is_empty() {
            let values = self.values(tail);
            values.retain(|value| !gone(value));
            if values.len() <= values.capacity() / 4 {
                values.shrink_to(values.len() * 2);
            }
            return;
        }
        let (token, rest) = first(tokens);
        let child = if token == "*" { self.any.as_deref_mut() } else { self.children.get_mut(token) };
        let Some(child) = child else { return };
        child.remove(rest, tail, gone);
        if !child.is_empty() {
            child.join();
        } else if token == "*" {
            self.any = None;
        } else {
            self.children.remove(token);
        }
    }

    fn each<'a>(&'a self, tokens: &str, visits: &mut usize, found: &mut impl FnMut(&'a V)) -> bool {
        let Some(left) = visits.checked_sub(1) else { return false };
        *visits = left;
        effort::step();
        let Some(tokens) = self.pass(tokens) else { return true };
        if tokens.is_empty() {
            self.here.iter().for_each(found);
            return true;
        }
        self.tail.iter().for_each(&mut *found);
        let (token, rest) = first(tokens);
        let mut children = self.children.get(token).into_iter().chain(self.any.as_deref());
        children.all(|child| child.each(rest, visits, found))
    }

    fn covering(&self, tokens: &str, tail: bool, fits: &mut impl FnMut(&V) -> bool) -> Option<&V> {
        effort::step();
        let tokens = self.pass(tokens)?;
        if tokens.is_empty() {
            let values = if tail { &self.tail } else { &self.here };
            return values.iter().find(|value| fits(value));
        }
        let (token, rest) = first(tokens);
        let mut children = self.children.get(token).into_iter().chain(self.any.as_deref());
        let found = children.find_map(|child| child.covering(rest, tail, fits));
        found.or_else(|| self.tail.iter().find(|value| fits(value)))
    }

    /// The tokens of a subject or pattern that come behind the run; none where the run does not
    /// match.
    fn pass<'t>(&self, mut tokens: &'t str) -> Option<&'t str> {
        if self.run.is_empty() {
            return Some(tokens);
        }
        if let Some(rest) = tokens.strip_prefix(&*self.run) {
            // Token by token the same: where a pattern is asked for, `*` covers `*`.
            return if rest.is_empty() { Some(rest) } else { rest.strip_prefix('.') };
        }
        for wanted in self.run.split('.') {
            let (token, rest) = first(tokens);
            if token.is_empty() || (wanted != "*" && wanted != token) {
                return None;
            }
            tokens = rest;
        }
        Some(tokens)
    }
}

/// The tokens of a pattern, and whether `>` follows them.
fn split_tail(pattern: &Pattern) -> (&str, bool) {
    match pattern.as_str() {
        ">" => ("", true),
        text => text.strip_suffix(".>").map_or((text, false), |tokens| (tokens, true)),
    }
}

/// The first token, and what follows it.
fn first(tokens: &str) -> (&str, &str) {
    match tokens.bytes().position(|byte| byte == b'.') {
        Some(dot) => (&tokens[..dot], &tokens[dot + 1..]),
        None => (tokens, ""),
    }
}

/// Bytes of the whole tokens that a run and others begin with alike.
fn alike(run: &str, tokens: &str) -> usize {
    let pairs = run.split('.').zip(tokens.split('.'));
    let bytes: usize = pairs.take_while(|(one, other)| one == other).map(|(token, _)| token.len() + 1).sum();
    bytes.saturating_sub(1)
}

/// The tokens behind the whole tokens that take `bytes` bytes.
fn behind(tokens: &str, bytes: usize) -> &str {
    match bytes {
        0 => tokens,
        bytes => tokens.get(bytes + 1..).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::subject::strategies::{pattern, subject};

    /// The most that an allocation takes beyond its bytes.
    const ALLOCATION: usize = 16;

    /// Bytes on the heap.
    fn heap<V>(node: &TrieNode<V>) -> usize {
        let list = |capacity: usize| if capacity == 0 { 0 } else { capacity * size_of::<V>() + ALLOCATION };
        let run = if node.run.is_empty() { 0 } else { node.run.len() + ALLOCATION };
        let any = node.any.as_ref().map_or(0, |any| size_of::<TrieNode<V>>() + ALLOCATION + heap(any));
        run + list(node.here.capacity()) + list(node.tail.capacity()) + any + node.children.heap(ALLOCATION, heap)
    }

    /// Makes a pattern of a number.
    type Numbered<'t> = Box<dyn Fn(usize) -> Pattern + 't>;

    fn parse(text: &str) -> Pattern {
        Pattern::parse(text).expect(text)
    }

    /// As many bytes as a subject may have, where each token has some.
    const LONG: &str = "aaaaaaa";

    #[test]
    fn a_subscription_of_32_tokens_takes_at_most_1_kb_however_they_overlap() {
        let tokens = |change: &dyn Fn(usize) -> Option<String>| -> Pattern {
            parse(&(0..32).map(|place| change(place).unwrap_or_else(|| LONG.into())).collect::<Vec<_>>().join("."))
        };
        let rows: [(&str, Numbered<'_>); 5] = [
            (
                "alike up to the last token",
                Box::new(|number| tokens(&|place| (place == 31).then(|| format!("{number:07}")))),
            ),
            (
                "alike from the second token on",
                Box::new(|number| tokens(&|place| (place == 0).then(|| format!("{number:07}")))),
            ),
            (
                "a branch at each token",
                Box::new(|number| tokens(&|place| (place == number % 32).then(|| format!("{number:07}")))),
            ),
            (
                "wildcards anywhere",
                Box::new(|number| {
                    tokens(&|place| ((number.wrapping_mul(0x9e37_79b9) >> (place % 29)) % 2 == 0).then(|| "*".into()))
                }),
            ),
            (
                "as long as it is deep",
                Box::new(|number| {
                    let text = tokens(&|place| (place == number % 30).then(|| format!("{number:07}"))).to_string();
                    parse(&format!("{}.>", &text[..(number % 30 + 1) * 8 + 7]))
                }),
            ),
        ];
        for (name, pattern) in &rows {
            for count in [1, 2, 9, 512, 20_000] {
                let mut trie = Trie::default();
                for number in 0..count {
                    trie.insert(&pattern(number), number as u64);
                }
                let each = heap(&trie.root) / count;
                assert!(each <= 1_024, "{name}: {each} bytes each of {count}");
                for number in 0..count {
                    trie.remove(&pattern(number), |value| *value == number as u64);
                }
                assert_eq!((trie.is_empty(), heap(&trie.root)), (true, 0), "{name}");
            }
        }
    }

    /// All nodes, in an order of their own.
    fn shape(node: &TrieNode<usize>) -> String {
        let mut children: Vec<_> =
            node.children.iter().map(|(token, child)| format!("{token} {}", shape(child))).collect();
        children.sort();
        let any = node.any.as_ref().map(|any| shape(any));
        format!("({} {:?} {:?} {any:?} {children:?})", node.run, node.here, node.tail)
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
                let (found, visits) = effort::of(|| {
                    let mut within = Vec::new();
                    let whole = trie.each_within(subject, &mut { usize::MAX }, |index| within.push(*index));
                    prop_assert!(whole);
                    within.sort_unstable();
                    prop_assert_eq!(&within, &found);
                    Ok(found)
                });
                prop_assert_eq!(found?, scanned);
                for most in 0..visits + 2 {
                    let whole = trie.each_within(subject, &mut { most }, |_| ());
                    prop_assert_eq!(whole, most >= visits);
                }
            }
            for asked in &patterns {
                let mut found = Vec::new();
                prop_assert_eq!(trie.covering(asked, |index| { found.push(*index); false }), None);
                found.sort_unstable();
                let scanned: Vec<usize> = (0..patterns.len())
                    .filter(|&index| !removed[index] && patterns[index].covers(asked))
                    .collect();
                prop_assert_eq!(trie.covering(asked, |_| true).is_some(), !scanned.is_empty());
                prop_assert_eq!(found, scanned);
            }
            for (index, pattern) in patterns.iter().enumerate() {
                trie.remove(pattern, |value| *value == index);
            }
            prop_assert!(trie.is_empty());
        }

        #[test]
        fn a_trie_from_which_patterns_were_removed_is_as_one_that_never_had_them(
            patterns in prop::collection::vec(pattern(), 0..40),
            removed in prop::collection::vec(any::<bool>(), 40),
        ) {
            let (mut trie, mut never) = (Trie::default(), Trie::default());
            for (index, pattern) in patterns.iter().enumerate() {
                trie.insert(pattern, index);
                if !removed[index] {
                    never.insert(pattern, index);
                }
            }
            for (index, pattern) in patterns.iter().enumerate() {
                if removed[index] {
                    trie.remove(pattern, |value| *value == index);
                }
            }
            prop_assert_eq!(shape(&trie.root), shape(&never.root));
            for pattern in &patterns {
                trie.remove(pattern, |_| true);
            }
            prop_assert_eq!(heap(&trie.root), 0);
        }
    }
}
