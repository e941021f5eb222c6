//! One subscription as a client keeps it: the rule that makes "nothing lost,
//! nothing twice" out of what the node sends. Free of I/O.
//!
//! The rule: a cursor per stream, raised by the subscription's own `replay`,
//! by `subscribed.positions`, by matching `event`s, and while it is live by
//! `ping.positions`. An event at or below the cursor is a copy and dropped.

use notifier::{
    proto::{Event, Gap, Position, Subscribed},
    subject::{Pattern, Subject},
};

use super::{
    checker::{Log, Received},
    publisher::{Body, id},
};

/// The only stream of this world.
pub const STREAM: &str = "CHAOS";

pub struct Subscription {
    pub pattern: Pattern,
    /// Where it stands; none before its first `subscribed`.
    cursor: Option<Position>,
    /// Where it began.
    start: Option<u64>,
    live: bool,
    received: Vec<Received>,
    /// Copies that the rule dropped.
    pub duplicates: u64,
    /// What a faithful node never says in this world.
    pub wrong: Vec<String>,
}

impl Subscription {
    /// From now on.
    pub fn new(pattern: &str) -> Self {
        Self {
            pattern: Pattern::parse(pattern).expect("a pattern"),
            cursor: None,
            start: None,
            live: false,
            received: Vec::new(),
            duplicates: 0,
            wrong: Vec::new(),
        }
    }

    /// With everything after a position that somebody else had.
    pub fn after(pattern: &str, position: Position) -> Self {
        Self { start: Some(position.seq), cursor: Some(position), ..Self::new(pattern) }
    }

    /// Where to resume.
    pub fn cursor(&self) -> Option<&Position> {
        self.cursor.as_ref()
    }

    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Whether all up to here has arrived.
    pub fn has_reached(&self, seq: u64) -> bool {
        self.live && self.seq() >= seq
    }

    /// The connection is gone.
    pub fn disconnected(&mut self) {
        self.live = false;
    }

    pub fn replayed(&mut self, event: &Event) {
        if self.cursor.is_none() {
            self.wrong.push(format!("replayed {} though nothing was asked for", event.seq));
        }
        self.take(event);
    }

    pub fn subscribed(&mut self, subscribed: &Subscribed) {
        if subscribed.delivery != "durable" {
            self.wrong.push(format!("the delivery is {}", subscribed.delivery));
        }
        match subscribed.positions.as_slice() {
            [position] if position.stream == STREAM => {
                if self.cursor.is_some() && !subscribed.recovered {
                    self.wrong.push(format!("not recovered: resumed after {}, told {position:?}", self.seq()));
                }
                self.start.get_or_insert(position.seq);
                self.raise(position);
                self.live = true;
            }
            other => self.wrong.push(format!("subscribed with the positions {other:?}")),
        }
    }

    /// Returns whether the event is for this subscription.
    pub fn event(&mut self, event: &Event) -> bool {
        let ours = self.live && Subject::parse(&event.subject).is_ok_and(|subject| self.pattern.matches(&subject));
        if ours {
            self.take(event);
        }
        ours
    }

    pub fn checkpoint(&mut self, positions: &[Position]) {
        if self.live {
            positions.iter().filter(|position| position.stream == STREAM).for_each(|position| self.raise(position));
        }
    }

    pub fn gap(&mut self, gap: &Gap) {
        self.wrong.push(format!("gap from {} to {}: {}", gap.from_seq, gap.to_seq, gap.reason));
    }

    fn seq(&self) -> u64 {
        self.cursor.as_ref().map_or(0, |cursor| cursor.seq)
    }

    fn raise(&mut self, position: &Position) {
        match &mut self.cursor {
            None => self.cursor = Some(position.clone()),
            Some(cursor) if cursor.epoch != position.epoch => {
                self.wrong.push(format!("the stream's epoch was {} and is {}", cursor.epoch, position.epoch));
            }
            Some(cursor) => cursor.seq = cursor.seq.max(position.seq),
        }
    }

    fn take(&mut self, event: &Event) {
        let (Ok(body), Ok(subject)) = (serde_json::from_slice::<Body>(&event.data), Subject::parse(&event.subject))
        else {
            self.wrong.push(format!("{} is no event of the publisher", event.seq));
            return;
        };
        if event.stream != STREAM || event.seq == 0 || event.id != id(body.event) {
            let Event { stream, seq, id, .. } = event;
            self.wrong.push(format!("event {} came as stream {stream:?}, seq {seq}, id {id:?}", body.event));
            return;
        }
        if event.seq <= self.seq() {
            self.duplicates += 1;
            return;
        }
        if let Some(cursor) = &mut self.cursor {
            cursor.seq = event.seq;
        }
        self.received.push(Received { seq: event.seq, event: body.event, subject });
    }

