//! The reconciler against streams that tell all kinds of states.

use super::*;
use crate::journal::{
    cursor::{Cursor, Step},
    script::{ALL, Script, Scripted, reconciler, stream},
};

/// A reconciler that follows a stream, with room in its window for some of its
/// events.
struct Kept {
    reconciler: Reconciler,
    broker: Arc<Scripted>,
    gaps: Gaps,
}

impl Kept {
    fn new(script: Script, window: u64, delivery: Delivery) -> Self {
        let (reconciler, broker) = reconciler(script, window, delivery);
        let gaps = Gaps::new(reconciler.metrics.clone());
        Self { reconciler, broker, gaps }
    }

    /// One that has ten events, of a window of a hundred.
    async fn of_ten() -> Self {
        let mut kept =
            Self::new(Script { state: stream(1, 1, 10), since: Some(1), ..Script::default() }, 100, Delivery::Durable);
        assert_eq!(kept.reconcile().await, Ok(()));
        assert_eq!(kept.steps(0), ["events 1 to 10"]);
        kept
    }

    async fn reconcile(&mut self) -> Result<(), ReadError> {
        self.reconciler.reconcile(true, &mut self.gaps).await
    }

    /// The steps behind a sequence, as the fan-out gets them.
    fn steps(&self, after: u64) -> Vec<String> {
        let window = &self.reconciler.window;
        let mut cursor = Cursor { generation: window.generation(), seq: after };
        let mut steps = Vec::new();
        while let Some(step) = window.step(cursor, ALL) {
            let (what, upto) = match step {
                Step::Lost(upto) => ("lost".to_owned(), upto),
                Step::Events(events, upto) => (format!("events {}", events[0].seq()), upto),
            };
            steps.push(format!("{what} to {}", upto.seq));
            cursor = upto;
        }
        steps
    }

    /// Gaps: found, healed, told.
    fn counts(&self) -> [u64; 3] {
        let text = self.reconciler.metrics.render();
        ["detected", "healed", "reported"].map(|what| {
            let value = text.lines().find_map(|line| line.strip_prefix(&format!("notifier_gaps_{what}_total ")));
            value.expect("a series").parse().expect("a number")
        })
    }
}

#[tokio::test]
async fn what_retention_took_of_a_hole_is_lost_and_what_it_left_comes() {
    let mut kept = Kept::of_ten().await;
    kept.broker.script().state = stream(1, 16, 20);
    assert_eq!(kept.reconcile().await, Ok(()));
    assert_eq!(kept.steps(10), ["lost to 15", "events 16 to 20"]);
    assert_eq!(kept.counts(), [1, 0, 1]);
}

#[tokio::test]
async fn a_hole_that_cannot_be_read_at_first_is_one_and_heals() {
    let mut kept = Kept::of_ten().await;
    {
        let mut script = kept.broker.script();
        (script.state, script.fails) = (stream(1, 1, 20), (1, Some(ReadError::Unavailable)));
    }
    assert_eq!(kept.reconcile().await, Err(ReadError::Unavailable));
    assert_eq!(kept.reconcile().await, Ok(()));
    assert_eq!(kept.steps(10), ["events 11 to 20"]);
    assert_eq!(kept.counts(), [1, 1, 0]);
}

#[tokio::test]
async fn a_leader_that_is_wrong_for_a_moment_does_not_begin_the_stream_anew() {
    let mut kept = Kept::of_ten().await;
    kept.broker.script().wrong = (2, 7);
    assert_eq!(kept.reconcile().await, Ok(()));
    assert_eq!(kept.reconciler.window.generation(), 1);
    kept.broker.script().state = stream(2, 1, 7);
    assert_eq!(kept.reconcile().await, Ok(()));
    assert_eq!((kept.reconciler.window.generation(), kept.steps(0)), (2, vec!["events 1 to 7".to_owned()]));
}

