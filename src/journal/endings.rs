//! Values that a `latest` stream has ended without a trace: purged by an operator, deleted, or expired where nothing
//! marks that. Clients are told by an event that is in no stream. Free of I/O.

use std::sync::Arc;

use crate::{
    clock::unix_millis,
    event::{Gone, Message, Place},
    event_log::EventLog,
    proto::Envelope,
};

/// The values that have ended, and since when a position tells which have.
#[derive(Debug, Default)]
pub(crate) struct Endings {
    waiting: Vec<Ending>,
    /// A client that was at a lower sequence may know values of whose end nothing is left.
    traced: u64,
    /// How many were handed out.
    told: u64,
}

/// The end of a value.
#[derive(Debug)]
struct Ending {
    value: Arc<Message>,
    /// Another value of the subject may be on its way up to here.
    upto: u64,
    gone: Gone,
}

impl Endings {
    /// Begins with a stream. Nobody knows which values ended before.
    pub(crate) fn begin(&mut self, last: u64) {
        let traced = if last == 0 { 0 } else { last + 1 };
        *self = Self { waiting: Vec::new(), traced, told: self.told };
    }

    /// An event in memory was removed from the stream, which reached to `upto` then; `u64::MAX` where that is not known
    /// yet.
    pub(crate) fn add(&mut self, value: Arc<Message>, upto: u64, gone: Gone) {
        if value.gone.is_some() {
            // Whoever has seen it knows.
            self.traced = self.traced.max(value.seq());
        } else {
            self.waiting.push(Ending { value, upto, gone });
        }
    }

    /// The stream reaches to here now: newer values of what was removed before do not come later than that.
    pub(crate) fn settle(&mut self, last: u64) {
        self.waiting.iter_mut().filter(|ending| ending.upto == u64::MAX).for_each(|ending| ending.upto = last);
    }

    /// The ends that are certain once everything up to `head` has come, at most `most`: no newer value has taken the
    /// place. They are handed out at the sequence `at`.
    pub(crate) fn take(&mut self, log: &EventLog<Arc<Message>>, head: u64, at: u64, most: usize) -> Vec<Arc<Message>> {
        let mut taken = Vec::new();
        self.waiting.retain(|Ending { value, upto, gone }| {
            let newer = log.newest_of(&value.subject).is_some();
            if !newer && (*upto > head || taken.len() == most) {
                return true;
            }
            if let (false, Some(place)) = (newer, &value.place) {
                let place = Some(Place { stream: place.stream.clone(), seq: at });
                let message = Message::new(value.subject.clone(), Envelope::default()).stamped(unix_millis());
                taken.push(Arc::new(Message { place, gone: Some(*gone), untraced: true, ..message }));
            }
            false
        });
        if !taken.is_empty() {
            self.traced = self.traced.max(at + 1);
            self.told += taken.len() as u64;
        }
        taken
    }

    /// Whether some wait to be handed out.
    pub(crate) fn are_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether the events behind a sequence tell all values that have ended since.
    pub(crate) fn are_traced_from(&self, seq: u64) -> bool {
        seq >= self.traced
    }

    /// How many were handed out.
    pub(crate) fn told(&self) -> u64 {
        self.told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event_log::Bounds, subject::Subject};

    fn value(subject: &str, seq: u64) -> Arc<Message> {
        let message = Message::new(Subject::parse(subject).expect(subject), Envelope::default());
        Arc::new(Message { place: Some(Place { stream: "S".into(), seq }), ..message })
    }

    fn log(events: &[Arc<Message>]) -> EventLog<Arc<Message>> {
        let mut log = EventLog::new(Bounds { per_subject: 1, ..Bounds::NONE });
        for event in events {
            log.append(event.seq(), event.subject.clone(), 1, event.clone());
        }
        log
    }

    #[test]
    fn an_end_is_told_once_all_has_come_unless_a_newer_value_has() {
        let mut endings = Endings::default();
        endings.begin(0);
        assert!(endings.are_traced_from(0));
        endings.add(value("a", 1), 9, Gone::Purged);
        endings.add(value("b", 2), 9, Gone::Expired);
        let newer = log(&[value("b", 9)]);
        assert!(endings.take(&newer, 8, 8, 64).is_empty() && endings.are_waiting() && endings.are_traced_from(5));
        let taken = endings.take(&newer, 9, 9, 64);
        assert_eq!(taken.len(), 1);
        assert!(taken[0].subject.as_str() == "a" && taken[0].gone == Some(Gone::Purged) && taken[0].seq() == 9);
        assert!(taken[0].shown_place().is_none() && taken[0].envelope.time > 0);
        assert!(!endings.are_waiting() && endings.told() == 1);
        assert!(!endings.are_traced_from(9) && endings.are_traced_from(10));
    }

    #[test]
    fn many_ends_come_in_parts() {
        let mut endings = Endings::default();
        for seq in 1..=5 {
            endings.add(value(&format!("s{seq}"), seq), 5, Gone::Purged);
        }
        endings.add(value("later", 6), u64::MAX, Gone::Purged);
        let parts = [(); 3].map(|()| endings.take(&log(&[]), 5, 5, 2).len());
        assert_eq!((parts, endings.are_waiting()), ([2, 2, 1], true));
        endings.settle(6);
        assert_eq!((endings.take(&log(&[]), 5, 5, 2).len(), endings.take(&log(&[]), 6, 6, 2).len()), (0, 1));
    }

    #[test]
    fn a_position_behind_the_mark_of_an_end_is_enough_when_the_mark_is_gone() {
        let mut endings = Endings::default();
        endings.begin(3);
        assert!(!endings.are_traced_from(3) && endings.are_traced_from(4));
        let mark = Message::clone(&value("a", 7)).ended(Some(Gone::Expired));
        endings.add(Arc::new(mark), 20, Gone::Purged);
        assert!(!endings.are_waiting() && !endings.are_traced_from(6) && endings.are_traced_from(7));
    }
}
