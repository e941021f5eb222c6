//! One subscription of a client in this world, where everything is stored in
//! one stream: the rule of resuming, and the log for the judge. Free of
//! I/O.

use notifier::{
    client::resume::Relevance,
    proto::{Event, Position, Subscribed},
    subject::{Pattern, Subject},
};
use notifier_verify::{
    judge::{Entry, Log},
    subscription::CheckedSubscription,
    verdict::{FOREIGN, Verdict},
};

use super::publisher::{Body, STREAM, id};

/// A `subscribed` without the one delivery, or the one position, that there is.
const NOT_DURABLE: &str = "not subscribed to the stream";

pub struct Subscription {
    pub checked: CheckedSubscription,
    received: Vec<Entry>,
    /// Copies that the rule dropped.
    pub duplicates: u64,
}

impl Subscription {
    /// From now on.
    pub fn new(pattern: &str) -> Self {
        Self::of(CheckedSubscription::new(Pattern::parse(pattern).expect("a pattern")))
    }

    /// With everything after a position that somebody else had.
    pub fn after(pattern: &str, position: Position) -> Self {
        Self::of(CheckedSubscription::after(Pattern::parse(pattern).expect("a pattern"), position))
    }

    fn of(checked: CheckedSubscription) -> Self {
        Self { checked, received: Vec::new(), duplicates: 0 }
    }

    pub fn pattern(&self) -> &str {
        self.checked.rule.pattern().as_str()
    }

    /// Whether all up to here has arrived.
    pub fn has_reached(&self, seq: u64) -> bool {
        self.checked.has_reached(&[(STREAM, seq)])
    }

    pub fn replayed(&mut self, event: &Event, wrong: &mut Verdict) {
        if self.checked.rule.positions().is_empty() {
            wrong.find(FOREIGN, || format!("replayed {} though nothing was asked for", event.seq));
        }
        let relevance = self.checked.rule.replayed(event);
        self.take(event, relevance, wrong);
    }

    pub fn subscribed(&mut self, subscribed: &Subscribed, wrong: &mut Verdict) {
        let of_stream = matches!(&*subscribed.positions, [position] if position.stream == STREAM);
        if subscribed.delivery != "durable" || !of_stream {
            wrong.find(NOT_DURABLE, || format!("{subscribed:?}"));
        }
        self.checked.subscribed(subscribed, wrong);
    }

    pub fn event(&mut self, event: &Event, wrong: &mut Verdict) {
        let relevance = self.checked.rule.received(event);
        self.take(event, relevance, wrong);
    }

    fn take(&mut self, event: &Event, relevance: Relevance, wrong: &mut Verdict) {
        match relevance {
            Relevance::Foreign => {}
            Relevance::Duplicate => self.duplicates += 1,
            Relevance::New => match entry(event) {
                Some(entry) => self.received.push(entry),
                None => wrong.find(FOREIGN, || format!("{event:?} is no stored event of the publisher")),
            },
        }
    }

    /// The log for the judge.
    pub fn log(&self, client: &str) -> Log {
        Log {
            name: format!("{client} {}", self.pattern()),
            pattern: self.checked.rule.pattern().clone(),
            stream: STREAM.into(),
            start: self.checked.start(STREAM).expect("it was live once"),
            received: self.received.clone(),
        }
    }
}

/// An event as its publisher stored it, with the id that its data tell.
fn entry(event: &Event) -> Option<Entry> {
    let body: Body = serde_json::from_slice(&event.data).ok()?;
    let sound = event.stream == STREAM && event.seq > 0 && event.id == id(body.event);
    Some(Entry { seq: event.seq, event: body.event, subject: Subject::parse(&event.subject).ok()? }).filter(|_| sound)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(seq: u64) -> Event {
        let data = format!("{{\"event\":{}}}", seq + 1000).into();
        let (subject, stream, id) = ("chaos.g0.s0".into(), STREAM.into(), id(seq + 1000));
        Event { subject, stream, seq, id, data, ..Event::default() }
    }

    fn subscribed(seq: u64) -> Subscribed {
        let positions = vec![Position { stream: STREAM.into(), epoch: "1".into(), seq, ..Position::default() }];
        Subscribed { delivery: "durable".into(), positions, recovered: true, ..Subscribed::default() }
    }

    fn live(wrong: &mut Verdict) -> Subscription {
        let mut subscription = Subscription::new("chaos.g0.*");
        subscription.subscribed(&subscribed(5), wrong);
        subscription
    }

    #[test]
    fn the_judge_sees_what_the_rule_let_pass() {
        let mut wrong = Verdict::default();
        let mut subscription = live(&mut wrong);
        [6, 7, 6, 8, 8].iter().for_each(|seq| subscription.event(&event(*seq), &mut wrong));
        let log = subscription.log("c");
        assert_eq!((log.start, subscription.duplicates, wrong), (5, 2, Verdict::default()));
        assert_eq!(
            log.received.iter().map(|entry| (entry.seq, entry.event)).collect::<Vec<_>>(),
            [(6, 1006), (7, 1007), (8, 1008)]
        );
    }

    #[test]
    fn each_thing_that_must_not_happen_here_is_found() {
        type Happens = fn(&mut Subscription, &mut Verdict);
        let cases: [(&str, Happens); 5] = [
            (NOT_DURABLE, |s, w| s.subscribed(&Subscribed { delivery: "live".into(), ..subscribed(9) }, w)),
            (NOT_DURABLE, |s, w| s.subscribed(&Subscribed { positions: Vec::new(), ..subscribed(9) }, w)),
            (FOREIGN, |s, w| s.event(&Event { id: "e1".into(), ..event(9) }, w)),
            (FOREIGN, |s, w| s.event(&Event { stream: "OTHER".into(), ..event(9) }, w)),
            (FOREIGN, |_, w| Subscription::new("chaos.g0.*").replayed(&event(3), w)),
        ];
        for (kind, happens) in cases {
            let mut wrong = Verdict::default();
            happens(&mut live(&mut Verdict::default()), &mut wrong);
            assert_eq!((wrong.count(kind), wrong.findings().len()), (1, 1), "{wrong}");
        }
    }
}
