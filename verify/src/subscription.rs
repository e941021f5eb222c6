//! A subscription as a correct client keeps it, with a check of the node's
//! frames about it.

use notifier::{
    client::resume::ResumableSubscription,
    proto::{Gap, Position, Subscribed},
    subject::Pattern,
};

use crate::verdict::{GAP, NOT_RECOVERED, OTHER_EPOCH, Verdict};

/// A [`ResumableSubscription`] in a world in which streams are never created
/// again and keep everything long enough: then each resume recovers, no epoch
/// changes and there is no gap.
#[derive(Clone, Debug)]
pub struct CheckedSubscription {
    /// The subscription itself. Events and ends of connections go to it; the
    /// frames that are checked go to the methods here.
    pub rule: ResumableSubscription,
    /// The positions at which the subscription began.
    start: Option<Vec<Position>>,
}

impl CheckedSubscription {
    /// A subscription that begins now.
    #[must_use]
    pub fn new(pattern: Pattern) -> Self {
        Self { rule: ResumableSubscription::new(pattern), start: None }
    }

    /// A subscription that begins after a position that somebody else had.
    #[must_use]
    pub fn after(pattern: Pattern, position: Position) -> Self {
        let start = vec![position];
        Self { rule: ResumableSubscription::after(pattern, &start), start: Some(start) }
    }

    /// The sequence of `stream` at which it began; none before `subscribed`.
    #[must_use]
    pub fn start(&self, stream: &str) -> Option<u64> {
        self.start.as_ref()?.iter().find(|position| position.stream == stream).map(|position| position.seq)
    }

    /// Whether it is live, and every event up to these sequences of streams has
    /// come. Streams that it does not reach count as reached.
    #[must_use]
    pub fn has_reached(&self, ends: &[(&str, u64)]) -> bool {
        self.rule.is_live() && ends.iter().all(|(stream, seq)| self.rule.reached(stream).is_none_or(|at| at >= *seq))
    }

    /// Takes its `subscribed`.
    pub fn subscribed(&mut self, subscribed: &Subscribed, verdict: &mut Verdict) {
        let after = self.rule.positions();
        if !after.is_empty() && !subscribed.recovered {
            verdict.find(NOT_RECOVERED, || format!("{}: after {after:?}, told {subscribed:?}", self.rule.pattern()));
        }
        self.compare_epochs(&subscribed.positions, verdict);
        self.rule.subscribed(subscribed);
        self.start.get_or_insert_with(|| subscribed.positions.clone());
    }

    /// Takes the positions of a `ping`.
    pub fn checkpoint(&mut self, positions: &[Position], verdict: &mut Verdict) {
        self.compare_epochs(positions, verdict);
        self.rule.checkpoint(positions);
    }

    /// Takes its `gap`.
    pub fn gap(&mut self, gap: &Gap, verdict: &mut Verdict) {
        verdict.find(GAP, || format!("{}: {gap:?}", self.rule.pattern()));
        self.rule.gap(gap);
    }

    fn compare_epochs(&self, positions: &[Position], verdict: &mut Verdict) {
        for position in positions {
            if let Some(epoch) = self.rule.epoch(&position.stream).filter(|epoch| *epoch != position.epoch) {
                verdict.find(OTHER_EPOCH, || format!("{}: epoch {epoch}, told {position:?}", self.rule.pattern()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seq: u64) -> Position {
        Position { stream: "S".into(), epoch: "1".into(), seq, ..Position::default() }
    }

    fn subscribed(seq: u64, recovered: bool) -> Subscribed {
        Subscribed { positions: vec![at(seq)], recovered, ..Subscribed::default() }
    }

    fn live() -> CheckedSubscription {
        let mut subscription = CheckedSubscription::new(Pattern::parse("a.*").expect("a pattern"));
        let mut verdict = Verdict::default();
        subscription.subscribed(&subscribed(5, false), &mut verdict);
        assert!(verdict.is_sound(), "nothing was resumed: {verdict}");
        subscription
    }

    #[test]
    fn a_correct_node_is_not_found_fault_with() {
        let (mut subscription, mut verdict) = (live(), Verdict::default());
        subscription.checkpoint(&[at(8)], &mut verdict);
        assert_eq!(subscription.start("S"), Some(5));
        assert!(subscription.has_reached(&[("S", 8), ("T", 9)]) && !subscription.has_reached(&[("S", 9)]));
        subscription.rule.disconnected();
        assert!(!subscription.has_reached(&[("S", 8)]), "only while it is live");
        subscription.subscribed(&subscribed(9, true), &mut verdict);
        assert_eq!((subscription.start("S"), verdict), (Some(5), Verdict::default()));
    }

    #[test]
    fn each_thing_that_must_not_happen_is_found() {
        type Happens = fn(&mut CheckedSubscription, &mut Verdict);
        let cases: [(&str, Happens); 4] = [
            (GAP, |s, verdict| s.gap(&Gap { reason: "overflow".into(), ..Gap::default() }, verdict)),
            (NOT_RECOVERED, |s, verdict| s.subscribed(&subscribed(9, false), verdict)),
            (OTHER_EPOCH, |s, verdict| s.checkpoint(&[Position { epoch: "2".into(), ..at(9) }], verdict)),
            (OTHER_EPOCH, |s, verdict| {
                let positions = vec![Position { epoch: "2".into(), ..at(9) }];
                s.subscribed(&Subscribed { positions, recovered: true, ..Subscribed::default() }, verdict);
            }),
        ];
        for (kind, happens) in cases {
            let (mut subscription, mut verdict) = (live(), Verdict::default());
            happens(&mut subscription, &mut verdict);
            assert_eq!(verdict.findings().keys().collect::<Vec<_>>(), [&kind], "{verdict}");
        }
    }
}
