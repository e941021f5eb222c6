//! The children of a node by token: a list while it is short, which most are,
//! and a map above. Free of I/O.

use std::{collections::HashMap, mem};

/// NodeMap that are looked through one after the other.
const FEW: usize = 8;

/// Nodes by token.
#[derive(Debug)]
pub(crate) enum NodeMap<N> {
    /// At most [`FEW`].
    Few(Vec<(Box<str>, N)>),
    /// More than half as many.
    #[expect(clippy::box_collection, reason = "most nodes have few children, and all are smaller so")]
    Many(Box<HashMap<Box<str>, N>>),
}

impl<N> Default for NodeMap<N> {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl<N> NodeMap<N> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Few(list) => list.len(),
            Self::Many(map) => map.len(),
        }
    }

    /// The child of this token.
    pub(crate) fn get(&self, token: &str) -> Option<&N> {
        match self {
            Self::Few(list) => list.iter().find(|(known, _)| **known == *token).map(|(_, child)| child),
            Self::Many(map) => map.get(token),
        }
    }

    /// The child of this token, to be changed.
    pub(crate) fn get_mut(&mut self, token: &str) -> Option<&mut N> {
        match self {
            Self::Few(list) => list.iter_mut().find(|(known, _)| **known == *token).map(|(_, child)| child),
            Self::Many(map) => map.get_mut(token),
        }
    }

    /// The child of this token, made where it is missing.
    pub(crate) fn grow(&mut self, token: &str, new: impl FnOnce() -> N) -> &mut N {
        if let Self::Few(list) = self
            && list.len() == FEW
            && self.get(token).is_none()
        {
            *self = Self::Many(Box::new(self.take().into_iter().collect()));
        }
        match self {
            Self::Few(list) => {
                let place = list.iter().position(|(known, _)| **known == *token).unwrap_or(list.len());
                if place == list.len() {
                    list.reserve_exact(1);
                    list.push((token.into(), new()));
                }
                &mut list[place].1
            }
            Self::Many(map) => map.entry(token.into()).or_insert_with(new),
        }
    }

    /// Removes the child of this token.
    pub(crate) fn remove(&mut self, token: &str) {
        match self {
            Self::Few(list) => {
                list.retain(|(known, _)| **known != *token);
                list.shrink_to_fit();
            }
            Self::Many(map) => {
                map.remove(token);
                if map.len() <= FEW / 2 {
                    *self = Self::Few(self.take());
                } else if map.len() < map.capacity() / 4 {
                    map.shrink_to(map.len() * 2);
                }
            }
        }
    }

    /// Takes one out, with its token.
    pub(crate) fn pop(&mut self) -> Option<(Box<str>, N)> {
        let mut all = self.take();
        let one = all.pop();
        *self = Self::Few(all);
        one
    }

    fn take(&mut self) -> Vec<(Box<str>, N)> {
        match mem::take(self) {
            Self::Few(list) => list,
            Self::Many(map) => map.into_iter().collect(),
        }
    }

    /// Every child with its token, in no order.
    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &N)> {
        let (list, map) = match self {
            Self::Few(list) => (Some(list), None),
            Self::Many(map) => (None, Some(map)),
        };
        let listed = list.into_iter().flatten().map(|(token, child)| (&**token, child));
        listed.chain(map.into_iter().flat_map(|map| map.iter()).map(|(token, child)| (&**token, child)))
    }

    /// Bytes on the heap, `each` those of a child; an allocation takes some more.
    #[cfg(test)]
    pub(crate) fn heap(&self, allocation: usize, each: impl Fn(&N) -> usize) -> usize {
        let own = match self {
            Self::Few(list) if list.capacity() == 0 => 0,
            Self::Few(list) => list.capacity() * size_of::<(Box<str>, N)>() + allocation,
            Self::Many(map) => {
                // Seven eighths of a map's places are used at most, and each has a byte beside it.
                let places = (map.capacity() * 8 / 7).next_power_of_two();
                places * (size_of::<(Box<str>, N)>() + 1) + size_of::<HashMap<Box<str>, N>>() + 2 * allocation
            }
        };
        own + self.iter().map(|(token, child)| token.len() + allocation + each(child)).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_as_many_as_were_added_and_a_map_does_not_stay_large() {
        let mut children = NodeMap::<u32>::default();
        for number in 0..1_000 {
            assert_eq!(*children.grow(&number.to_string(), || number), number);
            assert_eq!(*children.grow(&number.to_string(), || 0), number, "it is there already");
            assert_eq!(children.len(), number as usize + 1);
        }
        for number in 0..1_000 {
            assert_eq!(children.get(&number.to_string()), Some(&number));
            children.remove(&number.to_string());
            let left = 999 - number as usize;
            assert_eq!((children.get(&number.to_string()), children.iter().count()), (None, left));
            if let NodeMap::Many(map) = &children {
                // A map has more room than it is asked for, up to twice as much.
                assert!(map.capacity() <= 8 * left + 8, "room for {}, {left} children", map.capacity());
            }
        }
        assert_eq!((children.len(), children.heap(16, |_| 0)), (0, 0));
    }
}
