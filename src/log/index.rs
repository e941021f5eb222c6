//! Which sequences each subject has: a tree by token, so that a pattern finds
//! its subjects among a hundred thousand without a look at the others. Free of I/O.

use std::ops::ControlFlow;

use crate::{
    log::{children::Children, seqs::Seqs},
    subject::{Pattern, Subject},
};

/// Sequences by subject.
#[derive(Debug, Default)]
pub(crate) struct Index {
    root: Node,
}

#[derive(Debug, Default)]
struct Node {
    children: Children<Node>,
    /// Events of exactly this subject.
    here: Seqs,
    /// No event here or below is newer: a walk for what came later passes by.
    newest: u64,
}

impl Index {
    /// Adds a sequence above all others. Where its subject then has more than
    /// `most`, the oldest of them goes and is returned.
    pub(crate) fn add(&mut self, subject: &Subject, seq: u64, most: usize) -> Option<u64> {
        let mut node = &mut self.root;
        node.newest = seq;
        for token in subject.as_str().split('.') {
            node = node.children.grow(token);
            node.newest = seq;
        }
        node.here.push(seq, most)
    }

    /// Removes a sequence of this subject, and the nodes that nothing needs any more.
    pub(crate) fn remove(&mut self, subject: &Subject, seq: u64) {
        remove(&mut self.root, Some(subject.as_str()), seq);
    }

    /// The sequences of a subject.
    pub(crate) fn of(&self, subject: &Subject) -> Option<&Seqs> {
        subject.as_str().split('.').try_fold(&self.root, |node, token| node.children.get(token)).map(|node| &node.here)
    }

    /// Whether there is no subject.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.root.children.is_empty()
    }

    /// Calls `found` with every subject that matches and may have an event after
    /// `after`, in no order. Breaks off when `found` does, or when wildcards have
    /// led to more nodes than `visits`, which counts down.
    pub(crate) fn walk<'a>(
        &'a self,
        pattern: &Pattern,
        after: u64,
        visits: &mut usize,
        mut found: impl FnMut(&'a Seqs) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        walk(&self.root, Some(pattern.as_str()), after, visits, &mut found)
    }
}

/// The first token, and what follows.
fn split(text: &str) -> (&str, Option<&str>) {
    text.split_once('.').map_or((text, None), |(token, rest)| (token, Some(rest)))
}

fn remove(node: &mut Node, rest: Option<&str>, seq: u64) {
    let Some(text) = rest else {
        return node.here.remove(seq);
    };
    let (token, rest) = split(text);
    if let Some(child) = node.children.get_mut(token) {
        remove(child, rest, seq);
        if child.here.is_empty() && child.children.is_empty() {
            node.children.remove(token);
        }
    }
}

fn walk<'a>(
    node: &'a Node,
    rest: Option<&str>,
    after: u64,
    visits: &mut usize,
    found: &mut impl FnMut(&'a Seqs) -> ControlFlow<()>,
) -> ControlFlow<()> {
    if node.newest <= after {
        return ControlFlow::Continue(());
    }
    let Some(text) = rest else {
        return if node.here.is_empty() { ControlFlow::Continue(()) } else { found(&node.here) };
    };
    match split(text) {
        (">", _) => below(node, after, visits, found),
        ("*", rest) => node.children.iter().try_for_each(|child| {
            visit(visits)?;
            walk(child, rest, after, visits, found)
        }),
        (token, rest) => match node.children.get(token) {
            Some(child) => walk(child, rest, after, visits, found),
            None => ControlFlow::Continue(()),
        },
    }
}

/// Everything under a node, without the node.
fn below<'a>(
    node: &'a Node,
    after: u64,
    visits: &mut usize,
    found: &mut impl FnMut(&'a Seqs) -> ControlFlow<()>,
) -> ControlFlow<()> {
    node.children.iter().try_for_each(|child| {
        visit(visits)?;
        walk(child, None, after, visits, found)?;
        below(child, after, visits, found)
    })
}

fn visit(visits: &mut usize) -> ControlFlow<()> {
    match visits.checked_sub(1) {
        Some(left) => *visits = left,
        None => return ControlFlow::Break(()),
    }
    ControlFlow::Continue(())
}
