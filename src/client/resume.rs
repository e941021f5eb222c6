//! The rules by which a client resumes: how far a subscription has come in each
//! stream, which event is a duplicate, and what a new connection is asked for.
//! `docs/protocol.md` states them under "Positions and resuming". Free of I/O.

use crate::{
    proto::{Event, Gap, Position, Replay, Subscribed, Subscription},
    subject::{Pattern, Subject},
};

/// A subscription of a client over any number of connections. Each connection
/// continues where the last one ended.
#[derive(Clone, Debug)]
pub struct ResumableSubscription {
    pattern: Pattern,
    reached: Vec<Reached>,
    /// Whether the newest value of each subject is still to come.
    snapshot: bool,
    /// Whether `subscribed` has come on this connection. An `event` before that
    /// belongs to other subscriptions.
    live: bool,
}

/// The cursor of one stream: every matching event up to `seq` has come.
#[derive(Clone, Debug)]
struct Reached {
    stream: String,
    /// None while events of a first replay come from a node that names the epoch
    /// only with `subscribed`, behind them.
    epoch: Option<String>,
    seq: u64,
}

/// The relation of an event to a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relevance {
    /// The event has not come before.
    New,
    /// The event is at or below the cursor of its stream.
    Duplicate,
    /// The subscription does not match the event, or is not live.
    Foreign,
}

impl ResumableSubscription {
    /// A subscription that begins as the class of its subjects has it: with the
    /// values of now, or with the next event.
    #[must_use]
    pub fn new(pattern: Pattern) -> Self {
        Self { pattern, reached: Vec::new(), snapshot: false, live: false }
    }

    /// A subscription that begins after these positions.
    #[must_use]
    pub fn after(pattern: Pattern, positions: &[Position]) -> Self {
        Self { reached: positions.iter().map(Reached::at).collect(), ..Self::new(pattern) }
    }

    /// A subscription that begins with the newest event of each subject.
    /// Positions count for nothing then.
    #[must_use]
    pub fn with_snapshot(pattern: Pattern) -> Self {
        Self { snapshot: true, ..Self::new(pattern) }
    }

    /// The pattern that the subscription asks for.
    #[must_use]
    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// The request that a new connection sends for this subscription.
    #[must_use]
    pub fn request(&self) -> Subscription {
        let subject = self.pattern.as_str().to_owned();
        Subscription { subject, after: self.positions(), snapshot: self.snapshot, ..Subscription::default() }
    }

    /// The positions that a node can resume from. A stream whose epoch is not
    /// known yet has none.
    #[must_use]
    pub fn positions(&self) -> Vec<Position> {
        self.reached.iter().filter_map(Reached::position).collect()
    }

    /// The sequence that the cursor of `stream` is at; none for a stream that
    /// the subscription is not known to reach.
    #[must_use]
    pub fn reached(&self, stream: &str) -> Option<u64> {
        self.reached.iter().find(|reached| reached.stream == stream).map(|reached| reached.seq)
    }

    /// The epoch of `stream`, once a position has named it.
    #[must_use]
    pub fn epoch(&self, stream: &str) -> Option<&str> {
        self.reached.iter().find(|reached| reached.stream == stream)?.epoch.as_deref()
    }

    /// Whether `subscribed` has come on this connection.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Notes that the connection has ended, or that the subscription is asked
    /// for once more on the same one.
    pub fn disconnected(&mut self) {
        self.live = false;
    }

    /// Takes the epoch of the events that a `replay` for this subscription brings,
    /// where it names one: from then on they can be resumed from.
    pub fn replay_named(&mut self, replay: &Replay) {
        let Some(event) = replay.events.first().filter(|_| !replay.epoch.is_empty()) else { return };
        let place = self.reached.iter().position(|reached| reached.stream == event.stream).unwrap_or_else(|| {
            self.reached.push(Reached { stream: event.stream.clone(), epoch: None, seq: 0 });
            self.reached.len() - 1
        });
        self.reached[place].epoch.get_or_insert_with(|| replay.epoch.clone());
    }

    /// Takes an event of a `replay` for this subscription.
    pub fn replayed(&mut self, event: &Event) -> Relevance {
        if event.stream.is_empty() {
            return Relevance::New;
        }
        match self.reached.iter_mut().find(|reached| reached.stream == event.stream) {
            Some(reached) if event.seq <= reached.seq => return Relevance::Duplicate,
            Some(reached) => reached.seq = event.seq,
            None => self.reached.push(Reached { stream: event.stream.clone(), epoch: None, seq: event.seq }),
        }
        Relevance::New
    }

    /// Takes an `event` of the connection.
    pub fn received(&mut self, event: &Event) -> Relevance {
        if self.live && Subject::parse(&event.subject).is_ok_and(|subject| self.pattern.matches(&subject)) {
            self.replayed(event)
        } else {
            Relevance::Foreign
        }
    }

    /// Takes the `subscribed` of this subscription. The streams that it names
    /// are those that the subscription reaches.
    pub fn subscribed(&mut self, subscribed: &Subscribed) {
        let joined = |position: &Position| {
            let mut joined = Reached::at(position);
            let before = self.reached.iter().find(|reached| reached.stream == position.stream);
            if let Some(before) = before.filter(|before| before.is_of(position)) {
                joined.seq = joined.seq.max(before.seq);
            }
            joined
        };
        self.reached = subscribed.positions.iter().map(joined).collect();
        (self.live, self.snapshot) = (true, false);
    }

    /// Takes the positions of a `ping`: they hold for what is live.
    pub fn checkpoint(&mut self, positions: &[Position]) {
        for reached in self.reached.iter_mut().filter(|_| self.live) {
            let position = positions.iter().find(|position| position.stream == reached.stream);
            if let Some(position) = position.filter(|position| reached.is_of(position)) {
                reached.epoch = Some(position.epoch.clone());
                reached.seq = reached.seq.max(position.seq);
            }
        }
    }

    /// Takes a `gap` of this subscription. After a `reset` the sequences of the
    /// stream begin below the cursor, so the cursor is void, and the new epoch the
    /// one that the gap names. A gap of dropped
    /// live events names no stream and moves nothing.
    pub fn gap(&mut self, gap: &Gap) {
        if let Some(reached) = self.reached.iter_mut().find(|reached| reached.stream == gap.stream) {
            match gap.reason.as_str() {
                "reset" => (reached.epoch, reached.seq) = (Some(gap.epoch.clone()).filter(|new| !new.is_empty()), 0),
                _ => reached.seq = reached.seq.max(gap.to_seq),
            }
        }
    }
}

impl Reached {
    fn at(position: &Position) -> Self {
        Self { stream: position.stream.clone(), epoch: Some(position.epoch.clone()), seq: position.seq }
    }

    fn position(&self) -> Option<Position> {
        let (stream, epoch) = (self.stream.clone(), self.epoch.clone()?);
        Some(Position { stream, epoch, seq: self.seq, ..Position::default() })
    }

    /// Whether the sequences of `position` continue those of this cursor.
    fn is_of(&self, position: &Position) -> bool {
        self.epoch.as_ref().is_none_or(|epoch| *epoch == position.epoch)
    }
}

#[cfg(test)]
mod tests;