    /// What the judge wants to see.
    pub fn log(&self, client: &str) -> Log {
        Log {
            name: format!("{client} {}", self.pattern),
            pattern: self.pattern.clone(),
            start: self.start.expect("it was live once"),
            received: self.received.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(seq: u64) -> Position {
        Position { stream: STREAM.into(), epoch: "1".into(), seq }
    }

    fn event(seq: u64) -> Event {
        let data = format!("{{\"event\":{}}}", seq + 1000).into();
        Event {
            subject: "chaos.g0.s0".into(),
            stream: STREAM.into(),
            seq,
            id: id(seq + 1000),
            data,
            ..Event::default()
        }
    }

    fn subscribed(seq: u64, recovered: bool) -> Subscribed {
        let delivery = "durable".into();
        Subscribed { subject: "chaos.g0.*".into(), delivery, positions: vec![position(seq)], recovered }
    }

    fn live(seq: u64) -> Subscription {
        let mut subscription = Subscription::new("chaos.g0.*");
        subscription.subscribed(&subscribed(seq, false));
        subscription
    }

    fn seqs(subscription: &Subscription) -> Vec<u64> {
        assert_eq!(subscription.wrong, Vec::<String>::new());
        subscription.received.iter().map(|received| received.seq).collect()
    }

    #[test]
    fn events_count_from_subscribed_on() {
        let mut subscription = Subscription::new("chaos.g0.*");
        assert!(!subscription.event(&event(4)));
        subscription.subscribed(&subscribed(5, false));
        assert!(subscription.event(&event(6)));
        assert_eq!(seqs(&subscription), [6]);
        assert_eq!(subscription.log("c").start, 5);
    }

    #[test]
    fn copies_are_dropped_and_counted() {
        let mut subscription = live(5);
        for seq in [6, 7, 6, 8, 8] {
            subscription.event(&event(seq));
        }
        assert_eq!(seqs(&subscription), [6, 7, 8]);
        assert_eq!(subscription.duplicates, 2);
    }

    #[test]
    fn a_resume_takes_only_its_own_replay_until_it_is_live_again() {
        let mut subscription = live(5);
        subscription.event(&event(6));
        subscription.disconnected();
        assert!(!subscription.event(&event(9)), "it is another subscription's");
        subscription.replayed(&event(7));
        subscription.replayed(&event(9));
        subscription.subscribed(&subscribed(10, true));
        subscription.event(&event(9));
        subscription.event(&event(11));
        assert_eq!(seqs(&subscription), [6, 7, 9, 11]);
        assert_eq!(subscription.duplicates, 1);
    }

    #[test]
    fn a_checkpoint_counts_only_while_live() {
        let mut subscription = live(5);
        subscription.checkpoint(&[position(8)]);
        assert!(subscription.has_reached(8));
        subscription.disconnected();
        subscription.checkpoint(&[position(20)]);
        assert!(!subscription.has_reached(8));
        assert_eq!(subscription.cursor(), Some(&position(8)));
    }

    #[test]
    fn what_must_not_happen_here_is_remembered() {
        type Happens = fn(&mut Subscription);
        let cases: [(&str, Happens); 6] = [
            ("gap", |s| s.gap(&Gap { from_seq: 6, to_seq: 7, reason: "overflow".into(), ..Gap::default() })),
            ("not recovered", |s| s.subscribed(&subscribed(9, false))),
            ("epoch", |s| s.checkpoint(&[Position { epoch: "2".into(), ..position(9) }])),
            ("delivery", |s| s.subscribed(&Subscribed { delivery: "live".into(), ..subscribed(9, true) })),
            ("id", |s| assert!(s.event(&Event { id: "e1".into(), ..event(9) }))),
            ("positions", |s| s.subscribed(&Subscribed { positions: Vec::new(), ..subscribed(9, true) })),
        ];
        for (word, happens) in cases {
            let mut subscription = live(5);
            happens(&mut subscription);
            assert!(matches!(&*subscription.wrong, [only] if only.contains(word)), "{word}: {:?}", subscription.wrong);
        }
        let mut fresh = Subscription::new("chaos.g0.*");
        fresh.replayed(&event(3));
        assert_eq!(fresh.wrong.len(), 1);
    }
}
