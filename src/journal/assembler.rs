//! The assembler puts atomic batches together again from the parts that a reader reads, wherever those end: at a page, at
//! the beginning of what is in memory. Free of I/O.

use std::{mem, sync::Arc};

use crate::event::{BATCH_EVENTS, Message, PageSize, batch_parts::part};

/// Holds back the beginning of a batch until the rest of it is read.
#[derive(Debug)]
pub(crate) struct Assembler {
    bounds: PageSize,
    /// Of one batch, less than its bounds.
    held: Vec<Arc<Message>>,
}

impl Assembler {
    /// Batches of at most these bounds stay whole; others come in parts.
    pub(crate) fn new(bounds: PageSize) -> Self {
        Self { bounds, held: Vec::new() }
    }

    /// The first event that is held back.
    pub(crate) fn first(&self) -> Option<&Arc<Message>> {
        self.held.first()
    }

    /// The last one.
    pub(crate) fn last(&self) -> Option<&Arc<Message>> {
        self.held.last()
    }

    /// Takes the events that come next, and gives those that may be handed out.
    pub(crate) fn add(&mut self, events: Vec<Arc<Message>>) -> Vec<Arc<Message>> {
        if self.held.is_empty() && events.iter().all(|event| event.batch.is_none()) {
            return events;
        }
        let mut all = mem::take(&mut self.held);
        all.extend(events);
        let (mut begun, mut room) = (0, self.bounds.room());
        for at in 0..all.len() {
            let (goes_on, cost) = (at > 0 && all[at - 1].goes_on(&all[at]), all[at].cost());
            if goes_on && room.take(cost) {
                continue;
            }
            if goes_on {
                part(&mut all[begun..at]);
            }
            (begun, room) = (at, self.bounds.room());
            room.take(cost);
        }
        if all.last().and_then(|last| last.batch.as_ref()).is_some_and(|mark| !mark.commits) {
            self.held = all.split_off(begun);
        }
        all
    }

    /// Whether everything is read up to where the batch that is held back ends at the latest.
    pub(crate) fn is_read(&self, upto: u64) -> bool {
        let Some((first, mark)) = self.first().and_then(|first| Some((first, first.batch.as_ref()?))) else {
            return false;
        };
        let left = BATCH_EVENTS.saturating_sub(mark.index as usize);
        upto >= first.seq().saturating_add(left as u64)
    }

    /// Gives what is held back: that is all there is, or a part where the batch goes on.
    pub(crate) fn flush(&mut self, goes_on: bool) -> Vec<Arc<Message>> {
        let mut held = mem::take(&mut self.held);
        if goes_on {
            part(&mut held);
        }
        held
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::{event::batch_parts::shown, journal::script::marked};

    /// A stream of batches of these lengths, 1 for a plain event.
    fn stream(lengths: &[usize]) -> Vec<Arc<Message>> {
        let mut events = Vec::new();
        for (number, length) in lengths.iter().enumerate() {
            let id = number.to_string();
            for index in 1..=*length {
                let mark = (*length > 1).then_some((&*id, index as u32, index == *length));
                events.extend(marked(events.len() as u64 + 1, mark).event);
            }
        }
        events
    }

    fn seqs(events: &[Arc<Message>]) -> Vec<u64> {
        events.iter().map(|event| event.seq()).collect()
    }

    proptest! {
        /// Parts are cut anywhere, and some events are not read: removed, or not for this reader.
        #[test]
        fn a_batch_comes_whole_wherever_its_parts_end(
            lengths in vec(prop_oneof![2 => Just(1), 3 => 2..12_usize], 0..20),
            cuts in vec(1..15_usize, 1..10),
            unread in vec(any::<bool>(), 240),
            bound in 2..12_usize,
        ) {
            let all: Vec<_> = stream(&lengths).into_iter().filter(|event| unread[event.seq() as usize % 240]).collect();
            let mut assembler = Assembler::new(PageSize { events: bound, bytes: usize::MAX });
            let (mut handed, mut rest, mut cuts) = (Vec::new(), &all[..], cuts.into_iter().cycle());
            while !rest.is_empty() {
                let (now, later) = rest.split_at(cuts.next().unwrap_or(1).min(rest.len()));
                handed.push(assembler.add(now.to_vec()));
                rest = later;
                // It stands before what is held back, and that is less than a batch.
                prop_assert!(assembler.held.len() <= bound);
            }
            handed.push(assembler.flush(false));
            handed.retain(|part| !part.is_empty());
            prop_assert_eq!(seqs(&handed.concat()), seqs(&all));
            for pair in handed.windows(2) {
                let (before, next) = (&pair[0], &pair[1]);
                let goes_on = before[before.len() - 1].goes_on(&next[0]);
                prop_assert!(!goes_on || before.last().and_then(|last| last.batch.as_ref()).is_some_and(|mark| mark.parted));
            }
            // Each batch ends once, for whoever gets it as it was handed out.
            let mut ends = 0;
            for part in handed.iter().flat_map(|part| PageSize::BATCH.split_whole(assembler.bounds, part)) {
                ends += (0..part.len()).filter(|at| shown(part, *at).is_some_and(|(_, last)| last)).count();
            }
            let mut batches: Vec<_> = all.iter().filter_map(|event| event.batch.as_ref()).map(|mark| &mark.id).collect();
            batches.dedup();
            prop_assert_eq!(ends, batches.len());
        }
    }

    #[test]
    fn a_batch_is_read_where_no_more_of_it_can_come() {
        let mut assembler = Assembler::new(PageSize { events: 10, bytes: usize::MAX });
        assert!(!assembler.is_read(u64::MAX), "nothing is held back");
        assert!(assembler.add(marked(50, Some(("b", 3, false))).event.into_iter().collect()).is_empty());
        assert!(!assembler.is_read(1_046) && assembler.is_read(1_047));
        assert_eq!(seqs(&assembler.flush(false)), [50]);
    }

    #[test]
    fn plain_events_are_not_touched() {
        let mut assembler = Assembler::new(PageSize { events: 10, bytes: usize::MAX });
        let events = stream(&[1, 1, 1]);
        let (at, handed) = (events.as_ptr(), assembler.add(events));
        assert_eq!((handed.as_ptr(), handed.len()), (at, 3));
    }
}
