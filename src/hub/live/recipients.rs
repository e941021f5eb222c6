//! The topics that one feed brings events to, found by the subject of an event.

use std::{collections::HashMap, sync::Arc};

use slab::Slab;

use crate::{
    hub::live::topic::Topic,
    subject::{Pattern, Subject},
    trie::Trie,
};

/// A topic that gets events of a feed.
#[derive(Clone, Debug)]
pub(crate) struct Recipient {
    pub(crate) topic: Arc<Topic>,
    /// Its number in the hand-over that the feed takes part in, if it does too.
    pub(crate) number: Option<u32>,
}

/// Topics by their patterns.
#[derive(Debug, Default)]
pub(crate) struct Recipients {
    all: Slab<Recipient>,
    /// Patterns without a wildcard, which are nearly all: one look each.
    literal: HashMap<Subject, usize>,
    wild: Trie<usize>,
}

impl Recipients {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// Adds one; its pattern is that of no other.
    pub(crate) fn add(&mut self, recipient: Recipient) {
        let pattern = recipient.topic.pattern().clone();
        let key = self.all.insert(recipient);
        match pattern.literal() {
            Some(subject) => drop(self.literal.insert(subject, key)),
            None => self.wild.insert(&pattern, key),
        }
    }

    /// Removes the one with this pattern, if it is there.
    pub(crate) fn remove(&mut self, pattern: &Pattern) {
        let mut key = None;
        match pattern.literal() {
            Some(subject) => key = self.literal.remove(&subject),
            None => self.wild.remove(pattern, |one| {
                key = Some(*one);
                true
            }),
        }
        key.into_iter().for_each(|key| drop(self.all.remove(key)));
    }

    /// Removes those for which `gone` says so.
    pub(crate) fn take(&mut self, gone: impl Fn(&Recipient) -> bool) -> Vec<Recipient> {
        let taken: Vec<_> = self.all.iter().map(|(_, recipient)| recipient).filter(|one| gone(one)).cloned().collect();
        taken.iter().for_each(|recipient| self.remove(recipient.topic.pattern()));
        taken
    }

    /// Calls `found` with each whose pattern matches the subject, and its key.
    pub(crate) fn each(&self, subject: &Subject, mut found: impl FnMut(usize, &Recipient)) {
        self.literal.get(subject).into_iter().for_each(|key| found(*key, &self.all[*key]));
        if !self.wild.is_empty() {
            self.wild.each(subject, |key| found(*key, &self.all[*key]));
        }
    }

    pub(crate) fn get(&self, key: usize) -> Option<&Recipient> {
        self.all.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: usize) -> Option<&mut Recipient> {
        self.all.get_mut(key)
    }

    /// All of them, with their keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &Recipient)> {
        self.all.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut Recipient)> {
        self.all.iter_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_finds_the_topics_whose_patterns_match_its_subject() {
        let mut recipients = Recipients::default();
        let patterns = ["a.>", "a.b", "a.*", "a.*.c", "a.c"];
        for pattern in patterns {
            let topic = Arc::new(Topic::new(Pattern::parse(pattern).expect("a pattern"), true));
            recipients.add(Recipient { topic, number: None });
        }
        let of = |recipients: &Recipients, subject: &str| {
            let mut found = Vec::new();
            recipients.each(&Subject::parse(subject).expect("a subject"), |key, recipient| {
                assert!(Arc::ptr_eq(&recipient.topic, &recipients.get(key).expect("it is there").topic));
                found.push(recipient.topic.pattern().to_string());
            });
            found.sort_unstable();
            found
        };
        assert_eq!(of(&recipients, "a.b"), ["a.*", "a.>", "a.b"]);
        assert_eq!(of(&recipients, "a.b.c"), ["a.*.c", "a.>"]);
        assert_eq!(of(&recipients, "b"), Vec::<String>::new());
        for gone in ["a.b", "a.>", "a.b", "nobody.*"] {
            recipients.remove(&Pattern::parse(gone).expect("a pattern"));
        }
        assert_eq!(of(&recipients, "a.b"), ["a.*"]);
        assert_eq!(recipients.len(), 3);
    }
}
