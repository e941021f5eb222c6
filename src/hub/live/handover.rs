//! The hand-over of topics from one feed to another. For some time both bring
//! the events of a topic, and of the two copies of an event its members get the
//! first one. Free of clocks and I/O: the time is given.
//!
//! A live message has no identity at NATS, and copies of messages of different
//! publishers come in any order. So copies are matched by what they say: the
//! second copy is one that says what a copy of the other feed said before,
//! and each copy is the second of one other at most. Messages that say the same
//! may be taken for one another; their number is right.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    event::Message,
    proto::Envelope,
    sync::{Mutex, rank},
};

/// The least time that a copy waits for its second one; the most is twice as
/// long. Both come by one connection to the broker, one directly behind the
/// other: a second is what an intake may be kept from reading. In a model time
/// passes when the model says so.
const KEPT: Duration = Duration::from_secs(if cfg!(feature = "model") { 3_600 } else { 1 });

/// The time for which both feeds are open, once the new one is: every event
/// that the broker was about to send when it heard of the new one has arrived
/// then, and a copy without a second one is not waited for any more.
pub(crate) const SETTLE: Duration = Duration::from_secs(2);

/// Copies that wait for their second one, all topics of a hand-over together:
/// some 4 MiB. Beyond that copies are not noted, and events may come twice.
const MOST: usize = 65_536;

/// The copies of the old and the new feeds that have no second one yet.
#[derive(Debug)]
pub(crate) struct Handover {
    /// Nobody can write a message that is taken for another one.
    keys: RandomState,
    recent: Generation,
    earlier: Generation,
    old_ended: bool,
    not_noted: u64,
}

/// A hand-over that both feeds know.
pub(crate) type SharedHandover = Arc<Mutex<Handover, { rank::HANDOVER }>>;

/// Copies that were noted within [`KEPT`].
#[derive(Debug)]
struct Generation {
    began: Instant,
    last: Instant,
    /// By topic and content, how many; those of new feeds are negative.
    copies: HashMap<(u32, u64), i32>,
}

/// By which feed a copy came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The one that is going to be closed.
    Old,
    /// The one that takes over.
    New,
}

impl Handover {
    pub(crate) fn new(now: Instant) -> Self {
        let [recent, earlier] = [(); 2].map(|()| Generation::new(now));
        Self { keys: RandomState::new(), recent, earlier, old_ended: false, not_noted: 0 }
    }

