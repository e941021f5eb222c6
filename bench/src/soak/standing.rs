//! One subscription as a client keeps it over its connections, and the account of what comes for it. Free of I/O.

use notifier::{
    client::resume::Relevance,
    proto::{Event, Position, Subscribed, Subscription},
    subject::{Pattern, Subject},
};
use notifier_verify::{
    account::{Account, Received, Taken},
    subscription::CheckedSubscription,
};

use super::{
    book::Book,
    house::{Ends, House},
    subjects::DURABLE,
};

#[derive(Debug)]
pub(super) struct Standing {
    checked: CheckedSubscription,
    account: Account,
    /// Whether it was given up and the answer has not come yet.
    pub(super) leaving: bool,
}

impl Standing {
    pub(super) fn new(user: &str, pattern: Pattern) -> Self {
        let account = Account::new(format!("{user}, {pattern}"), pattern.clone());
        Self { checked: CheckedSubscription::new(pattern), account, leaving: false }
    }

    pub(super) fn pattern(&self) -> &str {
        self.checked.rule.pattern().as_str()
    }

    pub(super) fn is_live(&self) -> bool {
        self.checked.rule.is_live()
    }

    /// Whether anything of it is stored.
    pub(super) fn is_stored(&self) -> bool {
        !self.checked.rule.positions().is_empty()
    }

    /// The request for it, from where it stands.
    pub(super) fn request(&self) -> Subscription {
        self.checked.rule.request()
    }

    /// The connection has ended, or it is asked for once more.
    pub(super) fn disconnected(&mut self) {
        self.checked.rule.disconnected();
    }

    pub(super) fn subscribed(&mut self, subscribed: &Subscribed, book: &Book) {
        self.checked.subscribed(subscribed, &mut book.verdict());
        self.account.begin_after(self.checked.start(DURABLE).unwrap_or_default());
    }

    pub(super) fn checkpoint(&mut self, positions: &[Position], book: &Book) {
        self.checked.checkpoint(positions, &mut book.verdict());
    }

    /// Whether all up to here has come.
    pub(super) fn has_reached(&self, ends: &Ends) -> bool {
        self.checked.has_reached(ends)
    }

    /// A stored event that was replayed for it.
    pub(super) fn replayed(&mut self, event: &Event, number: u64, house: &House) {
        let relevance = self.checked.rule.replayed(event);
        self.take(event, relevance, number, house);
    }

    /// A stored event of the connection.
    pub(super) fn received(&mut self, event: &Event, number: u64, house: &House) {
        let relevance = self.checked.rule.received(event);
        self.take(event, relevance, number, house);
    }

    fn take(&mut self, event: &Event, relevance: Relevance, number: u64, house: &House) {
        let Ok(subject) = Subject::parse(&event.subject) else { return };
        match relevance {
            Relevance::Foreign => return,
            Relevance::Duplicate => return house.book.count("copies that cursors have told apart"),
            Relevance::New => house.book.count("stored events received"),
        }
        let received = Received { stream: &event.stream, seq: event.seq, subject: &subject, number };
        let taken = self.account.take(received, &house.ledger(), &mut house.book.verdict());
        if taken == Taken::StoredTwice {
            house.book.count("stored twice by NATS, as its publisher had to repeat it");
        }
    }

    /// When all has come that there is: finds what has not.
    pub(super) fn close(&self, house: &House) {
        self.account.close(&house.ledger(), &mut house.book.verdict());
    }
}

/// The one for this pattern.
pub(super) fn find<'a>(standings: &'a mut [Standing], pattern: &str, house: &House) -> Option<&'a mut Standing> {
    let found = standings.iter_mut().find(|standing| standing.pattern() == pattern);
    if found.is_none() {
        house.book.fault("a subscription of nobody", || pattern.into());
    }
    found
}
