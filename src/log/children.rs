//! What stands under a node, by token. Most nodes have one child or none, and
//! a map for each of them would be most of the memory of an index. Free of I/O.

use std::collections::HashMap;

/// A map shrinks when it fills less than a quarter of more than this many places.
const SPARE: usize = 64;

/// Nodes by token.
#[derive(Debug, Default)]
pub(crate) struct Children<N> {
    /// The first to come, for as long as it is here.
    first: Option<Box<(Box<str>, N)>>,
    /// All others.
    #[expect(clippy::box_collection, reason = "nearly every node has none, and it is six times smaller so")]
    others: Option<Box<HashMap<Box<str>, N>>>,
}

impl<N: Default> Children<N> {
    /// The child of this token.
    pub(crate) fn get(&self, token: &str) -> Option<&N> {
        match &self.first {
            Some(first) if *first.0 == *token => Some(&first.1),
            _ => self.others.as_ref()?.get(token),
        }
    }

    /// The child of this token, to be changed.
    pub(crate) fn get_mut(&mut self, token: &str) -> Option<&mut N> {
        match &mut self.first {
            Some(first) if *first.0 == *token => Some(&mut first.1),
            _ => self.others.as_mut()?.get_mut(token),
        }
    }

    /// The child of this token, which begins here when there is none.
    pub(crate) fn grow(&mut self, token: &str) -> &mut N {
        let alone = self.others.is_none();
        if self.first.as_ref().map_or(alone, |first| *first.0 == *token) {
            return &mut self.first.get_or_insert_with(|| Box::new((token.into(), N::default()))).1;
        }
        self.others.get_or_insert_default().entry(token.into()).or_default()
    }

    /// Removes the child of this token.
    pub(crate) fn remove(&mut self, token: &str) {
        if self.first.take_if(|first| *first.0 == *token).is_some() {
            return;
        }
        if let Some(others) = &mut self.others {
            others.remove(token);
            if others.is_empty() {
                self.others = None;
            } else if others.capacity() > SPARE && others.len() < others.capacity() / 4 {
                others.shrink_to(others.len() * 2);
            }
        }
    }

    /// Every child, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &N> {
        let first = self.first.iter().map(|first| &first.1);
        first.chain(self.others.iter().flat_map(|others| others.values()))
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none() && self.others.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_that_was_large_once_does_not_stay_so() {
        let mut children = Children::<u32>::default();
        for number in 0..1_000 {
            *children.grow(&number.to_string()) = number;
        }
        for number in 0..1_000 {
            children.remove(&number.to_string());
            assert_eq!((children.get(&number.to_string()), children.iter().count()), (None, 999 - number as usize));
            if let Some(others) = &children.others {
                let (length, capacity) = (others.len(), others.capacity());
                // A map has more room than it is asked for, up to twice as much.
                assert!(capacity <= SPARE || capacity <= 8 * length + 8, "room for {capacity}, {length} children");
            }
        }
        assert!(children.is_empty());
    }
}