#[tokio::test]
async fn a_window_begins_where_its_bytes_and_its_age_allow_it() {
    let state = stream(1, 1, 100);
    let rows = [
        // Since when events are young enough; the stream; its delivery; where the window begins.
        (Some(95), state, Delivery::Durable, 95),
        (Some(80), state, Delivery::Durable, 91),
        (None, state, Delivery::Durable, 101),
        (Some(97), stream(1, 97, 100), Delivery::Durable, 97),
        (Some(95), state, Delivery::Latest, 91),
        (None, stream(1, 101, 100), Delivery::Durable, 101),
        // Its events are fewer than its sequences, and so larger than they seem.
        (Some(1), StreamState { messages: 30, ..state }, Delivery::Durable, 95),
    ];
    for (since, state, delivery, begins) in rows {
        let kept = Kept::new(Script { since, state, ..Script::default() }, 10, delivery);
        assert_eq!(kept.reconciler.window_begin(&state).await, Ok(begins), "{since:?} {state:?} {delivery:?}");
    }
}

impl Kept {
    /// The sequences in memory.
    fn held(&self) -> Vec<u64> {
        let window = &self.reconciler.window;
        let held =
            window.held(window.generation(), |held, _| held.log.range(0, u64::MAX).map(|(seq, ..)| seq).collect());
        held.expect("the same stream")
    }

    /// The stream is like this now, without these sequences; returns how often
    /// what it deleted was listed by then.
    async fn listed(&mut self, first: u64, last: u64, deleted: &[u64]) -> usize {
        {
            let mut script = self.broker.script();
            let messages = last + 1 - first - deleted.iter().filter(|seq| **seq >= first).count() as u64;
            script.state = StreamState { messages, ..stream(1, first, last) };
            script.deleted = deleted.to_vec();
        }
        assert_eq!(self.reconcile().await, Ok(()));
        self.broker.listed.load(Ordering::Relaxed)
    }
}

#[tokio::test]
async fn what_the_stream_has_deleted_goes_and_costs_nothing_where_nothing_was() {
    let mut kept = Kept::of_ten().await;
    assert_eq!(kept.listed(1, 12, &[]).await, 0);
    kept.steps(10);
    assert_eq!(kept.listed(3, 12, &[]).await, 0);
    assert_eq!(kept.held(), (3..=12).collect::<Vec<_>>(), "the stream begins there");
    assert_eq!(kept.listed(3, 12, &[5, 9]).await, 1);
    assert_eq!(kept.held(), [3, 4, 6, 7, 8, 10, 11, 12]);
    for (first, last) in [(3, 12), (3, 20), (4, 20), (8, 20)] {
        assert_eq!(kept.listed(first, last, &[5, 9]).await, 1, "{first} to {last}");
        kept.steps(12);
    }
    assert_eq!(kept.held(), [8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(kept.listed(8, 20, &[5, 9, 20]).await, 2);
    assert_eq!(kept.held().last(), Some(&19));
}

#[tokio::test]
async fn where_very_much_was_deleted_what_is_in_memory_is_read_again() {
    let state = StreamState { messages: 1_000, bytes: 100_000, ..stream(1, 1, 200_000) };
    let mut kept = Kept::new(Script { state, since: Some(1), ..Script::default() }, 50, Delivery::Durable);
    assert_eq!(kept.reconcile().await, Ok(()));
    let held = kept.held();
    {
        let mut script = kept.broker.script();
        script.state.messages -= 1;
        script.deleted = vec![held[7]];
    }
    assert_eq!(kept.reconcile().await, Ok(()));
    assert_eq!((kept.held().len(), kept.held().contains(&held[7])), (held.len() - 1, false));
    assert_eq!(kept.broker.listed.load(Ordering::Relaxed), 0);
    let reads = kept.broker.copy.load(Ordering::Relaxed);
    assert_eq!(kept.reconcile().await, Ok(()));
    assert_eq!(kept.broker.copy.load(Ordering::Relaxed), reads, "that was all");
}
