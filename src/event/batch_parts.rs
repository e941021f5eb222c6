//! Events of atomic batches among others: which of them somebody is told is the last, and which are only a part.

use std::sync::Arc;

use crate::event::{batch_mark::BatchMark, message::Message};

/// The place of an event in its batch, as somebody is told who gets these events together: the last of them is the
/// last of the batch for whoever may not see the others.
#[inline]
pub fn shown(events: &[Arc<Message>], at: usize) -> Option<(&BatchMark, bool)> {
    let mark = events[at].batch.as_deref()?;
    let goes_on = || events.get(at + 1).is_some_and(|next| events[at].goes_on(next));
    Some((mark, mark.commits || !(mark.parted || goes_on())))
}

/// Notes of the batch at the end of some events that later events of it come in another part.
pub fn part(events: &mut [Arc<Message>]) {
    let begins = |at: &usize| *at == 0 || !events[at - 1].goes_on(&events[*at]);
    let begun = (0..events.len()).rev().find(begins).unwrap_or(0);
    for event in &mut events[begun..] {
        // A mark is the same for all who have the event, and batches in parts are rare.
        let mut parted = Message::clone(event);
        parted.batch.iter_mut().for_each(|mark| mark.parted = true);
        *event = Arc::new(parted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{proto::Envelope, subject::Subject};

    fn event(mark: Option<(&str, u32, bool)>) -> Arc<Message> {
        let batch = mark.map(|(id, index, commits)| BatchMark { id: id.into(), index, commits, parted: false });
        let message = Message::new(Subject::parse("a").expect("a subject"), Envelope::default());
        Arc::new(Message { batch: batch.map(Box::new), ..message })
    }

    #[test]
    fn the_last_event_that_somebody_gets_is_the_last_of_the_batch() {
        let last = |events: &[Arc<Message>]| -> Vec<Option<bool>> {
            (0..events.len()).map(|at| shown(events, at).map(|(_, last)| last)).collect()
        };
        let whole =
            [None, Some(("b", 1, false)), Some(("b", 2, true)), Some(("b", 1, false)), Some(("c", 4, false)), None];
        let whole = whole.map(event);
        let expected = [None, Some(false), Some(true), Some(true), Some(true), None];
        assert_eq!(last(&whole), expected, "the same identifier may come again");
        let mut parts = [Some(("a", 1, false)), Some(("b", 1, false)), Some(("b", 2, false))].map(event);
        part(&mut parts);
        assert_eq!(last(&parts), [Some(true), Some(false), Some(false)], "more of `b` comes in another part");
    }
}
