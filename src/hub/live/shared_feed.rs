//! A feed that brings the events of several topics: of its own pattern, and of
//! patterns which that covers.

use std::sync::Arc;

use crate::{
    event::Message,
    hub::live::{
        handover::{SharedHandover, Side},
        recipients::{Recipient, Recipients},
        topic::Topic,
    },
    metrics::Metrics,
    subject::Pattern,
    sync::{Mutex, rank},
};

/// A hand-over, and on which side of it a feed is.
pub(crate) type Part = (Side, SharedHandover);

/// The topics of one feed.
#[derive(Debug, Default)]
pub(crate) struct SharedFeed(Mutex<State, { rank::SHARED_FEED }>);

#[derive(Debug, Default)]
struct State {
    recipients: Recipients,
    handover: Option<Part>,
}

impl SharedFeed {
    /// One that takes part in a hand-over, if that is given.
    pub(crate) fn new(handover: Option<Part>) -> Self {
        Self(Mutex::new(State { recipients: Recipients::default(), handover }))
    }

    /// Sorts the events that it has brought: the topics that get some of them,
    /// each with all that it gets, in the order of arrival.
    pub(crate) fn sort(&self, events: &[Arc<Message>], metrics: &Metrics) -> Vec<(Arc<Topic>, Vec<Arc<Message>>)> {
        let state = self.0.lock();
        let mut handover = state.handover.as_ref().map(|(side, handover)| (*side, handover.lock()));
        let mut gets = Vec::new();
        for event in events {
            let mut content = None;
            state.recipients.each(&event.subject, |key, Recipient { number, .. }| {
                let admitted = match (&mut handover, number) {
                    (Some((side, handover)), Some(number)) => {
                        let content = *content.get_or_insert_with(|| handover.content(event));
                        handover.admits(*side, *number, content, event.arrived)
                    }
                    _ => true,
                };
                if admitted {
                    gets.push((key, event));
                }
            });
        }
        if let Some((_, handover)) = &mut handover {
            metrics.handover_overflows.increment(handover.take_not_noted());
        }
        // Stable, and linear where all are of one topic.
        gets.sort_by_key(|(key, _)| *key);
        let of_one = gets.chunk_by(|(one, _), (next, _)| one == next);
        let sorted = of_one.filter_map(|gets| {
            let topic = state.recipients.get(gets[0].0)?.topic.clone();
            Some((topic, gets.iter().map(|(_, event)| Arc::clone(event)).collect()))
        });
        sorted.collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().recipients.len() == 0
    }

    /// Its topic, if it has one only.
    pub(crate) fn only(&self) -> Option<Arc<Topic>> {
        let state = self.0.lock();
        let (_, recipient) = state.recipients.iter().next().filter(|_| state.recipients.len() == 1)?;
        Some(recipient.topic.clone())
    }

    /// All of them.
    pub(crate) fn topics(&self) -> Vec<Arc<Topic>> {
        self.0.lock().recipients.iter().map(|(_, recipient)| recipient.topic.clone()).collect()
    }

    pub(crate) fn add(&self, recipient: Recipient) {
        self.0.lock().recipients.add(recipient);
    }

    pub(crate) fn remove(&self, pattern: &Pattern) {
        self.0.lock().recipients.remove(pattern);
    }

    /// Begins to be the old side of a hand-over, in which all topics take part but
    /// that of the feed's own pattern: from now on their copies are noted. The
    /// keys and patterns of these.
    pub(crate) fn begin(&self, handover: SharedHandover, own: &Pattern) -> Vec<(usize, Pattern)> {
        let mut state = self.0.lock();
        state.handover = Some((Side::Old, handover));
        let all = state.recipients.iter_mut().filter(|(_, recipient)| recipient.topic.pattern() != own);
        let part = all.map(|(key, recipient)| {
            recipient.number = Some(key as u32);
            (key, recipient.topic.pattern().clone())
        });
        part.collect()
    }

    /// A topic that takes part in the hand-over; nothing when it has gone.
    pub(crate) fn part(&self, key: usize) -> Option<Recipient> {
        self.0.lock().recipients.get(key).filter(|recipient| recipient.number.is_some()).cloned()
    }

    /// These topics take no part any more, and stay.
    pub(crate) fn keep(&self, keys: impl IntoIterator<Item = usize>) {
        let mut state = self.0.lock();
        for key in keys {
            state.recipients.get_mut(key).into_iter().for_each(|recipient| recipient.number = None);
        }
    }

    /// Forgets the topics that take part in the hand-over; whether none is left.
    pub(crate) fn give_away(&self) -> bool {
        self.0.lock().recipients.take(|recipient| recipient.number.is_some());
        self.is_empty()
    }

    /// Takes all topics but that of the feed's own pattern.
    pub(crate) fn take_others(&self, own: &Pattern) -> Vec<Recipient> {
        self.0.lock().recipients.take(|recipient| recipient.topic.pattern() != own)
    }

    /// The hand-over is over.
    pub(crate) fn finish(&self) {
        let mut state = self.0.lock();
        state.handover = None;
        state.recipients.iter_mut().for_each(|(_, recipient)| recipient.number = None);
    }
}