    /// The fingerprint of an event. Its time does not count: where the
    /// publisher gives none, each copy has that of its arrival.
    pub(crate) fn content(&self, event: &Message) -> u64 {
        let Envelope { id, time: _, r#type, source, content_type, headers, data } = &event.envelope;
        self.keys.hash_one((event.subject.as_str(), id, r#type, source, content_type, headers, data))
    }

    /// Whether a copy that has arrived is to be delivered to a topic: unless it
    /// is the second one.
    pub(crate) fn admits(&mut self, side: Side, topic: u32, content: u64, now: Instant) -> bool {
        self.age(now);
        let (key, copy) = ((topic, content), side.copy());
        if [&mut self.recent, &mut self.earlier].into_iter().any(|generation| generation.pair(key, copy)) {
            return false;
        }
        if self.old_ended {
            // Events that the old feed still brings come by the new one too.
            return side == Side::New;
        }
        if self.recent.copies.len() + self.earlier.copies.len() < MOST {
            *self.recent.copies.entry(key).or_default() += copy;
            self.recent.last = now;
        } else {
            self.not_noted += 1;
        }
        true
    }

    /// From now on what the old feed brings is not delivered.
    pub(crate) fn end_old(&mut self) {
        self.old_ended = true;
    }

    /// Copies that there was no room to note, since this was last asked.
    pub(crate) fn take_not_noted(&mut self) -> u64 {
        std::mem::take(&mut self.not_noted)
    }

    fn age(&mut self, now: Instant) {
        if now.saturating_duration_since(self.recent.began) >= KEPT {
            self.earlier = std::mem::replace(&mut self.recent, Generation::new(now));
        }
        if now.saturating_duration_since(self.earlier.last) >= KEPT {
            self.earlier.copies.clear();
        }
    }
}

impl Generation {
    fn new(now: Instant) -> Self {
        Self { began: now, last: now, copies: HashMap::new() }
    }

    /// Pairs a copy with one of the other side, if there is one.
    fn pair(&mut self, key: (u32, u64), copy: i32) -> bool {
        let Entry::Occupied(mut entry) = self.copies.entry(key) else { return false };
        if entry.get().signum() != -copy {
            return false;
        }
        *entry.get_mut() += copy;
        if *entry.get() == 0 {
            entry.remove();
        }
        true
    }
}

impl Side {
    fn copy(self) -> i32 {
        match self {
            Self::Old => 1,
            Self::New => -1,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::subject::Subject;

    /// When the new feed opens, and when the old one ends, milliseconds.
    const OPENS: u64 = 3_000;
    const ENDS: u64 = OPENS + SETTLE.as_millis() as u64;

    /// How long a copy may take, below [`KEPT`].
    const LONGEST: u64 = 900;

    /// A message: when it is published, what it says, and how long each copy takes.
    type Published = (u64, u64, u64, u64);

    /// How often each content is delivered.
    fn deliver(messages: &[Published]) -> BTreeMap<u64, usize> {
        let mut copies = Vec::new();
        for (at, content, old, new) in messages {
            copies.push((at + old, Side::Old, *content));
            if *at >= OPENS {
                copies.push((at + new, Side::New, *content));
            }
        }
        // Events of one moment come by the old feed first, as from an intake.
        copies.sort_by_key(|(at, side, _)| (*at, *side == Side::New));
        let begun = Instant::now();
        let mut handover = Handover::new(begun);
        let mut delivered = BTreeMap::new();
        for (at, side, content) in copies {
            if at >= ENDS {
                handover.end_old();
            }
            if handover.admits(side, 1, content, begun + Duration::from_millis(at)) {
                *delivered.entry(content).or_default() += 1;
            }
            // Another topic is nothing to this one.
            handover.admits(side, 2, content, begun + Duration::from_millis(at));
        }
        assert_eq!(handover.take_not_noted(), 0);
        delivered
    }

    fn expected(messages: &[Published]) -> BTreeMap<u64, usize> {
        let mut expected = BTreeMap::new();
        messages.iter().for_each(|message| *expected.entry(message.1).or_default() += 1);
        expected
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]
        #[test]
        fn each_message_is_delivered_once_in_whatever_order_its_copies_come(
            messages in prop::collection::vec((0..ENDS + SETTLE.as_millis() as u64, 0..LONGEST, 0..LONGEST), 0..200),
        ) {
            let number = |(number, (at, old, new)): (usize, (u64, u64, u64))| (at, number as u64, old, new);
            let messages: Vec<Published> = messages.into_iter().enumerate().map(number).collect();
            prop_assert_eq!(deliver(&messages), expected(&messages));
        }

        /// The copies of one read come at one moment; those of different reads may be apart.
        #[test]
        fn messages_that_say_the_same_are_delivered_as_often_as_they_are_published(
            messages in prop::collection::vec(
                (0..ENDS + SETTLE.as_millis() as u64, 0..3_u64, prop::sample::select(vec![0, 0, 0, 1, 5])), 0..200,
            ),
        ) {
            let messages: Vec<Published> = messages.into_iter().map(|(at, content, new)| (at, content, 0, new)).collect();
            prop_assert_eq!(deliver(&messages), expected(&messages));
        }
    }

    #[test]
    fn without_room_copies_are_counted_and_delivered() {
        let now = Instant::now();
        let mut handover = Handover::new(now);
        assert!((0..MOST as u64).all(|content| handover.admits(Side::Old, 1, content, now)));
        assert_eq!(handover.take_not_noted(), 0);
        assert!(handover.admits(Side::Old, 1, u64::MAX, now));
        assert!(handover.admits(Side::New, 1, u64::MAX, now));
        assert_eq!((handover.take_not_noted(), handover.take_not_noted()), (2, 0));
        // Those that were noted are known, and make room.
        assert!(!handover.admits(Side::New, 1, 0, now));
        assert!(handover.admits(Side::Old, 1, u64::MAX, now) && !handover.admits(Side::New, 1, u64::MAX, now));
        // A copy without a second one is forgotten.
        assert!((MOST as u64..2 * MOST as u64).all(|content| handover.admits(Side::Old, 1, content, now + 2 * KEPT)));
        assert_eq!(handover.take_not_noted(), 0);
    }

    #[test]
    fn all_that_clients_see_but_the_time_makes_the_content() {
        let handover = Handover::new(Instant::now());
        let content = |subject: &str, change: &dyn Fn(&mut Envelope)| {
            let mut envelope = Envelope { data: "1".into(), ..Envelope::default() };
            change(&mut envelope);
            handover.content(&Message::new(Subject::parse(subject).expect("a subject"), envelope))
        };
        let plain = content("a", &|_| {});
        assert_eq!(content("a", &|envelope| envelope.time = 7), plain);
        assert_ne!(content("b", &|_| {}), plain);
        let changes: [&dyn Fn(&mut Envelope); 6] = [
            &|envelope| envelope.id = "1".into(),
            &|envelope| envelope.r#type = "1".into(),
            &|envelope| envelope.source = "1".into(),
            &|envelope| envelope.content_type = "1".into(),
            &|envelope| drop(envelope.headers.insert("1".into(), "1".into())),
            &|envelope| envelope.data = "11".into(),
        ];
        let mut contents: Vec<u64> = changes.iter().map(|change| content("a", *change)).collect();
        contents.push(plain);
        contents.sort_unstable();
        contents.dedup();
        assert_eq!(contents.len(), 7);
    }
}
