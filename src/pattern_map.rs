//! Patterns of one holder, by shape: a subject finds those that match it by one
//! look-up for each shape, however many patterns there are and however nearly
//! the others match. The literature calls it tuple space search.

use std::collections::HashMap;

use crate::{
    effort,
    subject::{Pattern, Shape, Subject},
};

/// Values by pattern.
#[derive(Debug)]
pub struct PatternMap<V> {
    values: HashMap<Pattern, V>,
    /// Shapes of those with wildcards, each with how many have it.
    shapes: Vec<(Shape, usize)>,
}

impl<V> Default for PatternMap<V> {
    fn default() -> Self {
        Self { values: HashMap::new(), shapes: Vec::new() }
    }
}

impl<V> PatternMap<V> {
    /// Adds a value, in the place of the one that stood under this pattern.
    pub fn insert(&mut self, pattern: Pattern, value: V) {
        let shape = pattern.shape();
        if self.values.insert(pattern, value).is_some() {
            return;
        }
        let Some(shape) = shape else { return };
        match self.shapes.iter_mut().find(|(known, _)| *known == shape) {
            Some((_, patterns)) => *patterns += 1,
            None => self.shapes.push((shape, 1)),
        }
    }

    /// Removes what stands under exactly this pattern.
    pub fn remove(&mut self, pattern: &Pattern) {
        if self.values.remove(pattern).is_none() {
            return;
        }
        let Some(shape) = pattern.shape() else { return };
        if let Some(index) = self.shapes.iter().position(|(known, _)| *known == shape) {
            self.shapes[index].1 -= 1;
            if self.shapes[index].1 == 0 {
                self.shapes.swap_remove(index);
            }
        }
    }

    /// Those whose pattern matches the subject, in no order.
    pub fn matching(&self, subject: &Subject) -> impl Iterator<Item = (&Pattern, &V)> {
        let text = subject.as_str();
        let tokens = text.split('.').count();
        let mut pattern = String::new();
        let of_a_shape = self.shapes.iter().filter_map(move |(shape, _)| {
            effort::step();
            if !shape.write(text, tokens, &mut pattern) {
                return None;
            }
            self.values.get_key_value(pattern.as_str())
        });
        effort::step();
        self.values.get_key_value(text).into_iter().chain(of_a_shape)
    }

    /// Whether one of the patterns matches the subject.
    pub fn matches(&self, subject: &Subject) -> bool {
        self.matching(subject).next().is_some()
    }
}

impl<V> FromIterator<(Pattern, V)> for PatternMap<V> {
    fn from_iter<I: IntoIterator<Item = (Pattern, V)>>(patterns: I) -> Self {
        let mut map = Self::default();
        patterns.into_iter().for_each(|(pattern, value)| map.insert(pattern, value));
        map
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::subject::strategies::{pattern, subject};

    proptest! {
        #[test]
        fn it_finds_what_a_scan_of_all_patterns_finds_by_a_look_for_each_shape(
            patterns in prop::collection::vec(pattern(), 0..24),
            removed in prop::collection::vec(any::<bool>(), 24),
            subjects in prop::collection::vec(subject(), 1..8),
        ) {
            let mut map = PatternMap::default();
            let mut left = HashMap::new();
            for (index, pattern) in patterns.iter().enumerate() {
                map.insert(pattern.clone(), index);
                left.insert(pattern.clone(), index);
            }
            for (pattern, _) in patterns.iter().zip(&removed).filter(|(_, removed)| **removed) {
                map.remove(pattern);
                left.remove(pattern);
            }
            let shapes: std::collections::HashSet<_> = left.keys().filter_map(Pattern::shape).collect();
            for subject in &subjects {
                let found = || map.matching(subject).map(|(pattern, value)| (pattern.clone(), *value)).collect();
                let (found, steps): (HashMap<_, _>, _) = effort::of(found);
                let mut scanned = left.clone();
                scanned.retain(|pattern, _| pattern.matches(subject));
                prop_assert_eq!(map.matches(subject), !scanned.is_empty());
                prop_assert_eq!(found, scanned);
                prop_assert_eq!(steps, shapes.len() + 1);
            }
        }
    }
}
