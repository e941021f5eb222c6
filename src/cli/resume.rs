//! Subscriptions that resume where they were: the client's side of a resume, as
//! `docs/delivery.md` tells it.

use crate::{
    proto::{Event, Position, Replay, Subscribed, Subscription},
    subject::{Pattern, Subject},
};

/// Subscriptions of one client, through any number of connections.
pub(crate) struct Following(Vec<Followed>);

struct Followed {
    subject: String,
    /// Everything up to here has come, as far as it matches.
    places: Vec<Position>,
    /// Whether the newest values are wanted when it begins.
    snapshot: bool,
    /// Whether it is live on this connection: only then what comes for all is
    /// for it too.
    live: bool,
}

impl Following {
    pub(crate) fn new(subjects: &[String], after: &[Position], snapshot: bool) -> Self {
        let followed =
            |subject: &String| Followed { subject: subject.clone(), places: after.to_vec(), snapshot, live: false };
        Self(subjects.iter().map(followed).collect())
    }

    /// What a new connection is asked for.
    pub(crate) fn resume(&mut self) -> Vec<Subscription> {
        let resumed = |followed: &mut Followed| {
            followed.live = false;
            Subscription {
                subject: followed.subject.clone(),
                after: followed.places.clone(),
                snapshot: followed.snapshot,
            }
        };
        self.0.iter_mut().map(resumed).collect()
    }

    /// Something has come for one of them.
    pub(crate) fn replayed(&mut self, replay: &Replay) {
        if let Some(followed) = self.0.iter_mut().find(|followed| followed.subject == replay.subject) {
            replay.events.iter().for_each(|event| followed.advance(event));
        }
    }

    /// One of them is live.
    pub(crate) fn is_live(&mut self, subscribed: &Subscribed) {
        if let Some(followed) = self.0.iter_mut().find(|followed| followed.subject == subscribed.subject) {
            followed.places.clone_from(&subscribed.positions);
            (followed.live, followed.snapshot) = (true, false);
        }
    }

    /// Something has come for all that it matches.
    pub(crate) fn received(&mut self, event: &Event) {
        let Ok(subject) = Subject::parse(&event.subject) else { return };
        let wants = |followed: &&mut Followed| {
            followed.live && Pattern::parse(&followed.subject).is_ok_and(|pattern| pattern.matches(&subject))
        };
        self.0.iter_mut().filter(wants).for_each(|followed| followed.advance(event));
    }

    /// Everything up to these positions has come.
    pub(crate) fn checked(&mut self, positions: &[Position]) {
        for followed in self.0.iter_mut().filter(|followed| followed.live) {
            for place in &mut followed.places {
                if let Some(position) = positions.iter().find(|position| position.stream == place.stream) {
                    place.clone_from(position);
                }
            }
        }
    }
}

impl Followed {
    fn advance(&mut self, event: &Event) {
        if let Some(place) = self.places.iter_mut().find(|place| place.stream == event.stream) {
            place.seq = place.seq.max(event.seq);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_live_subscription_goes_on_with_what_comes_for_all() {
        let at = |seq| Position { stream: "S".into(), epoch: "1".into(), seq };
        let event = |subject: &str, seq| Event { subject: subject.into(), stream: "S".into(), seq, ..Event::default() };
        let mut following = Following::new(&["a.*".into(), "b".into()], &[at(3)], true);
        assert!(following.resume().iter().all(|wish| wish.after == [at(3)] && wish.snapshot));
        following.replayed(&Replay { subject: "b".into(), events: vec![event("b", 5)], snapshot: false });
        let live = Subscribed { subject: "a.*".into(), positions: vec![at(9)], ..Subscribed::default() };
        following.is_live(&live);
        following.received(&event("a.x", 10));
        following.received(&event("b", 11));
        let after = |wishes: Vec<Subscription>| wishes.iter().map(|wish| wish.after[0].seq).collect::<Vec<_>>();
        following.checked(&[at(12)]);
        let wishes = following.resume();
        assert_eq!((wishes[0].snapshot, wishes[1].snapshot), (false, true));
        assert_eq!(after(wishes), [12, 5]);
        following.received(&event("a.x", 13));
        assert_eq!(after(following.resume()), [12, 5], "not live yet on this connection");
    }
}
