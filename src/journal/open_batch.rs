//! The atomic batch at the end of what has come of a stream, as long as its last event has not: nothing of it is handed
//! out before. A batch above the bounds is handed out in parts. Free of I/O.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    broker::Stored,
    event::{BATCH_EVENTS, Message, PageSize},
};

/// Time after which a batch is over whose last event has not come, and the stream has nothing else: that one is none for
/// clients, or the publisher wrote marks and no batch. A stream stores a batch in one step, within milliseconds.
const OVER: Duration = Duration::from_secs(2);

/// The bounds of what is handed out together of a batch.
pub(crate) fn bounds(bytes: usize) -> PageSize {
    PageSize { events: BATCH_EVENTS, bytes }
}

/// The end of what has come.
#[derive(Debug)]
pub(crate) struct OpenBatch {
    bounds: PageSize,
    open: Option<OpenPart>,
    /// Batches above the bounds, since that was asked.
    parted: u64,
}

/// The part of a batch that is being gathered.
#[derive(Debug)]
struct OpenPart {
    /// The sequence of its first event.
    from: u64,
    /// Its last event so far.
    last: Arc<Message>,
    events: usize,
    bytes: usize,
    /// Another part of the batch stands before it.
    later: bool,
}

impl OpenBatch {
    /// Nothing has come.
    pub(crate) fn new(bounds: PageSize) -> Self {
        Self { bounds, open: None, parted: 0 }
    }

    /// The most that is handed out together.
    pub(crate) fn bounds(&self) -> PageSize {
        self.bounds
    }

    /// Begins anew.
    pub(crate) fn clear(&mut self) {
        self.open = None;
    }

    /// Takes in the next event of the stream.
    #[inline]
    pub(crate) fn take(&mut self, stored: &Stored) {
        let marked = stored.event.as_ref().filter(|event| event.batch.is_some());
        if marked.is_some() || self.open.is_some() {
            self.take_marked(stored, marked);
        }
    }

    fn take_marked(&mut self, stored: &Stored, marked: Option<&Arc<Message>>) {
        let Some(event) = marked else {
            // One that is none for clients may stand in the midst of a batch.
            if stored.event.is_some() || stored.commits {
                self.open = None;
            }
            return;
        };
        let open = match self.open.take() {
            Some(open) if open.last.goes_on(event) => self.go_on(open, stored.seq, event.clone()),
            _ => OpenPart { from: stored.seq, last: event.clone(), events: 1, bytes: event.cost(), later: false },
        };
        self.open = (!open.last.batch.as_ref().is_some_and(|mark| mark.commits)).then_some(open);
    }

    fn go_on(&mut self, open: OpenPart, seq: u64, event: Arc<Message>) -> OpenPart {
        let (events, bytes) = (open.events + 1, open.bytes + event.cost());
        if events <= self.bounds.events && bytes <= self.bounds.bytes {
            return OpenPart { last: event, events, bytes, ..open };
        }
        self.parted += u64::from(!open.later);
        OpenPart { from: seq, events: 1, bytes: event.cost(), last: event, later: true }
    }

    /// Of what has come up to a sequence, up to where it may be handed out.
    pub(crate) fn whole(&self, head: u64) -> u64 {
        self.open.as_ref().map_or(head, |open| open.from - 1)
    }

    /// Whether a later event of the same batch is held back.
    pub(crate) fn goes_on(&self, event: &Message) -> bool {
        self.open.as_ref().is_some_and(|open| event.goes_on(&open.last))
    }

    /// Ends a batch whose last event does not come, where the stream has nothing behind what has come. True when there
    /// is more to hand out.
    pub(crate) fn settle(&mut self, now: Instant) -> bool {
        let over = |open: &OpenPart| now.saturating_duration_since(open.last.arrived) >= OVER;
        self.open.take_if(|open| over(open)).is_some()
    }

    /// How many batches were above the bounds since this was asked.
    pub(crate) fn take_parted(&mut self) -> u64 {
        std::mem::take(&mut self.parted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::script::marked;

    fn open(events: usize) -> OpenBatch {
        OpenBatch::new(PageSize { events, bytes: usize::MAX })
    }

    #[test]
    fn nothing_of_a_batch_is_handed_out_before_its_last_event_has_come() {
        let mut open = open(10);
        let steps = [
            (marked(1, None), 1),
            (marked(2, Some(("b", 1, false))), 1),
            (marked(3, Some(("b", 2, false))), 1),
            (Stored::new(4, None), 1),
            (marked(5, Some(("b", 4, true))), 5),
            (marked(6, Some(("c", 1, true))), 6),
            (marked(7, Some(("d", 1, false))), 6),
            // Its last one was none for clients.
            (marked(8, Some(("e", 1, false))), 7),
            (marked(9, None), 9),
            (marked(10, Some(("f", 1, false))), 9),
            (Stored { commits: true, ..Stored::new(11, None) }, 11),
            (marked(12, Some(("g", 3, false))), 11),
        ];
        for (stored, whole) in steps {
            open.take(&stored);
            assert_eq!(open.whole(stored.seq), whole, "{}", stored.seq);
        }
    }

    #[test]
    fn a_batch_above_the_bounds_comes_in_parts() {
        let mut open = open(3);
        let whole: Vec<u64> = (1..=8)
            .map(|seq| {
                open.take(&marked(seq, Some(("b", seq as u32, seq == 8))));
                open.whole(seq)
            })
            .collect();
        assert_eq!(whole, [0, 0, 0, 3, 3, 3, 6, 8]);
        assert_eq!((open.take_parted(), open.take_parted()), (1, 0), "it counts once");
        open.take(&marked(9, Some(("b", 1, false))));
        open.take(&marked(10, Some(("b", 2, true))));
        assert_eq!((open.whole(10), open.take_parted()), (10, 0));
    }

    #[test]
    fn a_batch_without_an_end_is_over_after_a_while() {
        let mut open = open(3);
        let stored = marked(1, Some(("b", 1, false)));
        let arrived = stored.event.as_ref().expect("an event").arrived;
        open.take(&stored);
        assert!(!open.settle(arrived + OVER / 2) && open.whole(1) == 0);
        assert!(open.settle(arrived + OVER) && open.whole(1) == 1);
        assert!(!open.settle(arrived + OVER), "nothing is left to end");
    }
}
